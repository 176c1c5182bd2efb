//! How long one connection may keep its thread.

use std::task::{Context, Poll};

/// Steps that a connection may take without a pause, before it is the turn of its thread's other tasks.
///
/// A client that sends without a pause keeps its connection ready for ever. An executor that interrupts nobody, such as
/// smol's, would run nothing else; and an engine that reads in a loop would not return to tokio's either.
#[derive(Debug)]
pub struct Budget {
    left: u8,
    most: u8,
}

impl Budget {
    /// So many steps.
    #[must_use]
    pub fn new(most: u8) -> Self {
        Self { left: most, most }
    }

    /// Takes a step, if one is left. If not, it wakes the task and is full when that is polled again.
    #[inline]
    pub fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.left == 0 {
            return self.pause(cx);
        }
        self.left -= 1;
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
