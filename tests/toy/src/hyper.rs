//! What hyper wants of a runtime: its streams, its clock and its tasks.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use futures_io::{AsyncRead, AsyncWrite};
use hyper::rt::{self, ReadBufCursor};

use crate::toy::net::TcpStream;
use crate::toy::{self, Sleep};

/// What is read at a time. hyper's cursor cannot be read into without `unsafe`, so it is read here and copied.
const PIECE: usize = 16 * 1024;

impl rt::Read for TcpStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let mut piece = [0; PIECE];
        let room = buf.remaining().min(PIECE);
        let length = ready!(AsyncRead::poll_read(self, cx, &mut piece[..room]))?;
        buf.put_slice(&piece[..length]);
        Poll::Ready(Ok(()))
    }
}

impl rt::Write for TcpStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        AsyncWrite::poll_write(self, cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        AsyncWrite::poll_write_vectored(self, cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_flush(self, cx)
    }

    /// Our end only: what the client still sends is read on.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_close(self, cx)
    }
}

/// Runs hyper's tasks, which are the streams of HTTP/2.
#[derive(Clone, Copy, Debug, Default)]
pub struct Executor;

impl<F: Future<Output: 'static> + 'static> rt::Executor<F> for Executor {
    fn execute(&self, future: F) {
        drop(toy::spawn(future));
    }
}

/// The clock of [`toy::sleep`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Timer;

impl rt::Timer for Timer {
    fn sleep(&self, time: Duration) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(toy::sleep(time))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(Sleep::until(Some(deadline)))
    }
}

impl rt::Sleep for Sleep {}
