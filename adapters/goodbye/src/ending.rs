//! A stream that ends with the drain.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use ebbtide::Watcher;
use futures_core::Stream;
use pin_project_lite::pin_project;

pin_project! {
    /// A stream that passes the items of another one until the drain begins, and then has a last one, and ends.
    ///
    /// It is for responses that have no end of their own: server-sent events, a stream of gRPC, a long download of news. What
    /// is ready when the drain begins is passed still, up to 1,024 items: so a stream that always has an item ends too. The
    /// one inside is dropped before the last item is made. If it ends by itself, there is no last item.
    ///
    /// # Cancel safety
    ///
    /// As safe as the stream inside.
    ///
    /// # Examples
    ///
    /// Server-sent events that end by a `retry` field, by which each client is told a time of its own to come back at:
    /// see [`Watcher::spread`]. It may stand in an event without data, which tells the page nothing.
    ///
    /// ```
    /// use std::convert::Infallible;
    /// use std::time::Duration;
    ///
    /// use axum::response::sse::{Event, Sse};
    /// use ebbtide::Watcher;
    /// use ebbtide_goodbye::Ending;
    /// use futures_util::Stream;
    ///
    /// fn events<S>(events: S, draining: Watcher) -> Sse<impl Stream<Item = Result<Event, Infallible>>>
    /// where
    ///     S: Stream<Item = Result<Event, Infallible>> + Send + 'static,
    /// {
    ///     let span = Duration::from_secs(1)..Duration::from_secs(5);
    ///     Sse::new(Ending::new(events, draining, |it| Ok(Event::default().retry(it.spread(span)))))
    /// }
    /// # let _ = events(futures_util::stream::empty(), ebbtide::Drain::new().watcher());
    /// ```
    ///
    /// The same without axum, as a body of `http-body`:
    ///
    /// ```
    /// # use std::convert::Infallible;
    /// # use std::time::Duration;
    /// # use axum::body::Bytes;
    /// # use ebbtide::Watcher;
    /// # use ebbtide_goodbye::Ending;
    /// # use futures_util::Stream;
    /// use http_body::{Body, Frame};
    /// use http_body_util::StreamBody;
    ///
    /// fn body<S>(events: S, draining: Watcher) -> impl Body<Data = Bytes, Error = Infallible>
    /// # where S: Stream<Item = Result<Frame<Bytes>, Infallible>>
    /// {
    ///     let last = |it: &Watcher| {
    ///         let retry = it.spread(Duration::from_secs(1)..Duration::from_secs(5)).as_millis();
    ///         Ok(Frame::data(format!("retry: {retry}\n\n").into()))
    ///     };
    ///     StreamBody::new(Ending::new(events, draining, last))
    /// }
    /// ```
    #[must_use = "streams do nothing unless polled"]
    pub struct Ending<S, L> {
        // None once it has ended.
        #[pin]
        stream: Option<S>,
        end: Option<End<L>>,
    }
}

struct End<L> {
    draining: Watcher,
    last: L,
    /// How often the stream is asked still in the drain.
    left: u32,
}

/// As much as is likely to be in a channel. There is a bound, since some streams are ready for ever.
const MOST: u32 = 1024;

impl<S, L> Ending<S, L>
where
    S: Stream,
    L: FnOnce(&Watcher) -> S::Item,
{
    /// A stream that ends once `draining` is ready, with the item that `last` makes.
    pub fn new(stream: S, draining: Watcher, last: L) -> Self {
        Self { stream: Some(stream), end: Some(End { draining, last, left: MOST + 1 }) }
    }
}

impl<S, L> Stream for Ending<S, L>
where
    S: Stream,
    L: FnOnce(&Watcher) -> S::Item,
{
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let mut this = self.project();
        let Some(end) = this.end.as_mut() else { return Poll::Ready(None) };
        let is_draining = Pin::new(&mut end.draining).poll(cx).is_ready();
        end.left -= u32::from(is_draining);
        let next = match this.stream.as_mut().as_pin_mut() {
            Some(stream) if end.left > 0 => stream.poll_next(cx),
            _ => Poll::Pending,
        };
        let is_ended = match next {
            Poll::Ready(Some(_)) => return next,
            Poll::Ready(None) => false,
            Poll::Pending if is_draining => true,
            Poll::Pending => return Poll::Pending,
        };
        this.stream.set(None);
        let end = this.end.take().filter(|_| is_ended);
        Poll::Ready(end.map(|it| (it.last)(&it.draining)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let most = self.stream.as_ref().map_or(Some(0), |it| it.size_hint().1);
        // It may end at once, or with one more.
        (0, most.map(|it| it.saturating_add(usize::from(self.end.is_some()))))
    }
}

impl<S: fmt::Debug, L> fmt::Debug for Ending<S, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ending").field("stream", &self.stream).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::Waker;

    use ebbtide::Drain;
    use futures_util::{FutureExt, StreamExt, stream};

    use super::*;

    fn next<S: Stream>(stream: Pin<&mut S>) -> Poll<Option<S::Item>> {
        stream.poll_next(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_stream_ends_with_the_drain_by_a_last_item() {
        let drain = Drain::new();
        let ticks = stream::once(async { "tick" }).chain(stream::pending());
        let mut ending = Box::pin(Ending::new(ticks, drain.watcher(), |_| "last"));
        assert_eq!(next(ending.as_mut()), Poll::Ready(Some("tick")));
        assert_eq!(next(ending.as_mut()), Poll::Pending);
        drop(drain.start());
        assert_eq!(next(ending.as_mut()), Poll::Ready(Some("last")));
        assert_eq!(next(ending.as_mut()), Poll::Ready(None));
        assert_eq!(next(ending.as_mut()), Poll::Ready(None));
    }

    #[test]
    fn one_that_always_has_an_item_ends_too() {
        let drain = Drain::new();
        let ending = Ending::new(stream::repeat("tick"), drain.watcher(), |_| "last");
        drop(drain.start());
        let items: Vec<_> = ending.collect().now_or_never().expect("it ends");
        assert_eq!((items.len(), items[1023], items[1024]), (1025, "tick", "last"));
    }

    #[test]
    fn what_is_ready_when_the_drain_begins_is_passed_before_the_last_item() {
        let drain = Drain::new();
        let ticks = stream::iter(["one", "two"]).chain(stream::pending());
        let ending = Ending::new(ticks, drain.watcher(), |_| "last");
        drop(drain.start());
        let items: Vec<_> = ending.collect().now_or_never().expect("it ends");
        assert_eq!(items, ["one", "two", "last"]);
    }

    #[test]
    fn one_that_ends_by_itself_has_no_last_item() {
        let drain = Drain::new();
        let mut ending = Ending::new(stream::iter(["tick"]), drain.watcher(), |_| "last");
        assert_eq!(next(Pin::new(&mut ending)), Poll::Ready(Some("tick")));
        assert_eq!(next(Pin::new(&mut ending)), Poll::Ready(None));
        drop(drain.start());
        assert_eq!(next(Pin::new(&mut ending)), Poll::Ready(None));
    }

    #[test]
    fn one_made_while_draining_of_what_is_not_ready_has_the_last_item_alone() {
        let drain = Drain::new();
        drop(drain.start_because("a test"));
        let last = |it: &Watcher| it.cause().expect("it has begun").to_string();
        let mut ending = Ending::new(stream::pending(), drain.watcher(), last);
        assert_eq!(next(Pin::new(&mut ending)), Poll::Ready(Some("a test".to_owned())));
        assert_eq!(next(Pin::new(&mut ending)), Poll::Ready(None));
    }

    #[test]
    fn what_the_stream_held_is_gone_before_the_last_item_is_made() {
        let (drain, held) = (Drain::new(), Arc::new(()));
        let count = Arc::downgrade(&held);
        let ticks =
            stream::poll_fn(move |_| if Arc::strong_count(&held) > 0 { Poll::Pending } else { Poll::Ready(None) });
        let mut ending = Ending::new(ticks, drain.watcher(), move |_| count.strong_count());
        assert_eq!(next(Pin::new(&mut ending)), Poll::Pending);
        drop(drain.start());
        assert_eq!(next(Pin::new(&mut ending)), Poll::Ready(Some(0)));
    }
}
