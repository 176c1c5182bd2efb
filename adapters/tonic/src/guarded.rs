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

#[cfg(test)]
mod tests {
    use ebbtide::Drain;
    use futures_util::FutureExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::time::advance;

    use super::*;

    fn connection() -> (Drain, DuplexStream, Guarded<DuplexStream>) {
        let (drain, (client, server)) = (Drain::new(), duplex(64));
        let guarded = Guarded::new(server, drain.guard().expect("running"), Bounds::default());
        (drain, client, guarded)
    }

    /// What is there to be read.
    fn read(guarded: &mut Guarded<DuplexStream>) -> Option<io::Result<usize>> {
        guarded.read(&mut [0; 64]).now_or_never()
    }

    #[tokio::test(start_paused = true)]
    async fn a_preface_is_bounded_in_a_drain_and_not_before() {
        let (drain, mut client, mut guarded) = connection();
        assert!(read(&mut guarded).is_none());
        advance(Duration::from_secs(3600)).await;
        assert!(read(&mut guarded).is_none());
        drop(drain.start());
        assert!(read(&mut guarded).is_none());
        advance(Duration::from_millis(100)).await;
        client.write_all(b"P").await.expect("open");
        assert_eq!(read(&mut guarded).expect("it is there").expect("no error"), 1);
        // From here on it is half a preface, and no silence.
        assert!(read(&mut guarded).is_none());
        advance(Duration::from_secs(4)).await;
        assert!(read(&mut guarded).is_none());
        advance(Duration::from_secs(2)).await;
        let error = read(&mut guarded).expect("its time is over").expect_err("no preface");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_behind_a_preface_is_not_bounded() {
        let (drain, mut client, mut guarded) = connection();
        client.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.expect("open");
        drop(drain.start());
        assert_eq!(read(&mut guarded).expect("it is there").expect("no error"), LENGTH);
        advance(Duration::from_secs(3600)).await;
        assert!(read(&mut guarded).is_none());
    }

    #[tokio::test]
    async fn a_forced_close_wakes_who_reads_and_who_writes() {
        let (drain, _client, guarded) = connection();
        let (mut reader, mut writer) = tokio::io::split(guarded);
        let read = tokio::spawn(async move { reader.read(&mut [0; 64]).await });
        // More than there is room for.
        let written = tokio::spawn(async move { writer.write_all(&[0; 1024]).await });
        tokio::task::yield_now().await;
        drain.close();
        assert_eq!(read.await.expect("no panic").expect_err("closed").kind(), io::ErrorKind::ConnectionAborted);
        assert_eq!(written.await.expect("no panic").expect_err("closed").kind(), io::ErrorKind::ConnectionAborted);
    }
}
