//! `Permits`: a semaphore that limits how many connections are on their way to a successor.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

/// Permits to leave. As long as one is free, one of the waiting connections is about to take it or to pass it on.
#[derive(Debug)]
pub(crate) struct Permits {
    /// Written under the lock.
    is_open: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    free: usize,
    waiting: VecDeque<Arc<Waiter>>,
}

/// A connection that waits for a permit.
#[derive(Debug, Default)]
pub(crate) struct Waiter(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    waker: Option<Waker>,
    is_queued: bool,
    /// It was woken, since a permit is free.
    is_called: bool,
    is_over: bool,
}

/// A permit. It is free again once this is dropped.
#[derive(Debug)]
pub(crate) struct Permit(Arc<Permits>);

impl Permits {
    /// So many permits, none of which is given before [`open`](Self::open).
    pub(crate) fn new(most: usize) -> Arc<Self> {
        let state = State { free: most, waiting: VecDeque::new() };
        Arc::new(Self { is_open: AtomicBool::new(false), state: Mutex::new(state) })
    }

    pub(crate) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::SeqCst)
    }

    pub(crate) fn open(&self) {
        let _state = self.state();
        self.is_open.store(true, Ordering::SeqCst);
    }

    /// Gives no more permits, and wakes all that wait for one.
    pub(crate) fn close(&self) {
        let waiting = {
            let mut state = self.state();
            self.is_open.store(false, Ordering::SeqCst);
            std::mem::take(&mut state.waiting)
        };
        for waiter in waiting {
            waiter.call();
        }
    }

    /// A permit if one is free. Otherwise the task is woken when it may be.
    pub(crate) fn take(self: &Arc<Self>, waiter: &Arc<Waiter>, cx: &mut Context<'_>) -> Option<Permit> {
        // Before it is queued: who calls it must find the waker.
        waiter.keep(cx.waker());
        let mut state = self.state();
        if !self.is_open() {
            return None;
        }
        if state.free > 0 {
            state.free -= 1;
            waiter.state().is_called = false;
            return Some(Permit(self.clone()));
        }
        let mut waiting = waiter.state();
        waiting.is_called = false;
        if !std::mem::replace(&mut waiting.is_queued, true) {
            state.waiting.push_back(waiter.clone());
        }
        None
    }

    /// Passes on the call of a connection that has not taken a permit.
    pub(crate) fn pass(&self, waiter: &Waiter) {
        if std::mem::take(&mut waiter.state().is_called) {
            self.call_next();
        }
    }

    /// Reports that the connection waits no longer: it has left, or it has ended.
    pub(crate) fn over(&self, waiter: &Waiter) {
        waiter.state().is_over = true;
        self.pass(waiter);
    }

    fn call_next(&self) {
        loop {
            let next = {
                let mut state = self.state();
                if state.free == 0 { None } else { state.waiting.pop_front() }
            };
            // Neither lock is held while it is called.
            let Some(next) = next else { return };
            if next.call() {
                return;
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiter {
    fn state(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, waker: &Waker) {
        let clone = waker.clone();
        let old = self.state().waker.replace(clone);
        // Outside the lock: the drop of a waker runs foreign code.
        drop(old);
    }

    /// Wakes it. Returns whether it is still there.
    fn call(&self) -> bool {
        let waker = {
            let mut waiting = self.state();
            waiting.is_queued = false;
            if waiting.is_over {
                return false;
            }
            waiting.is_called = true;
            waiting.waker.take()
        };
        if let Some(waker) = waker {
            // A permit may be dropped by a panic, and a second one while it unwinds would abort the process.
            drop(catch_unwind(AssertUnwindSafe(|| waker.wake())));
        }
        true
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.state().free += 1;
        self.0.call_next();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    /// A connection, and how often it was woken.
    #[derive(Default)]
    struct Connection {
        waiter: Arc<Waiter>,
        woken: Arc<Woken>,
    }

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    impl Connection {
        fn take(&self, permits: &Arc<Permits>) -> Option<Permit> {
            permits.take(&self.waiter, &mut Context::from_waker(&self.woken.clone().into()))
        }

        fn woken(&self) -> usize {
            self.woken.0.load(Ordering::SeqCst)
        }
    }

    fn connections<const N: usize>() -> [Connection; N] {
        std::array::from_fn(|_| Connection::default())
    }

    #[test]
    fn no_permit_is_given_before_it_is_open_or_after() {
        let (permits, [connection]) = (Permits::new(1), connections());
        assert!(connection.take(&permits).is_none());
        permits.open();
        drop(connection.take(&permits).expect("free"));
        permits.close();
        assert!(connection.take(&permits).is_none());
    }

    #[test]
    fn one_that_waits_is_woken_by_the_next_permit_that_is_free() {
        let (permits, [first, second, third]) = (Permits::new(1), connections());
        permits.open();
        let permit = first.take(&permits).expect("free");
        assert!(second.take(&permits).is_none() && third.take(&permits).is_none());
        drop(permit);
        assert_eq!((second.woken(), third.woken()), (1, 0));
        drop(second.take(&permits).expect("its turn"));
        assert_eq!((second.woken(), third.woken()), (1, 1));
    }

    #[test]
    fn one_that_is_woken_in_vain_passes_its_turn_on() {
        let (permits, [first, busy, ended, last]) = (Permits::new(1), connections());
        permits.open();
        let permit = first.take(&permits).expect("free");
        // The first of them twice: it is polled again while it waits.
        assert!([&busy, &busy, &ended, &last].iter().all(|it| it.take(&permits).is_none()));
        permits.over(&ended.waiter);
        drop(permit);
        assert_eq!((busy.woken(), last.woken()), (1, 0));
        permits.pass(&busy.waiter);
        assert_eq!((ended.woken(), last.woken()), (0, 1), "one that has ended is not woken");
        permits.pass(&busy.waiter);
        assert!(last.take(&permits).is_some());
    }

    #[test]
    fn one_that_ends_when_it_was_woken_passes_its_turn_on() {
        let (permits, [first, second, third]) = (Permits::new(1), connections());
        permits.open();
        let permit = first.take(&permits).expect("free");
        assert!(second.take(&permits).is_none() && third.take(&permits).is_none());
        drop(permit);
        permits.over(&second.waiter);
        assert_eq!(third.woken(), 1);
    }

    #[test]
    fn one_that_overtook_the_others_is_not_waited_for() {
        let (permits, [first, second, third]) = (Permits::new(1), connections());
        permits.open();
        let permit = first.take(&permits).expect("free");
        assert!(second.take(&permits).is_none() && third.take(&permits).is_none());
        drop(permit);
        // The second was woken, but the third comes first.
        let permit = third.take(&permits).expect("free");
        permits.over(&third.waiter);
        assert!(second.take(&permits).is_none());
        drop(permit);
        assert_eq!((second.woken(), third.woken()), (2, 0));
    }

    #[test]
    fn all_that_wait_are_woken_at_the_end() {
        let (permits, [first, second, third]) = (Permits::new(1), connections());
        permits.open();
        let _permit = first.take(&permits).expect("free");
        assert!(second.take(&permits).is_none() && third.take(&permits).is_none());
        permits.close();
        assert_eq!((second.woken(), third.woken()), (1, 1));
    }
}
