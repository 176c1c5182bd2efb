//! A future that something may end early.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

use pin_project_lite::pin_project;

pin_project! {
    /// Runs a future until `W` says that it is to end: a [`Watcher`](crate::Watcher), a [`Closed`](crate::Closed), a
    /// [`Grace`](crate::Grace), or a [`Guard`](crate::Guard), which also holds the drain up meanwhile.
    ///
    /// It is `Some` of the future's output, or `None` if the future was dropped first. The future goes before
    /// `W` does, on a panic too. Polled again after it was ready, it is `None`.
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

/// What ends a future early. It is not `Future`, because a [`Guard`](crate::Guard) is none: whoever awaited one would wait
/// for something else than they mean.
pub trait End: Unpin {
    /// Ready when the future is to end.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}

impl<W: End, F: Future> Future for Until<W, F> {
    type Output = Option<F::Output>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(end) = this.end.as_mut() else { return Poll::Ready(None) };
        // The end first, so that a future which is always ready does not outrun it.
        let ended = end.poll_end(cx).is_ready();
        let output = match this.future.as_mut().as_pin_mut() {
            Some(future) if !ended => match future.poll(cx) {
                Poll::Ready(output) => Some(output),
                Poll::Pending => return Poll::Pending,
            },
            _ => None,
        };
        this.future.set(None);
        // Here and not when this is dropped: a finished future may lie about in a set for long.
        *this.end = None;
        Poll::Ready(output)
    }
}
