//! What the parts of one connection know of each other: its guard and its policy.

use std::sync::{Arc, Mutex, PoisonError};

use ebbtide::connection::{Bounds, Policy};
use ebbtide::{Guard, Watcher};

/// Lives until the last part of the connection is gone, and the guard with it.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) guard: Guard,
    pub(crate) watcher: Watcher,
    policy: Mutex<Policy>,
}

impl Record {
    pub(crate) fn new(guard: Guard, bounds: Bounds) -> Arc<Self> {
        Arc::new(Self { watcher: guard.watcher(), guard, policy: Mutex::new(Policy::new(bounds)) })
    }

    /// Asks or tells the policy. HTTP/1 has one task and never waits here; the streams of HTTP/2 hardly do.
    pub(crate) fn policy<R>(&self, f: impl FnOnce(&mut Policy) -> R) -> R {
        f(&mut self.policy.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
