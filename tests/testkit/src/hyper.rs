//! A simulation as hyper knows it.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::rt;

use crate::clock::Sleep;
use crate::pipe::Io;
use crate::runtime::Runtime;

/// What is read at a time.
const SPACE: usize = 4096;

impl rt::Timer for Runtime {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(Self::sleep(self, duration))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(self.clock().sleep_until(deadline.saturating_duration_since(self.clock().start())))
    }

    fn now(&self) -> Instant {
        self.clock().start() + Self::now(self)
    }
}

impl rt::Sleep for Sleep {}

impl<F: Future + 'static> rt::Executor<F> for Runtime {
    fn execute(&self, future: F) {
        self.spawn(async {
            future.await;
        });
    }
}

impl rt::Read for Io {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, mut buf: rt::ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let mut space = [0; SPACE];
        let room = buf.remaining().min(SPACE);
        let read = ready!(self.read(cx, &mut space[..room]))?;
        buf.put_slice(&space[..read]);
        Poll::Ready(Ok(()))
    }
}

impl rt::Write for Io {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.end();
        Poll::Ready(Ok(()))
    }
}
