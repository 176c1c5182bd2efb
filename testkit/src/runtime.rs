//! What a service has of its simulation: tasks and a clock.

#[cfg(feature = "hyper")]
mod hyper;

use std::future::Future;
use std::time::Duration;

use crate::clock::{Clock, Sleep};
use crate::executor::{Executor, Id};

/// The tasks and the clock of a [`Simulation`](crate::Simulation), for the service in it.
///
/// It may be sent anywhere, and need not be: what it spawns stays on the simulation's thread, and may be of that thread
/// alone. With the feature `hyper` it is hyper's `Timer` and `Executor`.
#[derive(Clone, Debug)]
pub struct Runtime {
    executor: Id,
    clock: Clock,
}

impl Runtime {
    pub(crate) fn new(executor: Id, clock: Clock) -> Self {
        Self { executor, clock }
    }

    /// Runs this as a task of its own. It is dropped if the simulation is over, and on any other thread than
    /// the simulation's.
    pub fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        self.spawn_named("a task".into(), future);
    }

    pub(crate) fn spawn_named(&self, name: String, future: impl Future<Output = ()> + 'static) {
        if let Some(executor) = Executor::find(self.executor) {
            executor.spawn(name, future);
        }
    }

    /// Ready once so much time has passed.
    pub fn sleep(&self, time: Duration) -> Sleep {
        self.clock.sleep_until(self.now().saturating_add(time))
    }

    /// How much time has passed since the simulation began.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.clock.now()
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }
}
