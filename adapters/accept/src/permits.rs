//! `Permits`: a semaphore that limits the number of open connections.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

#[derive(Debug)]
pub(crate) struct Permits {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    free: AtomicUsize,
    waiting: Mutex<Option<Waker>>,
}

/// A permit of one connection. The label of its guard keeps it, so it is released with the connection's last guard.
pub(crate) struct Permit {
    shared: Arc<Shared>,
}

impl Permits {
    pub(crate) fn new(most: usize) -> Self {
        Self { shared: Arc::new(Shared { free: AtomicUsize::new(most), waiting: Mutex::new(None) }) }
    }

    /// The number of free permits.
    pub(crate) fn free(&self) -> usize {
        self.shared.free.load(Ordering::SeqCst)
    }

    /// Ready if a permit is free.
    pub(crate) fn poll_free(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.free() > 0 {
            return Poll::Ready(());
        }
        let _dropped_outside_the_lock = self.shared.waiting().replace(cx.waker().clone());
        // Checked again: a permit may have been released before the waker was stored.
        if self.free() > 0 { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Takes a permit. Only the loop does, after `poll_free` was ready.
    pub(crate) fn take(&self) -> Permit {
        self.shared.free.fetch_sub(1, Ordering::SeqCst);
        Permit { shared: self.shared.clone() }
    }
}

impl Shared {
    fn waiting(&self) -> std::sync::MutexGuard<'_, Option<Waker>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.shared.free.fetch_add(1, Ordering::SeqCst);
        let waiting = self.shared.waiting().take();
        if let Some(waker) = waiting {
            // The connection may end by a panic; a second one while it unwinds would abort the process.
            drop(catch_unwind(AssertUnwindSafe(|| waker.wake())));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;
    use std::task::Wake;

    #[derive(Default)]
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    #[test]
    fn the_loop_waits_at_the_limit_and_is_woken_by_the_next_end() {
        let permits = Permits::new(1);
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        let mut cx = Context::from_waker(&waker);
        assert!(permits.poll_free(&mut cx).is_ready());
        let permit = permits.take();
        assert!(permits.poll_free(&mut cx).is_pending());
        assert!(!woken.0.load(Ordering::SeqCst));
        drop(permit);
        assert!(woken.0.load(Ordering::SeqCst));
        assert!(permits.poll_free(&mut cx).is_ready());
    }

    struct Panics;

    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("the waker's");
        }
    }

    #[test]
    fn a_loop_whose_waker_panics_ends_no_process_where_a_connection_panics() {
        let permits = Permits::new(1);
        let permit = permits.take();
        let waker = Waker::from(Arc::new(Panics));
        assert!(permits.poll_free(&mut Context::from_waker(&waker)).is_pending());
        let panicked = std::panic::catch_unwind(AssertUnwindSafe(|| {
            let _permit = permit;
            panic!("the connection's");
        }));
        assert!(panicked.is_err());
        assert_eq!(permits.free(), 1);
    }
}
