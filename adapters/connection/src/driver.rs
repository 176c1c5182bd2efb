//! Who polls a connection.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

/// Whether one task has all of a connection, and how to wake it.
#[derive(Debug)]
pub(crate) struct Driver {
    is_alone: AtomicBool,
    /// Of a connection that drains: the task that has polled it last.
    task: Mutex<Option<Waker>>,
}

impl Driver {
    pub(crate) fn new() -> Self {
        Self { is_alone: AtomicBool::new(true), task: Mutex::new(None) }
    }

    /// Whether one task has all of the connection. It is woken by a forced close, and with it whatever is polled under it.
    #[inline]
    pub(crate) fn is_alone(&self) -> bool {
        self.is_alone.load(Ordering::Acquire)
    }

    /// Somebody else may have a part of the connection from here on.
    pub(crate) fn share(&self) {
        // Release, with the Acquire above: whoever gets its part later finds it so.
        self.is_alone.store(false, Ordering::Release);
    }

    /// This task polls it.
    pub(crate) fn polled_by(&self, waker: &Waker) {
        let clone = waker.clone();
        let old = self.task().replace(clone);
        // A waker runs foreign code: not under the lock.
        drop(old);
    }

    pub(crate) fn wake(&self) {
        let task = self.task().take();
        if let Some(waker) = task {
            waker.wake();
        }
    }

    fn task(&self) -> MutexGuard<'_, Option<Waker>> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
