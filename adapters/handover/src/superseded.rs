//! `Superseded`: the moment at which a successor is in charge.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use ebbtide::{Cause, Watcher};

/// The future of [`Handover::superseded`](crate::Handover::superseded).
///
/// # Cancel safety
///
/// It may be dropped and made again.
#[derive(Clone, Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Superseded {
    pub(crate) watcher: Watcher,
}

impl Future for Superseded {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match Pin::new(&mut self.watcher).poll(cx) {
            // The handover was dropped: nobody comes any more.
            Poll::Ready(()) if self.watcher.cause() == Some(Cause::Dropped) => Poll::Pending,
            polled => polled,
        }
    }
}
