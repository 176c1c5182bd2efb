//! A server's connections in memory, in virtual time.

use std::io;
use std::time::Duration;

use ebbtide::{Drain, Overdue, State};

use crate::application::Application;
use crate::channel::{Channel, Security};
use crate::pipe::Stream;
use crate::simulation::{Serve, Simulation};
use crate::world::World;

/// It listens until its drain begins: there is no accept loop.
pub(crate) struct Memory {
    simulation: Simulation,
    security: Security,
    application: Application,
    serve: Serve,
}

impl Memory {
    pub(crate) fn new(simulation: Simulation, security: Security, application: Application, serve: Serve) -> Self {
        Self { simulation, security, application, serve }
    }
}

impl World for Memory {
    type Stream = Channel<Stream>;

    fn application(&self) -> &Application {
        &self.application
    }

    fn drain(&self) -> &Drain {
        self.simulation.drain()
    }

    fn connect(&self) -> io::Result<Channel<Stream>> {
        self.simulation.reach(&self.serve).map(|it| self.security.over(it))
    }

    fn is_free(&self) -> bool {
        self.drain().state() != State::Running
    }

    fn until(&self, what: &str, is: impl FnMut() -> bool) {
        self.simulation.until(what, is);
    }

    fn pass(&self, time: Duration) {
        self.simulation.pass(time);
    }

    fn ended(self) -> Result<(), Overdue> {
        let drained = self.drain().start();
        let outcome = self.simulation.block_on(drained);
        self.simulation.settle();
        outcome
    }
}
