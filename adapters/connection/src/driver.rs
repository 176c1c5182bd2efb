//! `Driver`: which task polls a connection.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

/// Whether one task has all parts of a connection, and how to wake it.
#[derive(Debug)]
pub(crate) struct Driver {
    is_alone: AtomicBool,
    /// The task that has polled the connection last, if it is draining.
    task: Mutex<Option<Waker>>,
}

impl Driver {
    pub(crate) fn new() -> Self {
        Self { is_alone: AtomicBool::new(true), task: Mutex::new(None) }
    }

    /// Whether one task has all parts of the connection. A forced close wakes that task, so its I/O needs no waker of its own.
    #[inline]
    pub(crate) fn is_alone(&self) -> bool {
        self.is_alone.load(Ordering::Acquire)
    }

    /// From here on another task may have a part of the connection.
    pub(crate) fn share(&self) {
        // Release, with the Acquire above: a task that gets its part later sees it.
        self.is_alone.store(false, Ordering::Release);
    }

    /// Keeps the waker of the task that polls the connection.
    pub(crate) fn polled_by(&self, waker: &Waker) {
        let clone = waker.clone();
        let old = self.task().replace(clone);
        // Outside the lock: the drop of a waker runs foreign code.
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
