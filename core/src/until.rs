//! `Until`: a future that is dropped early by an event.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

use pin_project_lite::pin_project;

pin_project! {
    /// A future that runs another one until an event `W`, and drops it then.
    ///
    /// `W` is a [`Watcher`](crate::Watcher), a [`Closed`](crate::Closed), a [`Grace`](crate::Grace) or a
    /// [`Guard`](crate::Guard). The output is `Some` of the future's, or `None` if the future was dropped first. The future is
    /// dropped before `W` is, on a panic too. Polled again after it was ready, it is `None`.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the future, then `W`.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Until<W, F> {
        // The order of these two is the order they are dropped in.
        #[pin]
        future: Option<F>,
        end: Option<W>,
    }
}

impl<W, F> Until<W, F> {
    pub(crate) fn new(end: W, future: F) -> Self {
        Self { future: Some(future), end: Some(end) }
    }
}

/// An event that ends a future early. It is not `Future`, because a [`Guard`](crate::Guard) must not be one.
pub trait End: Unpin {
    /// Ready once the event has happened.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}

impl<W: End, F: Future> Future for Until<W, F> {
    type Output = Option<F::Output>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(end) = this.end.as_mut() else { return Poll::Ready(None) };
        // The event first, so that it ends a future which is always ready, too.
        let ended = end.poll_end(cx).is_ready();
        let output = match this.future.as_mut().as_pin_mut() {
            Some(future) if !ended => match future.poll(cx) {
                Poll::Ready(output) => Some(output),
                Poll::Pending => return Poll::Pending,
            },
            _ => None,
        };
        this.future.set(None);
        // Here, and not when this is dropped: a finished future may be kept in a set for long.
        *this.end = None;
        Poll::Ready(output)
    }
}
