//! Futures, polled by hand, and how they were woken.

use core::future::Future;
use core::pin::{Pin, pin};
use core::task::{Context, Poll, Waker};

use portable_atomic::{AtomicUsize, Ordering};
use portable_atomic_util::Arc;
use portable_atomic_util::task::Wake;

use crate::interrupt::is_at_work;
use crate::machine::Machine;

/// Polls futures by hand, and counts how often it was woken.
#[derive(Debug)]
pub struct Task {
    flag: Arc<Flag>,
    waker: Waker,
}

#[derive(Debug)]
struct Flag {
    machine: Machine,
    wakes: AtomicUsize,
    wakes_by_interrupt: AtomicUsize,
}

impl Task {
    /// A task that was not woken yet.
    #[must_use]
    pub fn new(machine: Machine) -> Self {
        let flag = Arc::new(Flag { machine, wakes: AtomicUsize::new(0), wakes_by_interrupt: AtomicUsize::new(0) });
        Self { waker: Waker::from(flag.clone()), flag }
    }

    /// Asks `future` once.
    pub fn poll<F: Future + Unpin>(&self, future: &mut F) -> Poll<F::Output> {
        Pin::new(future).poll(&mut Context::from_waker(&self.waker))
    }

    /// Asks `future`, and again whenever it has woken this task, until it is ready.
    pub fn finish<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        loop {
            let wakes = self.wakes();
            if let Poll::Ready(output) = self.poll(&mut future) {
                return output;
            }
            while self.wakes() == wakes {
                (self.flag.machine.wait)();
            }
        }
    }

    /// The waker of this task.
    #[must_use]
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// How often it was woken.
    #[must_use]
    pub fn wakes(&self) -> usize {
        self.flag.wakes.load(Ordering::SeqCst)
    }

    /// How often it was woken by an interrupt handler.
    #[must_use]
    pub fn wakes_by_interrupt(&self) -> usize {
        self.flag.wakes_by_interrupt.load(Ordering::SeqCst)
    }
}

impl Wake for Flag {
    fn wake(this: Arc<Self>) {
        assert!((this.machine.interrupts_on)(), "woken with interrupts off");
        this.wakes.fetch_add(1, Ordering::SeqCst);
        if is_at_work() {
            this.wakes_by_interrupt.fetch_add(1, Ordering::SeqCst);
        }
    }
}
