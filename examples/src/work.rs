//! What a server is working on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ebbtide::Drain;
use ebbtide_hyper::Connections;
use ebbtide_tokio::Readiness;

/// Requests, upgraded connections and tasks: what is in flight, and what of it was cut.
#[derive(Clone, Debug)]
pub struct Work {
    readiness: Readiness,
    connections: Connections,
    tasks: Drain,
    /// How many connections had been cut by bounds before the drain began.
    cut_before: Arc<AtomicU64>,
}

impl Work {
    /// What a service is working on, if it puts its connections into the list, and takes a guard of `tasks` for each task.
    #[must_use]
    pub fn new(readiness: Readiness, connections: &Connections, tasks: &Drain) -> Self {
        Self { readiness, connections: connections.clone(), tasks: tasks.clone(), cut_before: Arc::default() }
    }

    /// Whether it takes more.
    #[must_use]
    pub fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    /// How much is in flight.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.connections.in_flight() + self.tasks.guards()
    }

    /// Counts from here what bounds cut: the drain begins.
    pub fn begin(&self) {
        self.cut_before.store(self.connections.cut_by_bounds(), Ordering::Relaxed);
    }

    /// How many connections the drain has ended by a bound under what was in flight.
    #[must_use]
    pub fn cut_by_bounds(&self) -> u64 {
        self.connections.cut_by_bounds() - self.cut_before.load(Ordering::Relaxed)
    }
}
