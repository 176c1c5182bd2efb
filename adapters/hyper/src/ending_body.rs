//! A body that is ended from outside, some time after the drain began.

use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ebbtide::{Grace, Watcher};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Buf;
use pin_project_lite::pin_project;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How a response's body is ended that has not ended by itself.
#[derive(Debug)]
#[non_exhaustive]
pub enum BodyEnd<D> {
    /// As if it had ended by itself: with the last chunk on HTTP/1, with `END_STREAM` on HTTP/2. Its client takes it for
    /// complete, so this is for streams that have no end of their own. A last frame goes before it, if there is one: data, or
    /// trailers.
    Clean(Option<Frame<D>>),
    /// As [`Clean`](Self::Clean), with a last event that tells the client of server-sent events when to come back, by
    /// its field `retry`. Each client is told a time of its own in this span: see [`Watcher::spread`]. There is none if the
    /// stream stands in the middle of an event.
    Events(Range<Duration>),
    /// By an error, so that nobody takes a half for the whole. On HTTP/1 the last chunk is missing, and the connection ends.
    /// On HTTP/2 the stream is reset.
    Cut,
}

pin_project! {
    /// A body that passes the frames of another one, but no longer than some time after the drain began. What is ready then
    /// is passed still, up to 1,024 frames.
    ///
    /// It is for bodies that have no end of their own, and that you cannot tell of the drain. A whole service, whoever wrote
    /// it, has such bodies by the layer `EndBodies`, with the feature `tower`.
    ///
    /// The time begins when the body is polled in the drain, at the earliest. A body that is not polled because its client
    /// does not read has [`Bounds::stall`](crate::Bounds::stall) instead. `T` makes the timers, which are `F`: the
    /// runtime's sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use ebbtide::Watcher;
    /// use ebbtide_hyper::{BodyEnd, EndingBody};
    /// use http_body::Body;
    ///
    /// fn ticks<B>(body: B, draining: Watcher) -> impl Body
    /// where
    ///     B: Body<Data: From<String>, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
    /// {
    ///     EndingBody::new(body, draining, Duration::from_secs(1), tokio::time::sleep, BodyEnd::Clean(None))
    /// }
    /// ```
    pub struct EndingBody<B: Body, T, F> {
        // None once it was ended.
        #[pin]
        inner: Option<B>,
        // None if it ends by itself alone. Boxed, since most bodies of a service do, and all are moved about.
        end: Option<Box<End<B::Data, T, F>>>,
    }
}

struct End<D, T, F> {
    grace: Grace<T, F>,
    watcher: Watcher,
    how: BodyEnd<D>,
    /// The last bytes that were passed.
    tail: [u8; 4],
    /// How often the body is asked still once the time is up.
    left: u32,
}

/// As much as is likely to be in a channel. There is a bound, since some bodies are ready for ever.
const MOST: u32 = 1024;

impl<B: Body, T, F> EndingBody<B, T, F>
where
    T: Fn(Duration) -> F,
    F: Future,
{
    /// A body that ends by itself, or so long after `draining` is ready. `sleep` is the runtime's: `tokio::time::sleep`,
    /// `smol::Timer::after`.
    pub fn new(body: B, draining: Watcher, time: Duration, sleep: T, how: BodyEnd<B::Data>) -> Self {
        // Nothing is no half of an event.
        let (watcher, tail) = (draining.clone(), *b"\n\n\n\n");
        let end = End { grace: draining.grace(time, sleep), watcher, how, tail, left: MOST + 1 };
        Self { inner: Some(body), end: Some(Box::new(end)) }
    }

    /// A body that ends by itself alone.
    #[cfg(feature = "tower")]
    pub(crate) fn left_alone(body: B) -> Self {
        Self { inner: Some(body), end: None }
    }
}

impl<D, T: Fn(Duration) -> F, F: Future> End<D, T, F> {
    /// Whether the time is up, and whether nothing more is passed.
    fn poll(&mut self, cx: &mut Context<'_>) -> (bool, bool) {
        let is_time_up = Pin::new(&mut self.grace).poll(cx).is_ready();
        self.left -= u32::from(is_time_up);
        (is_time_up, self.left == 0)
    }
}

impl<D: Buf + From<String>, T, F> End<D, T, F> {
    /// This was passed.
    fn pass(&mut self, data: &D) {
        let bytes = data.chunk();
        if bytes.len() < data.remaining() {
            // Its last bytes cannot be seen.
            self.tail = [0; 4];
            return;
        }
        for byte in &bytes[bytes.len().saturating_sub(self.tail.len())..] {
            self.tail.rotate_left(1);
            self.tail[3] = *byte;
        }
    }

    /// Whether an event has just ended: by an empty line, and a line ends by CR, LF or both.
    fn is_between_events(&self) -> bool {
        [&b"\n\n"[..], b"\r\r", b"\n\r\n"].iter().any(|it| self.tail.ends_with(it))
    }

    /// What is left to be passed.
    fn last(self) -> Option<Result<Frame<D>, BoxError>> {
        let is_between_events = self.is_between_events();
        match self.how {
            BodyEnd::Clean(frame) => frame.map(Ok),
            BodyEnd::Events(span) => is_between_events.then(|| {
                let retry = self.watcher.spread(span).as_millis();
                Ok(Frame::data(format!("retry: {retry}\n\n").into()))
            }),
            BodyEnd::Cut => Some(Err("the drain did not wait longer for the end of this response".into())),
        }
    }
}

impl<B, T, F> Body for EndingBody<B, T, F>
where
    B: Body<Data: From<String>, Error: Into<BoxError>>,
    T: Fn(Duration) -> F,
    F: Future,
{
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, BoxError>>> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        let (is_time_up, is_over) = this.end.as_mut().map_or((false, false), |it| it.poll(cx));
        let frame = if is_over { Poll::Pending } else { inner.poll_frame(cx) };
        if is_time_up && frame.is_pending() {
            // Before the last frame is made: whatever it holds is of no use any more.
            this.inner.set(None);
            return Poll::Ready(this.end.take().and_then(|it| it.last()));
        }
        let frame = ready!(frame);
        match (&frame, this.end.as_mut()) {
            (Some(Ok(frame)), Some(end)) => match frame.data_ref() {
                Some(data) => end.pass(data),
                // Trailers: it is about to end by itself.
                None => *this.end = None,
            },
            (Some(Ok(_)), None) => {}
            (None | Some(Err(_)), _) => *this.end = None,
        }
        Poll::Ready(frame.map(|it| it.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.inner, &self.end) {
            (Some(inner), None) => inner.size_hint(),
            (Some(_), Some(_)) => SizeHint::default(),
            (None, _) => SizeHint::with_exact(0),
        }
    }
}

impl<B: Body + fmt::Debug, T, F> fmt::Debug for EndingBody<B, T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndingBody").field("inner", &self.inner).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::{Pending, pending, ready};
    use std::task::Waker;

    use ebbtide::Drain;
    use futures_lite::stream::{self, StreamExt};
    use http_body_util::StreamBody;
    use hyper::HeaderMap;
    use hyper::body::Bytes;

    use super::*;

    type Never = fn(Duration) -> Pending<()>;

    /// The frames of a body until it is pending or at its end, and which of the two.
    fn frames<B: Body<Data = Bytes, Error = BoxError> + Unpin>(body: &mut B) -> (Vec<String>, bool) {
        let mut frames = Vec::new();
        loop {
            match Pin::new(&mut *body).poll_frame(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => frames.push(String::from_utf8(data.to_vec()).expect("text")),
                    Err(trailers) => frames.push(format!("{:?}", trailers.into_trailers().expect("trailers"))),
                },
                Poll::Ready(Some(Err(error))) => frames.push(format!("error: {error}")),
                Poll::Ready(None) => return (frames, true),
                Poll::Pending => return (frames, false),
            }
        }
    }

    /// These, and then nothing for ever.
    fn endless(pieces: &'static [&'static str]) -> impl Body<Data = Bytes, Error = Infallible> + Unpin {
        let pieces = stream::iter(pieces).map(|it| Ok(Frame::data(Bytes::from(*it))));
        StreamBody::new(pieces.chain(stream::pending()))
    }

    /// What follows when the drain has begun behind these pieces.
    fn last(pieces: &'static [&'static str], how: BodyEnd<Bytes>) -> Vec<String> {
        let drain = Drain::new();
        let mut body = EndingBody::new(endless(pieces), drain.watcher(), Duration::ZERO, |_| ready(()), how);
        assert_eq!(frames(&mut body), (pieces.iter().map(|it| (*it).to_owned()).collect(), false));
        drop(drain.start());
        let (last, has_ended) = frames(&mut body);
        assert!(has_ended && body.is_end_stream());
        last
    }

    #[test]
    fn a_body_that_is_ended_in_order_has_its_last_frame_and_no_more() {
        assert_eq!(last(&["tick"], BodyEnd::Clean(None)), [""; 0]);
        assert_eq!(last(&["tick"], BodyEnd::Clean(Some(Frame::data("bye".into())))), ["bye"]);
        let trailers = Frame::trailers(HeaderMap::new());
        assert_eq!(last(&["tick"], BodyEnd::Clean(Some(trailers))), ["{}"]);
    }

    #[test]
    fn one_that_is_cut_ends_by_an_error() {
        let last = last(&["half"], BodyEnd::Cut);
        assert!(last.len() == 1 && last[0].starts_with("error: "), "{last:?}");
    }

    #[test]
    fn a_stream_of_events_tells_when_to_come_back_unless_it_is_within_an_event() {
        let events = || BodyEnd::Events(Duration::from_secs(1)..Duration::from_secs(2));
        for pieces in [&[][..], &["data: 1\n\n"], &["data: 1\n", "\n"], &["data: 1\r\n\r", "\n"], &["data: 1\r", "\r"]]
        {
            // The first place in any span.
            assert_eq!(last(pieces, events()), ["retry: 1618\n\n"], "behind {pieces:?}");
        }
        for pieces in [&["data: 1"][..], &["data: 1\n"], &["data: 1\r\n"], &["data: 1\n\ndata: 2\n"]] {
            assert_eq!(last(pieces, events()), [""; 0], "behind {pieces:?}");
        }
    }

    #[test]
    fn one_that_always_has_a_frame_ends_too() {
        let drain = Drain::new();
        let ticks = StreamBody::new(stream::repeat_with(|| Ok::<_, Infallible>(Frame::data(Bytes::from("tick")))));
        let mut body = EndingBody::new(ticks, drain.watcher(), Duration::ZERO, |_| ready(()), BodyEnd::Clean(None));
        let polled = Pin::new(&mut body).poll_frame(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Ready(Some(Ok(_)))));
        drop(drain.start());
        let (ticks, has_ended) = frames(&mut body);
        assert_eq!((ticks.len(), has_ended), (1024, true));
    }

    #[test]
    fn what_is_ready_when_the_time_is_up_is_passed() {
        let drain = Drain::new();
        let how = BodyEnd::Clean(Some(Frame::data("bye".into())));
        let mut body = EndingBody::new(endless(&["one", "two"]), drain.watcher(), Duration::ZERO, |_| ready(()), how);
        drop(drain.start());
        assert_eq!(frames(&mut body), (["one", "two", "bye"].map(String::from).to_vec(), true));
    }

    #[test]
    fn nothing_is_ended_before_its_time() {
        let drain = Drain::new();
        let never: Never = |_| pending();
        let mut body =
            EndingBody::new(endless(&["tick"]), drain.watcher(), Duration::from_secs(1), never, BodyEnd::Cut);
        drop(drain.start());
        assert_eq!(frames(&mut body), (vec!["tick".to_owned()], false));
        assert!(!body.is_end_stream());
    }

    #[test]
    fn one_that_ends_by_itself_has_nothing_added() {
        let drain = Drain::new();
        let pieces = StreamBody::new(stream::iter([Ok::<_, Infallible>(Frame::data(Bytes::from("all")))]));
        let how = BodyEnd::Clean(Some(Frame::data("bye".into())));
        let mut body = EndingBody::new(pieces, drain.watcher(), Duration::ZERO, |_| ready(()), how);
        assert_eq!(frames(&mut body), (vec!["all".to_owned()], true));
        drop(drain.start());
        assert_eq!(frames(&mut body), (vec![], true));
    }

    #[test]
    fn the_length_of_what_may_be_ended_is_not_known() {
        let never: Never = |_| pending();
        let full = || http_body_util::Full::new(Bytes::from("full"));
        let body = EndingBody::new(full(), Drain::new().watcher(), Duration::ZERO, never, BodyEnd::Cut);
        assert_eq!(body.size_hint().exact(), None);
        #[cfg(feature = "tower")]
        assert_eq!(EndingBody::<_, Never, _>::left_alone(full()).size_hint().exact(), Some(4));
    }
}
