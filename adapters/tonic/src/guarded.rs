//! A connection that carries its guard.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use ebbtide::{Closed, Guard, Watcher};
use ebbtide_hyper::Bounds;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;
use tonic::transport::server::Connected;

/// A connection that the drain waits for, wherever it is: what [`Incoming`](crate::Incoming) is a stream of.
///
/// Once the drain is closed by force, every operation fails with [`ConnectionAborted`](io::ErrorKind::ConnectionAborted).
pub struct Guarded<I> {
    io: I,
    preface: Option<Preface>,
    // One for each direction, which may be polled by two tasks.
    read_closed: Closed,
    write_closed: Closed,
    guard: Guard,
}

/// The beginning of the connection, which is bounded in a drain.
struct Preface {
    draining: Watcher,
    read: usize,
    bounds: Bounds,
    time: Option<Pin<Box<Sleep>>>,
}

/// HTTP/2's (RFC 9113, section 3.4).
const LENGTH: usize = 24;

impl<I> Guarded<I> {
    pub(crate) fn new(io: I, guard: Guard, bounds: Bounds) -> Self {
        let draining = guard.watcher();
        Self {
            read_closed: draining.closed(),
            write_closed: draining.closed(),
            preface: Some(Preface { draining, read: 0, bounds, time: None }),
            io,
            guard,
        }
    }

    /// The connection itself.
    pub fn inner(&self) -> &I {
        &self.io
    }

    /// Its guard.
    pub fn guard(&self) -> &Guard {
        &self.guard
    }
}

impl Preface {
    /// Ready when the client has had its time.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        if Pin::new(&mut self.draining).poll(cx).is_pending() {
            return Poll::Pending;
        }
        let time = if self.read == 0 { self.bounds.silent } else { self.bounds.preface };
        let sleep = self.time.get_or_insert_with(|| sleep(time));
        sleep
            .as_mut()
            .poll(cx)
            .map(|()| io::Error::new(io::ErrorKind::TimedOut, "the drain has begun, and no preface came"))
    }

    /// So much has come: `None` once that is all.
    fn came(mut self, bytes: usize) -> Option<Self> {
        if self.read == 0 {
            // From here on it has the other bound.
            self.time = None;
        }
        self.read += bytes;
        (self.read < LENGTH).then_some(self)
    }
}

fn sleep(time: Duration) -> Pin<Box<Sleep>> {
    Box::pin(tokio::time::sleep(time))
}

fn check(closed: &mut Closed, cx: &mut Context<'_>) -> io::Result<()> {
    match Pin::new(closed).poll(cx) {
        Poll::Ready(()) => Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the drain was closed by force")),
        Poll::Pending => Ok(()),
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Guarded<I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        check(&mut this.read_closed, cx)?;
        let before = buf.filled().len();
        let read = Pin::new(&mut this.io).poll_read(cx, buf);
        if let Some(preface) = &mut this.preface {
            match read {
                Poll::Ready(Ok(())) => {
                    let came = buf.filled().len() - before;
                    this.preface = this.preface.take().and_then(|it| it.came(came));
                }
                Poll::Ready(Err(_)) => {}
                Poll::Pending => return preface.poll(cx).map(Err),
            }
        }
        read
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Guarded<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        check(&mut this.write_closed, cx)?;
        Pin::new(&mut this.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        check(&mut this.write_closed, cx)?;
        Pin::new(&mut this.io).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        check(&mut this.write_closed, cx)?;
        Pin::new(&mut this.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        check(&mut this.write_closed, cx)?;
        Pin::new(&mut this.io).poll_shutdown(cx)
    }
}

impl<I: Connected> Connected for Guarded<I> {
    type ConnectInfo = I::ConnectInfo;

    fn connect_info(&self) -> I::ConnectInfo {
        self.io.connect_info()
    }
}

impl<I: fmt::Debug> fmt::Debug for Guarded<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guarded").field("io", &self.io).field("guard", &self.guard).finish_non_exhaustive()
    }
}
