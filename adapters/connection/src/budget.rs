//! How long one connection may keep its thread.

use std::task::{Context, Poll};

/// How much a connection may read without a pause, before it is the turn of its thread's other tasks.
///
/// A client that sends without a pause keeps its connection ready for ever. An executor that interrupts nobody, such as
/// smol's, would run nothing else; and an engine that reads in a loop would not return to tokio's either, which looks at its
/// sockets once in 61 turns while it has anything to run.
#[derive(Debug)]
pub struct Budget {
    left: u32,
    most: u32,
}

impl Budget {
    /// So many bytes. The last read may go beyond them.
    #[must_use]
    pub fn new(most: u32) -> Self {
        Self { left: most, most }
    }

    /// Ready for a read with room for so many bytes, if anything is left. If not, it wakes the task, and is full when that is
    /// polled again. It is the room that counts, for nobody knows yet what there is to be read.
    #[inline]
    pub fn poll_read(&mut self, cx: &mut Context<'_>, room: usize) -> Poll<()> {
        if self.left == 0 {
            return self.pause(cx);
        }
        self.left = self.left.saturating_sub(u32::try_from(room).unwrap_or(u32::MAX));
        Poll::Ready(())
    }

    #[cold]
    fn pause(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.refill();
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// The connection has paused by itself.
    #[inline]
    pub fn refill(&mut self) {
        self.left = self.most;
    }
}
