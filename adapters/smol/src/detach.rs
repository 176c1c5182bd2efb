//! `Detach`: streams that can be taken from the runtime.

use std::io;
use std::sync::Arc;

use async_io::Async;
use async_net::TcpStream;
#[cfg(unix)]
use async_net::unix::UnixStream;

/// A stream that can be converted into a socket of the standard library, to be given to another runtime or another process.
///
/// Nothing is read or written for it, and the socket stays in non-blocking mode.
///
/// # Examples
///
/// ```
/// use ebbtide_smol::Detach;
/// # use smol::net::{TcpListener, TcpStream};
///
/// # fn main() -> std::io::Result<()> { smol::block_on(async {
/// # let listener = TcpListener::bind("127.0.0.1:0").await?;
/// let stream = TcpStream::connect(listener.local_addr()?).await?;
/// let socket: std::net::TcpStream = stream.detach()?;
/// # assert!(std::io::Read::read(&mut &socket, &mut [0]).is_err_and(|it| it.kind() == std::io::ErrorKind::WouldBlock));
/// # Ok(())
/// # }) }
/// ```
pub trait Detach {
    /// Its socket in the standard library.
    type Socket;

    /// Takes the socket from the runtime.
    ///
    /// # Errors
    ///
    /// Those of the runtime's reactor. The socket is closed then.
    fn detach(self) -> io::Result<Self::Socket>;
}

impl Detach for TcpStream {
    type Socket = std::net::TcpStream;

    fn detach(self) -> io::Result<std::net::TcpStream> {
        let socket: Arc<Async<Self::Socket>> = self.into();
        // Where it is shared, by its descriptor.
        Arc::try_unwrap(socket).map_or_else(|socket| socket.get_ref().try_clone(), Async::into_inner)
    }
}

#[cfg(unix)]
impl Detach for UnixStream {
    type Socket = std::os::unix::net::UnixStream;

    fn detach(self) -> io::Result<std::os::unix::net::UnixStream> {
        let socket: Arc<Async<Self::Socket>> = self.into();
        // Where it is shared, by its descriptor.
        Arc::try_unwrap(socket).map_or_else(|socket| socket.get_ref().try_clone(), Async::into_inner)
    }
}
