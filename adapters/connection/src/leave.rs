//! `Leave`: whether one connection may leave for a successor, and whether it has left.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Context;

use crate::permits::{Permit, Permits, Waiter};
use crate::policy::Policy;
use ebbtide::Guard;

/// What the parts of one connection share about its leaving for a successor.
#[derive(Debug)]
pub(crate) struct Leave {
    permits: Arc<Permits>,
    waiter: Arc<Waiter>,
    /// The engine cannot give it up as it is now.
    stays: AtomicBool,
    /// Once it has left: what goes with its stream.
    left: Mutex<Option<(Guard, Permit)>>,
}

impl Leave {
    pub(crate) fn new(permits: Arc<Permits>) -> Self {
        Self { permits, waiter: Arc::default(), stays: AtomicBool::new(false), left: Mutex::new(None) }
    }

    /// Reports to the policy whether it may leave. Called under its lock, before any event.
    pub(crate) fn tell(&self, policy: &mut Policy) {
        policy.on_leaving(self.permits.is_open() && !self.stays.load(Ordering::SeqCst));
    }

    /// Reports whether the engine can give it up. The policy hears of it at its next event.
    pub(crate) fn stays(&self, stays: bool) {
        self.stays.store(stays, Ordering::SeqCst);
    }

    /// A permit to leave now. Otherwise the task is woken when there may be one.
    pub(crate) fn permit(&self, cx: &mut Context<'_>) -> Option<Permit> {
        self.permits.take(&self.waiter, cx)
    }

    /// Passes a permit that it was woken for on to the next, if it has not taken it.
    pub(crate) fn pass(&self) {
        self.permits.pass(&self.waiter);
    }

    /// Reports that the connection is not served any more.
    pub(crate) fn over(&self) {
        self.permits.over(&self.waiter);
    }

    /// Keeps what goes with the stream. The connection has left.
    pub(crate) fn leave(&self, guard: Guard, permit: Permit) {
        *self.left.lock().unwrap_or_else(PoisonError::into_inner) = Some((guard, permit));
    }

    /// What goes with the stream, if the connection has left.
    pub(crate) fn left(&self) -> Option<(Guard, Permit)> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
