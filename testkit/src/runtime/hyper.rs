//! The tasks and the clock of a simulation as hyper knows them.

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

use hyper::rt;

use super::Runtime;
use crate::clock::Sleep;

impl rt::Timer for Runtime {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(Self::sleep(self, duration))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(self.clock().sleep_until(deadline.saturating_duration_since(self.clock().start())))
    }

    fn now(&self) -> Instant {
        self.clock().start() + Self::now(self)
    }
}

impl rt::Sleep for Sleep {}

impl<F: Future + 'static> rt::Executor<F> for Runtime {
    fn execute(&self, future: F) {
        self.spawn(async {
            future.await;
        });
    }
}
