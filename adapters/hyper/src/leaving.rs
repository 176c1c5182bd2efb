//! `Leaving`: the I/O of a connection that may leave for a successor.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use ebbtide_connection::{Accepted, Departing, Exit};
use hyper::rt::{Read, ReadBufCursor, Write};

/// The I/O of a connection, wrapped, so that the connection may leave for a successor. See
/// [`Departures`](ebbtide_connection::Departures).
///
/// It does so if [`Http::serve`](crate::Http::serve) or `Http::serve_tower` serves it, with the [`Accepted`] that it comes with.
///
/// hyper does not tell where a request body ends. So the connection stays and drains after one that is chunked, or longer than
/// 64 KiB, or that came in one read with another request. After the next request it may leave again.
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
    /// use ebbtide_hyper::{Exit, Http, Leaving};
    /// use hyper_util::rt::{TokioExecutor, TokioIo};
    /// use tokio::net::TcpStream;
    /// # use std::convert::Infallible;
    /// # use hyper::{Request, Response, body::Incoming, service::service_fn};
    /// # async fn hello(_: Request<Incoming>) -> Result<Response<String>, Infallible> { unimplemented!() }
    ///
    /// async fn connection(
    ///     http: Http<TokioExecutor>, stream: TcpStream, guard: ebbtide::Guard, exit: Exit<TokioIo<TcpStream>>,
    /// ) {
    ///     let (io, guard) = Leaving::new(TokioIo::new(stream), guard, &exit);
    ///     let _ = http.serve(io, service_fn(hello), guard).await;
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

impl<I: Read + Unpin> Read for Leaving<I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        self.io()?.poll_read(cx, buf)
    }
}

impl<I: Write + Unpin> Write for Leaving<I> {
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

    fn is_write_vectored(&self) -> bool {
        self.io.as_ref().is_some_and(Write::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io()?.poll_shutdown(cx)
    }
}

impl<I> Drop for Leaving<I> {
    fn drop(&mut self) {
        if let Some(io) = self.io.take() {
            self.departing.end(io);
        }
    }
}
