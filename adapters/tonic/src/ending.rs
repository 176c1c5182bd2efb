//! A stream that ends with the drain.

use std::pin::Pin;
use std::task::{Context, Poll};

use ebbtide::Watcher;
use futures_core::Stream;
use pin_project_lite::pin_project;
use tonic::Status;

/// Ends a stream of responses when the drain begins: after what is ready, with the status `UNAVAILABLE`, by which clients go to
/// another server.
///
/// What is ready is handed out still, up to 1,024 messages. Then the stream itself is dropped.
///
/// # Examples
///
/// ```
/// use ebbtide_tonic::ending;
/// use futures_util::{StreamExt, stream};
/// use tonic::Code;
///
/// # futures_util::FutureExt::now_or_never(async {
/// let drain = ebbtide::Drain::new();
/// let numbers = stream::iter([Ok(1), Ok(2)]).chain(stream::pending());
/// let mut numbers = ending(numbers, drain.watcher());
/// drop(drain.start());
/// assert_eq!(numbers.next().await.unwrap().unwrap(), 1);
/// assert_eq!(numbers.next().await.unwrap().unwrap(), 2);
/// assert_eq!(numbers.next().await.unwrap().unwrap_err().code(), Code::Unavailable);
/// assert!(numbers.next().await.is_none());
/// # }).expect("nothing is waited for");
/// ```
pub fn ending<S, T>(stream: S, watcher: Watcher) -> Ending<S>
where
    S: Stream<Item = Result<T, Status>>,
{
    Ending { stream: Some(stream), end: End::new(watcher) }
}

pin_project! {
    /// The stream of [`ending`].
    #[derive(Debug)]
    #[must_use = "streams do nothing unless polled"]
    pub struct Ending<S> {
        #[pin]
        stream: Option<S>,
        end: End,
    }
}

impl<S, T> Stream for Ending<S>
where
    S: Stream<Item = Result<T, Status>>,
{
    type Item = Result<T, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        let Some(stream) = this.stream.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        let ends = Pin::new(&mut this.end.watcher).poll(cx).is_ready();
        if let Some(polled) = this.end.poll(ends, || stream.poll_next(cx)) {
            if let Poll::Ready(None) = polled {
                this.stream.set(None);
            }
            return polled;
        }
        this.stream.set(None);
        Poll::Ready(Some(Err(unavailable())))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let most = self.stream.as_ref().map_or(Some(0), |it| it.size_hint().1);
        // One more: what it may end by.
        (0, most.and_then(|it| it.checked_add(1)))
    }
}

/// When something ends of which more may be ready.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) watcher: Watcher,
    /// How much more is handed out.
    left: u32,
}

/// As much as is likely to be in a channel. There is a bound, since some streams are ready for ever.
const MOST: u32 = 1024;

impl End {
    pub(crate) fn new(watcher: Watcher) -> Self {
        Self { watcher, left: MOST }
    }

    /// What is handed out, or waited for; `None` at the end.
    pub(crate) fn poll<T>(&mut self, ends: bool, poll: impl FnOnce() -> Poll<T>) -> Option<Poll<T>> {
        if !ends {
            return Some(poll());
        }
        self.left = self.left.checked_sub(1)?;
        Some(poll()).filter(Poll::is_ready)
    }
}

/// What a stream ends by. Clients take it for "try again, somewhere else" (gRPC, "Status codes and their use").
pub(crate) fn unavailable() -> Status {
    Status::unavailable("the server is draining")
}

#[cfg(test)]
mod tests {
    use ebbtide::Drain;
    use futures_util::stream::{self, FuturesUnordered};
    use futures_util::{FutureExt, StreamExt};
    use tonic::Code;

    use super::*;

    #[test]
    fn a_stream_that_ends_by_itself_ends_as_it_would() {
        let drain = Drain::new();
        let mut stream = ending(stream::iter([Ok::<_, Status>(1)]), drain.watcher());
        assert_eq!(stream.size_hint(), (0, Some(2)));
        drop(drain.start());
        assert_eq!(stream.next().now_or_never().expect("ready").expect("one").expect("no error"), 1);
        assert!(stream.next().now_or_never().expect("ready").is_none());
        assert!(stream.next().now_or_never().expect("ready").is_none());
    }

    #[test]
    fn a_stream_that_is_always_ready_ends_too() {
        let drain = Drain::new();
        let stream = ending(stream::repeat(0).map(Ok::<_, Status>), drain.watcher());
        drop(drain.start());
        let items: Vec<_> = stream.collect().now_or_never().expect("it ends");
        assert_eq!(items.len(), 1025);
        assert_eq!(items.last().expect("there is one").as_ref().expect_err("the end").code(), Code::Unavailable);
    }

    #[test]
    fn a_stream_that_waits_is_woken_by_the_drain() {
        let drain = Drain::new();
        let mut stream = ending(stream::pending::<Result<(), Status>>(), drain.watcher());
        // It polls only what was woken.
        let mut next = FuturesUnordered::from_iter([stream.next()]);
        assert!(next.next().now_or_never().is_none());
        drop(drain.start());
        assert!(next.next().now_or_never().is_some());
    }
}
