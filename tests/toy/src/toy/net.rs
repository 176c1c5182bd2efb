//! TCP.

use std::future::poll_fn;
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncWrite};

use super::reactor::{Direction, Registered};

/// A TCP listener.
#[derive(Debug)]
pub struct TcpListener {
    socket: Registered<std::net::TcpListener>,
}

/// A TCP connection. Closing it ends its direction and no more.
#[derive(Debug)]
pub struct TcpStream {
    socket: Registered<std::net::TcpStream>,
}

impl TcpListener {
    /// Listens.
    ///
    /// # Errors
    ///
    /// Those of `bind`, and of the reactor.
    pub fn bind(addr: impl ToSocketAddrs) -> io::Result<Self> {
        std::net::TcpListener::bind(addr)?.try_into()
    }

    /// Where.
    ///
    /// # Errors
    ///
    /// Those of `getsockname`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.socket().local_addr()
    }

    /// Accepts a connection.
    ///
    /// # Errors
    ///
    /// Those of `accept`, and of the reactor.
    pub async fn accept(&mut self) -> io::Result<TcpStream> {
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    /// Accepts a connection.
    ///
    /// # Errors
    ///
    /// Those of `accept`, and of the reactor.
    pub fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        let accepted = self.socket.poll(Direction::Read, cx, std::net::TcpListener::accept);
        accepted.map(|accepted| accepted.and_then(|(stream, _)| stream.try_into()))
    }

    /// The socket, out of the runtime. It stays non-blocking.
    #[must_use]
    pub fn into_std(self) -> std::net::TcpListener {
        self.socket.into_socket()
    }
}

impl TcpStream {
    /// The other end.
    ///
    /// # Errors
    ///
    /// Those of `getpeername`.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.socket().peer_addr()
    }

    /// Our own address.
    ///
    /// # Errors
    ///
    /// Those of `getsockname`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.socket().local_addr()
    }

    /// Sends small writes when they are made.
    ///
    /// # Errors
    ///
    /// Those of `setsockopt`.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.socket.socket().set_nodelay(nodelay)
    }
}

impl TryFrom<std::net::TcpListener> for TcpListener {
    type Error = io::Error;

    fn try_from(socket: std::net::TcpListener) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self { socket: Registered::new(socket)? })
    }
}

impl TryFrom<std::net::TcpStream> for TcpStream {
    type Error = io::Error;

    fn try_from(socket: std::net::TcpStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self { socket: Registered::new(socket)? })
    }
}

impl AsyncRead for TcpStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.socket.poll(Direction::Read, cx, |mut socket| socket.read(buf))
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.socket.poll(Direction::Write, cx, |mut socket| socket.write(buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.socket.poll(Direction::Write, cx, |mut socket| socket.write_vectored(bufs))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.socket.socket().shutdown(Shutdown::Write))
    }
}
