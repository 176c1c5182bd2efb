//! The timer's interrupt: what its handler does, and how it is told to.

use core::cell::RefCell;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

use critical_section::Mutex;
use ebbtide::{Drain, Guard, State, Watcher};
use portable_atomic::{AtomicBool, AtomicU32, Ordering};

static TICKS: AtomicU32 = AtomicU32::new(0);
static AT_WORK: AtomicBool = AtomicBool::new(false);
static SLEEPER: Slot<Waker> = Slot::new();
static JOB: Slot<Job> = Slot::new();

/// What the interrupt handler is to do with a drain.
#[derive(Debug)]
pub enum Job {
    /// Takes guards, starts the drain, and keeps one guard for its next interrupt to release.
    Start(Drain),
    /// Releases a guard.
    Release(Guard),
    /// Closes by force.
    Close(Drain),
    /// Leaves a waker with the drain, and takes it back.
    Watch(Watcher, Waker),
}

/// A future that is ready once the timer has ticked so many times.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Timer {
    at: u32,
}

/// What the handler shares with the rest of the program. Only moves happen under the critical section.
struct Slot<T>(Mutex<RefCell<Option<T>>>);

/// To be called by the timer's interrupt handler.
pub fn tick() {
    AT_WORK.store(true, Ordering::SeqCst);
    TICKS.fetch_add(1, Ordering::SeqCst);
    if let Some(waker) = SLEEPER.replace(None) {
        waker.wake();
    }
    if let Some(job) = JOB.replace(None) {
        job.run();
    }
    AT_WORK.store(false, Ordering::SeqCst);
}

/// How many interrupts there have been.
pub fn ticks() -> u32 {
    TICKS.load(Ordering::SeqCst)
}

/// Gives the handler something to do when the next interrupt comes.
pub fn hand(job: Job) {
    JOB.replace(Some(job));
}

/// What the handler was given and has not done.
pub fn take_back() -> Option<Job> {
    JOB.replace(None)
}

/// Whether the handler is what runs.
pub fn is_at_work() -> bool {
    AT_WORK.load(Ordering::SeqCst)
}

impl Job {
    fn run(self) {
        match self {
            Self::Start(drain) => {
                let watcher = drain.watcher();
                let guard = watcher.guard();
                let kept = guard.clone();
                assert!(drain.guards() >= usize::from(guard.is_some()) * 2, "this handler holds two");
                drop(guard);
                drop(drain.start());
                assert!(watcher.state() > State::Running && watcher.guard().is_none(), "it has started");
                if let Some(guard) = kept {
                    hand(Self::Release(guard));
                }
            }
            Self::Release(guard) => drop(guard),
            Self::Close(drain) => {
                drain.close();
                assert_eq!(drain.state(), State::Closed);
            }
            Self::Watch(mut watcher, waker) => {
                let _ = Pin::new(&mut watcher).poll(&mut Context::from_waker(&waker));
            }
        }
    }
}

impl Timer {
    /// Ready after `ticks` more interrupts.
    pub fn after(ticks: u32) -> Self {
        Self { at: self::ticks() + ticks }
    }
}

impl Future for Timer {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // The waker first: an interrupt between the two lines finds it.
        SLEEPER.replace(Some(cx.waker().clone()));
        if ticks() < self.at {
            return Poll::Pending;
        }
        SLEEPER.replace(None);
        Poll::Ready(())
    }
}

impl<T> Slot<T> {
    const fn new() -> Self {
        Self(Mutex::new(RefCell::new(None)))
    }

    /// What was here before; it is dropped by the caller, outside the critical section.
    fn replace(&self, value: Option<T>) -> Option<T> {
        critical_section::with(|section| self.0.replace(section, value))
    }
}
