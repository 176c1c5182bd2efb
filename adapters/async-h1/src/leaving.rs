//! `Leaving`: the I/O of a connection that may leave for a successor.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use ebbtide_connection::{Accepted, Departing, Exit};
use futures_io::{AsyncRead, AsyncWrite};

/// The I/O of a connection, wrapped, so that the connection may leave for a successor. See
/// [`Departures`](ebbtide_connection::Departures).
///
/// It does so if [`Http::serve`](crate::Http::serve) serves it, with the [`Accepted`] that it comes with.
#[derive(Debug)]
pub struct Leaving<I> {
    /// `None` once it is dropped.
    io: Option<I>,
    departing: Departing<I>,
}

impl<I> Leaving<I> {
    /// The connection on `io` may leave by this exit. Serve it with what this returns in the place of the guard.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use ebbtide_async_h1::{Exit, Http, Leaving};
    /// use smol::net::TcpStream;
    /// # use http_types::{Request, Response};
    /// # async fn hello(_: Request) -> http_types::Result<Response> { unimplemented!() }
    ///
    /// async fn connection(http: Http, stream: TcpStream, guard: ebbtide::Guard, exit: Exit<TcpStream>) {
    ///     let (io, guard) = Leaving::new(stream, guard, &exit);
    ///     let _ = http.serve(io, hello, guard).await;
    /// }
    /// ```
    pub fn new(io: I, guard: impl Into<Accepted>, exit: &Exit<I>) -> (Self, Accepted) {
        let (departing, accepted) = Departing::new(guard, exit);
        (Self { io: Some(io), departing }, accepted)
    }
}

impl<I: Unpin> Leaving<I> {
    fn io(&mut self) -> io::Result<Pin<&mut I>> {
        self.io.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Leaving<I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.io()?.poll_read(cx, buf)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Leaving<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.io()?.poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.io()?.poll_write_vectored(cx, bufs)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io()?.poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io()?.poll_close(cx)
    }
}

impl<I> Drop for Leaving<I> {
    fn drop(&mut self) {
        if let Some(io) = self.io.take() {
            self.departing.end(io);
        }
    }
}
