//! What a server accepts from.

use std::fmt;
use std::io;

use ebbtide_accept::Socket;

/// A listener of the runtime `R`, as a server takes it.
///
/// On tokio that is everything axum serves: `TcpListener`, `UnixListener`, and whatever else implements axum's own
/// `Listener`. On smol it is smol's two.
pub trait Listener<R>: Send + 'static {
    /// What it accepts.
    type Io: Send + 'static;
    /// Who its clients are.
    type Addr: fmt::Debug + Send;
    /// What it is to the accept loop.
    type Accepting: ebbtide_accept::Listener<R, Stream = (Self::Io, Self::Addr), Socket: Socket<Stream: Send> + Send>
        + Send;

    /// Where it listens.
    ///
    /// # Errors
    ///
    /// Those of the socket.
    fn local_addr(&self) -> io::Result<Self::Addr>;

    /// Hands it to the accept loop.
    fn accepting(self) -> Self::Accepting;
}

/// The address of a client that was accepted. One that is not known any more is that of a client which is gone, as `accept`
/// says it of others.
#[cfg(any(feature = "tokio", feature = "smol"))]
pub(crate) fn peer<A>(addr: io::Result<A>) -> io::Result<A> {
    addr.map_err(|error| io::Error::new(io::ErrorKind::ConnectionAborted, error))
}
