//! The server's end as hyper knows it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::rt;

use super::Io;

/// What is read at a time.
const SPACE: usize = 4096;

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
