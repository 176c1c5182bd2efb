//! What a service needs of its runtime.

use std::future::Future;
use std::pin::Pin;

use ebbtide_accept::Spawn;

/// A runtime, as far as a [`Service`](crate::Service) needs it. The runtime adapters implement it.
pub trait Runtime: Spawn<Task, Sleep: Future<Output: Send> + Send> + 'static {
    /// Runs `work`, which blocks its thread, on a thread that is for such work.
    fn blocking(work: Box<dyn FnOnce() + Send>);

    /// Runs the future that `make` makes, which stays on one thread, on a thread of its own called `name`.
    fn local(name: String, make: Box<dyn FnOnce() -> LocalTask + Send>);
}

/// What is spawned: a part of a service, or what leads it from its start to its end.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A part of a service that stays on one thread.
pub type LocalTask = Pin<Box<dyn Future<Output = ()>>>;
