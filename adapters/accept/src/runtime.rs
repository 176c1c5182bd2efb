//! What the accept loop needs of an async runtime: its clock, its tasks and its listeners.

use std::future::Future;
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use ebbtide_socket::Peer;

#[cfg(doc)]
use crate::error_kind::AcceptErrorKind;
use crate::queue::Socket;

/// The clock of an async runtime. An adapter implements it for a marker type of its own, the `R` of [`Listener`].
pub trait Runtime {
    /// A future that is ready when a time has passed.
    type Sleep: Future;

    /// A timer of the runtime.
    fn sleep(time: Duration) -> Self::Sleep;
}

/// A runtime that can spawn tasks of type `T`: usually all that are `Send`; all, if its tasks stay on their thread.
pub trait Spawn<T>: Runtime {
    /// Runs a task in the background until it is ready.
    fn spawn(task: T);
}

/// A listener of the runtime `R`, such as its TCP listener.
pub trait Listener<R>: Unpin {
    /// The connections of this listener, as streams of the runtime.
    type Stream;
    /// The listening socket without the runtime, such as that of the standard library.
    type Socket: Socket;

    /// Accepts the next connection.
    ///
    /// # Errors
    ///
    /// Those of `accept`; [`AcceptErrorKind`] tells them apart.
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Self::Stream>>;

    /// Converts the listener into its socket, deregistered from the runtime.
    ///
    /// # Errors
    ///
    /// Those of the runtime's reactor.
    fn into_socket(self) -> io::Result<Self::Socket>;

    /// Where it listens, for people: an address with its port, or the path of a Unix socket. `None` if that is not known.
    fn address(&self) -> Option<String> {
        None
    }

    /// The peer of a connection.
    fn peer(stream: &Self::Stream) -> Peer;

    /// Converts a connection of the socket into a stream of the runtime.
    ///
    /// # Errors
    ///
    /// Those of the runtime's reactor.
    fn adopt(stream: <Self::Socket as Socket>::Stream) -> io::Result<Self::Stream>;
}

/// How long to pause without descriptors or memory. Short, since the end of any connection frees both; long enough to cost
/// nothing.
pub(crate) const PAUSE: Duration = Duration::from_millis(10);
