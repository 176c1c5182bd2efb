//! What is in flight, by name, and what was cut.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use ebbtide::{Drain, Drained, Guard, State, Watcher};

/// What the service is working on.
///
/// A drain of its own: an entry is a guard, so counting and waiting come for free.
#[derive(Clone, Debug)]
pub struct Ledger {
    entries: Drain,
    open: Watcher,
    service: Watcher,
    cut: Arc<Mutex<Vec<String>>>,
}

/// One piece of work, until it is dropped.
#[derive(Debug)]
pub struct Entry {
    what: String,
    since: Instant,
    service: Watcher,
    cut: Arc<Mutex<Vec<String>>>,
    _counted: Option<Guard>,
}

impl Ledger {
    /// The books of a service, whose drain this watches.
    pub fn new(service: Watcher) -> Self {
        let entries = Drain::new();
        Self { open: entries.watcher(), entries, service, cut: Arc::default() }
    }

    /// Enters a piece of work.
    pub fn enter(&self, what: String) -> Entry {
        let (service, cut) = (self.service.clone(), self.cut.clone());
        Entry { what, since: Instant::now(), service, cut, _counted: self.open.guard() }
    }

    /// How much is in flight.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.entries.guards()
    }

    /// The end of the last entry.
    pub fn close(&self) -> Drained {
        self.entries.start()
    }

    /// What was dropped unfinished when the service's drain was closed by force.
    #[must_use]
    pub fn cut(&self) -> Vec<String> {
        self.cut.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        // Work holds the drain open, so a drain that is closed under it was closed by force.
        if self.service.state() == State::Closed {
            let line = format!("{} ({:.1} s)", self.what, self.since.elapsed().as_secs_f64());
            self.cut.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
    }
}
