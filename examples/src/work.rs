//! What a server is working on.

use ebbtide::{Drain, Held, State};
use ebbtide_hyper::Connections;

/// The label of work that goes on after its response.
pub const TASK: &str = "task";

/// The drain of all, the main server's, and its connections, to count what is in flight.
#[derive(Clone, Debug)]
pub struct Work {
    all: Drain,
    main: Drain,
    connections: Connections,
    inside: fn(Held) -> Vec<Held>,
}

impl Work {
    /// What these are working on.
    #[must_use]
    pub fn new(all: &Drain, main: &Drain, connections: &Connections) -> Self {
        Self { all: all.clone(), main: main.clone(), connections: connections.clone(), inside: |it| vec![it] }
    }

    /// For servers that are parts of the main drain: what each of them holds, by its entry in that drain.
    #[must_use]
    pub fn inside(self, inside: fn(Held) -> Vec<Held>) -> Self {
        Self { inside, ..self }
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
        let tasks = self.main.held().into_iter().flat_map(self.inside).filter(|it| *it.label() == TASK.into());
        self.connections.in_flight() + tasks.map(|it| it.guards()).sum::<usize>()
    }
}
