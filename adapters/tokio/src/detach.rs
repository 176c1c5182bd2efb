//! `Detach`: streams that can be taken from the runtime.

use std::io;

use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

/// A stream that can be converted into a socket of the standard library, to be given to another runtime or another process.
///
/// Nothing is read or written for it, and the socket stays in non-blocking mode.
///
/// # Examples
///
/// ```
/// use ebbtide_tokio::Detach;
/// # use tokio::net::{TcpListener, TcpStream};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// # let listener = TcpListener::bind("127.0.0.1:0").await?;
/// let stream = TcpStream::connect(listener.local_addr()?).await?;
/// let socket: std::net::TcpStream = stream.detach()?;
/// # assert!(std::io::Read::read(&mut &socket, &mut [0]).is_err_and(|it| it.kind() == std::io::ErrorKind::WouldBlock));
/// # Ok(())
/// # }
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
        self.into_std()
    }
}

#[cfg(unix)]
impl Detach for UnixStream {
    type Socket = std::os::unix::net::UnixStream;

    fn detach(self) -> io::Result<std::os::unix::net::UnixStream> {
        self.into_std()
    }
}
