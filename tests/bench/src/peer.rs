//! What is measured of everybody: the two halves of a graceful shutdown.

use std::future::Future;

/// Something that hands out guards.
pub(crate) trait Guards: Sized + 'static {
    /// What a thread takes its guards from.
    type Source: Send + Sync;
    type Guard: Send;

    fn new() -> Self;

    fn source(&self) -> Self::Source;

    fn guard(source: &Self::Source) -> Self::Guard;

    /// Starts the shutdown. What has to live on until it is over comes back.
    fn start(self) -> impl Sized;
}

/// Something that also tells of the start.
pub(crate) trait Peer: Guards {
    /// What a thread clones its waiting futures from.
    type Watcher: Send + Sync;
    /// One clone, not yet waiting. For some it is the future itself, for others what an `async` block owns.
    type Clone: Send;

    fn watcher(&self) -> Self::Watcher;

    fn clone_of(watcher: &Self::Watcher) -> Self::Clone;

    fn wait(clone: Self::Clone) -> impl Future + Send + 'static;
}
