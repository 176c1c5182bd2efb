//! What a server is working on.

use ebbtide::{Drain, Held, State};
use ebbtide_axum::Part;
use ebbtide_hyper::Connections;

/// The label of work that goes on after its response.
pub const TASK: &str = "task";

/// The drain of all, the main server's, and its connections, to count what is in flight.
#[derive(Clone, Debug)]
pub struct Work {
    all: Drain,
    main: Drain,
    connections: Connections,
}

impl Work {
    /// What these are working on.
    #[must_use]
    pub fn new(all: &Drain, main: &Drain, connections: &Connections) -> Self {
        Self { all: all.clone(), main: main.clone(), connections: connections.clone() }
    }

    /// How far the drain has come. The server is ready while it runs.
    #[must_use]
    pub fn state(&self) -> State {
        self.all.state()
    }

    /// How many connections were ended by a bound under what was in flight.
    #[must_use]
    pub fn cut_by_bounds(&self) -> u64 {
        self.connections.cut_by_bounds()
    }

    /// Requests, upgraded connections and tasks.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        // A server that is a part of the main drain has its tasks inside.
        let inside = |it: Held| it.label().downcast_ref().map_or_else(|| vec![it.clone()], Part::held);
        let tasks = self.main.held().into_iter().flat_map(inside).filter(|it| *it.label() == TASK.into());
        self.connections.in_flight() + tasks.map(|it| it.guards()).sum::<usize>()
    }
}
