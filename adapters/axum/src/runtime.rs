//! What a server needs of its runtime.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;

use ebbtide_accept::{Spawn, Task};
use hyper::rt;

/// A runtime, as far as a server needs it.
pub trait Runtime: Spawn<Task<Connection>, Sleep: Send> + 'static {
    /// Its clock, to hyper.
    type Timer: rt::Timer + Clone + Send + Sync + 'static;

    /// Its clock, to hyper.
    fn timer() -> Self::Timer;

    /// Runs a task of hyper's in the background.
    fn execute(task: impl Future<Output = ()> + Send + 'static);
}

/// The future of one connection.
pub type Connection = Pin<Box<dyn Future<Output = Result<(), ebbtide_hyper::Error>> + Send>>;

/// The tasks of a runtime, to hyper.
pub struct Executor<R>(PhantomData<fn() -> R>);

impl<R> Executor<R> {
    pub(crate) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<R: Runtime, F: Future<Output = ()> + Send + 'static> rt::Executor<F> for Executor<R> {
    fn execute(&self, task: F) {
        R::execute(task);
    }
}

impl<R> Clone for Executor<R> {
    fn clone(&self) -> Self {
        Self(PhantomData)
    }
}

impl<R> fmt::Debug for Executor<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Executor")
    }
}
