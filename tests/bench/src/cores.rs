//! Threads that each have a core to themselves. Left to the scheduler they may share one, and hide all contention.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use core_affinity::CoreId;

/// Batches per round and thread. A batch is far shorter than a time slice, so most of them are not interrupted, and
/// the median is a clean one even where others use the machine.
const BATCHES: usize = 25;
const BATCH: u32 = 4_000;

/// The cores that this process may use.
pub(crate) fn all() -> Vec<CoreId> {
    core_affinity::get_core_ids().unwrap_or_default()
}

/// Whether a thread can be tied to a core here.
pub(crate) fn can_be_pinned() -> bool {
    on_core(0, pin)
}

fn on_core<R: Send>(number: usize, run: impl FnOnce(usize) -> R + Send) -> R {
    thread::scope(|scope| scope.spawn(|| run(number)).join().expect("a measuring thread"))
}

fn pin(number: usize) -> bool {
    all().get(number).is_some_and(|core| core_affinity::set_for_current(*core))
}

/// Runs once, on a core of its own.
pub(crate) fn alone<R: Send>(run: impl FnOnce() -> R + Send) -> R {
    on_core(0, |core| {
        pin(core);
        run()
    })
}

/// The nanoseconds that one `operation` takes while every one of so many threads repeats its own, which `prepare`
/// makes on the thread.
pub(crate) fn together<O: FnMut()>(threads: usize, prepare: impl Fn() -> O + Sync) -> f64 {
    let arrived = AtomicUsize::new(0);
    let thread = |number: usize| {
        pin(number);
        let mut operation = prepare();
        let mut batches = Vec::with_capacity(BATCHES);
        allocation_counter::opt_out(|| {
            for batch in 1..=BATCHES {
                arrived.fetch_add(1, Ordering::AcqRel);
                while arrived.load(Ordering::Acquire) < threads * batch {
                    std::hint::spin_loop();
                }
                let begin = Instant::now();
                for _ in 0..BATCH {
                    operation();
                }
                batches.push(begin.elapsed().as_secs_f64() * 1e9 / f64::from(BATCH));
            }
        });
        batches
    };
    let batches = thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|number| scope.spawn(move || thread(number))).collect();
        running.into_iter().flat_map(|it| it.join().expect("a measuring thread")).collect()
    });
    median(batches)
}

/// # Panics
///
/// Of nothing there is no median.
pub(crate) fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}
