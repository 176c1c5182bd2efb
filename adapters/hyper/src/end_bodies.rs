//! Ends the bodies of a service of tower, some time after the drain began.

use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ebbtide::Watcher;
use http_body::{Body, Frame};
use hyper::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::http::Extensions;
use hyper::{Request, Response};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::ending_body::{BodyEnd, EndingBody};
use crate::news::News;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A layer of tower that ends the responses of a service some time after the drain began, though the service does not know of
/// drains. It is for event streams, gRPC streams, and other responses without an end of their own.
///
/// | a response that goes on for so long | ends |
/// |---|---|
/// | `text/event-stream` | in order, by an event that says [when to come back](Self::retry) |
/// | `application/grpc` | in order, by trailers: status 14, `UNAVAILABLE`, upon which clients go to another server |
/// | any other that does not say how long it is | [cut](BodyEnd::Cut), so that nobody takes a half for the whole; or in order, if it was said that this is [fine](Self::cleanly) |
/// | one that says how long it is (`Content-Length`) | by itself, or at the deadline: it is finite |
/// | one that is compressed (`Content-Encoding`) | cut, also if it has events: put this layer inside the one that compresses |
///
/// What is ready when the time is up is sent still, up to 1,024 frames. The time counts from the drain's beginning, or from the response's, if that is later. In a
/// [lame duck time](ebbtide::LameDuck) it counts from the connection's turn.
///
/// It hears of the drain by [`News`] or by a [`Watcher`] in the request's extensions. `ebbtide-axum` has the first in every
/// request, and so has [`Http`](crate::Http) if it is told so
/// ([`news_in_every_request`](crate::Http::news_in_every_request)). On
/// another server, [`draining`](Self::draining) takes a watcher. Without any of them it does nothing.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use axum::{Router, routing::get};
/// use ebbtide_hyper::EndBodies;
///
/// # async fn events() {}
/// let app: Router = Router::new()
///     .route("/events", get(events))
///     .layer(EndBodies::after(Duration::from_secs(1), tokio::time::sleep));
/// ```
#[derive(Clone)]
pub struct EndBodies<T> {
    time: Duration,
    sleep: T,
    retry: Range<Duration>,
    cleanly: bool,
    draining: Option<Watcher>,
}

/// When clients of event streams come back: about when browsers do that were told nothing, but not all at once.
const RETRY: Range<Duration> = Duration::from_secs(1)..Duration::from_secs(5);
/// Of gRPC: the server is going away, and the call may be made again.
const UNAVAILABLE: HeaderValue = HeaderValue::from_static("14");

impl<T> EndBodies<T> {
    /// Ends bodies so long after the drain began. `sleep` is the runtime's: `tokio::time::sleep`, `smol::Timer::after`.
    pub fn after(time: Duration, sleep: T) -> Self {
        Self { time, sleep, retry: RETRY, cleanly: false, draining: None }
    }

    /// When the clients of event streams are to come back: each at a time of its own in this span. Default: after 1 to 5 s.
    ///
    /// The span begins when the stream ends. It should begin no earlier than a server is there again.
    pub fn retry(mut self, span: Range<Duration>) -> Self {
        self.retry = span;
        self
    }

    /// Ends every body in order: for routes whose streams have no end of their own, so that no client waits for one. A
    /// client of another stream would take what it got for all there is.
    pub fn cleanly(mut self) -> Self {
        self.cleanly = true;
        self
    }

    /// Hears of the drain by this watcher, whatever the request has.
    pub fn draining(mut self, watcher: Watcher) -> Self {
        self.draining = Some(watcher);
        self
    }

    fn watcher(&self, extensions: &Extensions) -> Option<Watcher> {
        let told = || extensions.get::<News>().map(News::watcher).or_else(|| extensions.get().cloned());
        self.draining.clone().or_else(told)
    }

    /// How a response with this head ends that may have no end.
    fn how<D>(&self, headers: &HeaderMap) -> BodyEnd<D> {
        let in_order = if self.cleanly { BodyEnd::Clean(None) } else { BodyEnd::Cut };
        if headers.contains_key(CONTENT_ENCODING) {
            return in_order;
        }
        match media_type(headers) {
            Some(it) if it.eq_ignore_ascii_case("text/event-stream") => BodyEnd::Events(self.retry.clone()),
            Some(it) if is_grpc(it) => BodyEnd::Clean(Some(Frame::trailers(unavailable()))),
            _ => in_order,
        }
    }
}

fn media_type(headers: &HeaderMap) -> Option<&str> {
    let it = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    it.split(';').next().map(str::trim)
}

/// Not gRPC-Web, whose trailers are a part of its body.
fn is_grpc(media_type: &str) -> bool {
    let (kind, message) = media_type.split_once('+').unwrap_or((media_type, ""));
    kind.eq_ignore_ascii_case("application/grpc") && !message.contains('+')
}

fn unavailable() -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(2);
    trailers.insert(HeaderName::from_static("grpc-status"), UNAVAILABLE);
    trailers.insert(HeaderName::from_static("grpc-message"), HeaderValue::from_static("the server is draining"));
    trailers
}

impl<S, T: Clone> Layer<S> for EndBodies<T> {
    type Service = EndBodiesService<S, T>;

    fn layer(&self, inner: S) -> Self::Service {
        EndBodiesService { inner, layer: self.clone() }
    }
}

/// The service of [`EndBodies`].
#[derive(Clone, Debug)]
pub struct EndBodiesService<S, T> {
    inner: S,
    layer: EndBodies<T>,
}

impl<A, B, S, T, F> Service<Request<A>> for EndBodiesService<S, T>
where
    S: Service<Request<A>, Response = Response<B>>,
    B: Body<Data: From<String>, Error: Into<BoxError>>,
    T: Fn(Duration) -> F + Clone,
    F: Future,
{
    type Response = Response<EndingBody<B, T, F>>;
    type Error = S::Error;
    type Future = EndBodiesFuture<S::Future, T>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let watcher = self.layer.watcher(request.extensions());
        EndBodiesFuture { inner: self.inner.call(request), watcher, layer: self.layer.clone() }
    }
}

pin_project! {
    /// The future of a response of [`EndBodiesService`].
    #[must_use = "futures do nothing unless polled"]
    pub struct EndBodiesFuture<R, T> {
        #[pin]
        inner: R,
        watcher: Option<Watcher>,
        layer: EndBodies<T>,
    }
}

impl<R, B, E, T, F> Future for EndBodiesFuture<R, T>
where
    R: Future<Output = Result<Response<B>, E>>,
    B: Body<Data: From<String>, Error: Into<BoxError>>,
    T: Fn(Duration) -> F + Clone,
    F: Future,
{
    type Output = Result<Response<EndingBody<B, T, F>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let (head, body) = ready!(this.inner.poll(cx))?.into_parts();
        let is_finite =
            body.is_end_stream() || body.size_hint().exact().is_some() || head.headers.contains_key(CONTENT_LENGTH);
        let body = match this.watcher.take() {
            Some(watcher) if !is_finite => {
                let EndBodies { time, sleep, .. } = this.layer;
                EndingBody::new(body, watcher, *time, sleep.clone(), this.layer.how(&head.headers))
            }
            _ => EndingBody::left_alone(body),
        };
        Poll::Ready(Ok(Response::from_parts(head, body)))
    }
}

impl<T> fmt::Debug for EndBodies<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndBodies")
            .field("time", &self.time)
            .field("retry", &self.retry)
            .field("cleanly", &self.cleanly)
            .field("draining", &self.draining)
            .finish_non_exhaustive()
    }
}

impl<R, T> fmt::Debug for EndBodiesFuture<R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndBodiesFuture").field("layer", &self.layer).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn how(layer: &EndBodies<()>, headers: &[(HeaderName, &'static str)]) -> &'static str {
        let headers = headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect();
        match layer.how::<&[u8]>(&headers) {
            BodyEnd::Clean(None) => "in order",
            BodyEnd::Clean(Some(frame)) if frame.is_trailers() => "by trailers",
            BodyEnd::Clean(Some(_)) => "by data",
            BodyEnd::Events(_) => "by an event",
            BodyEnd::Cut => "cut",
        }
    }

    #[test]
    fn a_body_ends_as_its_media_type_has_it() {
        let layer = EndBodies::after(Duration::ZERO, ());
        for (media_type, expected) in [
            ("text/event-stream", "by an event"),
            ("text/Event-Stream; charset=utf-8", "by an event"),
            ("application/grpc", "by trailers"),
            ("application/grpc+proto", "by trailers"),
            ("application/grpc;foo=bar", "by trailers"),
            ("application/grpc-web+proto", "cut"),
            ("text/csv", "cut"),
            ("application/x-ndjson", "cut"),
        ] {
            assert_eq!(how(&layer, &[(CONTENT_TYPE, media_type)]), expected, "{media_type}");
        }
        assert_eq!(how(&layer, &[]), "cut");
        let cleanly = layer.cleanly();
        assert_eq!(how(&cleanly, &[(CONTENT_TYPE, "application/x-ndjson")]), "in order");
        assert_eq!(how(&cleanly, &[(CONTENT_TYPE, "text/event-stream")]), "by an event");
    }

    #[test]
    fn nothing_is_added_to_what_is_compressed() {
        let headers = [(CONTENT_TYPE, "text/event-stream"), (CONTENT_ENCODING, "gzip")];
        assert_eq!(how(&EndBodies::after(Duration::ZERO, ()), &headers), "cut");
    }
}
