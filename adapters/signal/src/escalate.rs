//! Signal by signal: start, force, kill.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ebbtide::{Drain, State};

use crate::platform;
use crate::signal::Signal;
use crate::signals::Signals;

/// The first signal starts the drain, the second closes it by force, a third kills the process by the signal's own
/// default action. A signal that finds the drain closed kills too: there is nothing left to wait for.
///
/// Returns at once. It acts on the signals' own thread for the rest of the process, whatever the executor does, and keeps
/// a [`Drain`] there, so dropping yours does not start it.
///
/// # Examples
///
/// See the [crate's](crate).
pub fn escalate(drain: Drain, signals: Signals) {
    signals.escalate(&Escalation { drain, seen: Arc::default() });
}

#[derive(Clone, Debug)]
pub(crate) struct Escalation {
    drain: Drain,
    seen: Arc<AtomicUsize>,
}

impl Escalation {
    pub(crate) fn step(&self, signal: Signal) {
        let seen = self.seen.fetch_add(1, Ordering::SeqCst);
        if self.drain.state() == State::Closed {
            platform::die(signal);
        }
        match seen {
            0 => drop(self.drain.start()),
            1 => self.drain.close(),
            _ => platform::die(signal),
        }
    }
}
