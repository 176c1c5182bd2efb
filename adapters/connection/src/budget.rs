//! `Budget`: how much a connection may read before it yields.

use std::task::{Context, Poll};

/// A cooperative scheduling budget: how many bytes a connection may read before it yields to other tasks.
///
/// A client that sends without a pause keeps its connection ready for ever. On an executor without such budgets, such as
/// smol's, no other task would run. On tokio, too, an engine that reads in a loop would not return to the executor.
#[derive(Debug)]
pub struct Budget {
    left: u32,
    most: u32,
}

impl Budget {
    /// A budget of `most` bytes. The last read may exceed it.
    #[must_use]
    pub fn new(most: u32) -> Self {
        Self { left: most, most }
    }

    /// Ready if any budget is left; takes `room` bytes of it, the size of the buffer to read into.
    ///
    /// Otherwise it wakes the task and is pending, and the budget is full at the next poll.
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

    /// Fills the budget: for a connection that has waited for its socket.
    #[inline]
    pub fn refill(&mut self) {
        self.left = self.most;
    }
}
