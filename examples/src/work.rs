//! What a server is working on.

use ebbtide::connection::ConnectionState;
use ebbtide::{Drain, State};
use ebbtide_hyper::{Connection, Connections};

/// The label of work that goes on after its response.
pub const TASK: &str = "task";

/// The main server's drain and its connections, to count what is in flight.
#[derive(Clone, Debug)]
pub struct Work {
    drain: Drain,
    connections: Connections,
}

impl Work {
    /// What these are working on.
    #[must_use]
    pub fn new(drain: &Drain, connections: &Connections) -> Self {
        Self { drain: drain.clone(), connections: connections.clone() }
    }

    /// How far the drain has come.
    #[must_use]
    pub fn state(&self) -> State {
        self.drain.state()
    }

    /// Requests, upgraded connections and tasks.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        let on = |it: &Connection| it.requests().len() + usize::from(it.state() == ConnectionState::Upgraded);
        let requests: usize = self.connections.list().iter().map(on).sum();
        let tasks = self.drain.held().into_iter().filter(|it| *it.label() == TASK.into());
        requests + tasks.map(|it| it.guards()).sum::<usize>()
    }
}
