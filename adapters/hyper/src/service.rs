//! `DrainService`: a service wrapped, which counts requests in flight and says `Connection: close`.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ebbtide_connection::Tracker;
use http_body::{Frame, SizeHint};
use hyper::body::{Body, Incoming};
use hyper::header::{CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderValue};
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, StatusCode, Version};
use pin_project_lite::pin_project;

use crate::boundary::Requests;
use crate::news::Roomy;
use crate::tasks;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A service, wrapped: the drain waits for its requests, and its last response says `Connection: close`.
///
/// A request that may upgrade has a [`Watcher`](ebbtide::Watcher) and a [`Guard`](ebbtide::Guard) in its extensions. With
/// [`Http::extend_every_request`](crate::Http::extend_every_request) every request has.
///
/// The watcher is ready when the drain begins, or earlier in the connection's turn of a
/// [lame duck time](ebbtide::LameDuck). The guard is for work that goes on after the response. (A watcher that is made of the
/// guard knows of no turn.)
#[derive(Debug)]
pub struct DrainService<S> {
    inner: S,
    tracker: Arc<Tracker>,
    extends: Extends,
    news: Option<Roomy>,
    /// If the connection may leave for a successor.
    requests: Option<Arc<Requests>>,
}

/// What to put into the extensions of requests.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Extends {
    /// A watcher and a guard, into those that may upgrade.
    Upgrades,
    /// The same, and [`News`](crate::News) into every one.
    News,
    /// A watcher and a guard, into every one.
    Every,
}

impl<S> DrainService<S> {
    pub(crate) fn new(inner: S, tracker: Arc<Tracker>, extends: Extends, requests: Option<Arc<Requests>>) -> Self {
        let news = matches!(extends, Extends::News).then(|| Roomy::new(tracker.clone()));
        Self { inner, tracker, extends, news, requests }
    }
}

impl<S, B> hyper::service::Service<Request<Incoming>> for DrainService<S>
where
    S: hyper::service::Service<Request<Incoming>, Response = Response<B>>,
{
    type Response = Response<DrainBody<B>>;
    type Error = Unserved<S::Error>;
    type Future = ResponseFuture<S::Future>;

    #[inline]
    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        if let Some(requests) = &self.requests {
            self.counts(requests, request.body());
        }
        let what = || (request.method().as_str().into(), request.uri().path().into());
        let Some(id) = self.tracker.begin(!request.body().is_end_stream(), what) else {
            return ResponseFuture { future: None, in_flight: None, connect: false, old: false, last: false };
        };
        // On HTTP/1 hyper omits the body, and sets the length.
        let is_http2 = request.version() == Version::HTTP_2;
        let is_bare = is_http2 && request.method() == Method::HEAD;
        let in_flight = InFlight { tracker: self.tracker.clone(), id, owes: true, is_bare, is_http2 };
        // hyper puts it there, for CONNECT always.
        let upgradeable = request.extensions().get::<OnUpgrade>().is_some();
        if upgradeable || matches!(self.extends, Extends::Every) {
            self.extend(&mut request);
        }
        if let Some(news) = &self.news {
            news.put(request.extensions_mut());
        }
        let connect = upgradeable && request.method() == Method::CONNECT;
        let old = request.version() < Version::HTTP_11;
        if old {
            self.tracker.http10();
        }
        // Only for the states of a listed connection: hyper itself closes the connection.
        let last = self.tracker.is_listed() && is_last(request.version(), request.headers());
        ResponseFuture { future: Some(self.inner.call(request)), in_flight: Some(in_flight), connect, old, last }
    }
}

impl<S> DrainService<S> {
    #[inline(never)]
    fn counts(&self, requests: &Requests, body: &Incoming) {
        self.tracker.stays(!requests.begin(body));
    }

    #[inline(never)]
    fn extend(&self, request: &mut Request<Incoming>) {
        request.extensions_mut().insert(self.tracker.request_watcher());
        request.extensions_mut().insert(self.tracker.guard().clone());
    }
}

/// One request, from its head to the last byte of its response.
#[derive(Debug)]
struct InFlight {
    tracker: Arc<Tracker>,
    id: u64,
    /// Whether the application still has to provide bytes, as last reported to the policy.
    owes: bool,
    /// The response must have no body: to HEAD, with 204 and with 304 (RFC 9110, sections 9.3.2, 15.3.5 and 15.4.5). Only on
    /// HTTP/1 does hyper see to that.
    is_bare: bool,
    is_http2: bool,
}

impl InFlight {
    #[inline]
    fn tell(&mut self, owes: bool) {
        if self.owes != owes {
            self.owes = owes;
            self.changed();
        }
    }

    #[inline(never)]
    fn changed(&self) {
        self.tracker.policy(|it| if self.owes { it.on_response_waits() } else { it.on_response_resumes() });
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.tell(false);
        self.tracker.end(self.id);
    }
}

/// Whether a request asks for the connection to end with its response (RFC 9112, section 9.3).
#[inline(never)]
fn is_last(version: Version, headers: &HeaderMap) -> bool {
    match version {
        Version::HTTP_2 => false,
        Version::HTTP_11 => says_close(headers),
        _ => !connection_says(headers, "keep-alive"),
    }
}

#[inline(never)]
fn says_close(headers: &HeaderMap) -> bool {
    connection_says(headers, "close")
}

fn connection_says(headers: &HeaderMap, option: &str) -> bool {
    let values = headers.get_all(CONNECTION).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|it| it.trim().eq_ignore_ascii_case(option))
}

pin_project! {
    /// The response future of a [`DrainService`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F> {
        // None if the request is not served.
        #[pin]
        future: Option<F>,
        in_flight: Option<InFlight>,
        connect: bool,
        // HTTP/1.0.
        old: bool,
        last: bool,
    }
}

/// The error of a [`DrainService`]: the request was refused, or the service has failed.
// Not a boxed error: the size of the result would make every response be moved.
#[derive(Debug)]
#[non_exhaustive]
pub enum Unserved<E> {
    /// The request was not begun. The client may send it again on another connection (RFC 9113, section 8.7).
    Refused,
    /// The error of the service.
    Failed(E),
}

impl<E: Into<BoxError>> From<Unserved<E>> for BoxError {
    fn from(unserved: Unserved<E>) -> Self {
        match unserved {
            // hyper resets the stream with this reason.
            Unserved::Refused => h2::Error::from(h2::Reason::REFUSED_STREAM).into(),
            Unserved::Failed(error) => error.into(),
        }
    }
}

/// Makes it a response of HTTP/1.0. To any other response to HTTP/1.0, hyper adds a `keep-alive` beside our `close`.
#[cold]
fn age<B>(response: &mut Response<B>) {
    *response.version_mut() = Version::HTTP_10;
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<DrainBody<B>>, Unserved<E>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some(future) = this.future.as_pin_mut() else { return Poll::Ready(Err(Unserved::Refused)) };
        let mut response = match future.poll(cx) {
            Poll::Ready(Ok(response)) => response,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(Unserved::Failed(error))),
            Poll::Pending => return Poll::Pending,
        };
        let mut in_flight = this.in_flight.take();
        if let Some(InFlight { tracker, owes, is_bare, is_http2, .. }) = &mut in_flight {
            let status = response.status();
            if status == StatusCode::SWITCHING_PROTOCOLS || (*this.connect && status.is_success()) {
                tracker.upgraded();
                tasks::upgraded(tracker);
            } else {
                *owes = false;
                let last = *this.last || (tracker.is_listed() && says_close(response.headers()));
                if tracker.response(last) {
                    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                if *this.old && says_close(response.headers()) {
                    age(&mut response);
                }
                *is_bare |= *is_http2 && status == StatusCode::NOT_MODIFIED;
                if status == StatusCode::NO_CONTENT {
                    *is_bare = true;
                    // Nor may it have a length (RFC 9110, section 8.6).
                    response.headers_mut().remove(CONTENT_LENGTH);
                }
            }
        }
        Poll::Ready(Ok(response.map(|inner| DrainBody { inner, in_flight })))
    }
}

pin_project! {
    /// The response body of a [`DrainService`]: the request is in flight until it ends or is dropped.
    #[derive(Debug)]
    pub struct DrainBody<B> {
        #[pin]
        inner: B,
        in_flight: Option<InFlight>,
    }
}

fn is_bare(in_flight: Option<&InFlight>) -> bool {
    in_flight.is_some_and(|it| it.is_bare)
}

impl<B: Body> Body for DrainBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        if is_bare(this.in_flight.as_ref()) {
            return Poll::Ready(None);
        }
        let frame = this.inner.poll_frame(cx);
        match (&frame, this.in_flight.as_mut()) {
            (Poll::Ready(None | Some(Err(_))), _) => *this.in_flight = None,
            (_, Some(in_flight)) => in_flight.tell(frame.is_pending()),
            (_, None) => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        is_bare(self.in_flight.as_ref()) || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if is_bare(self.in_flight.as_ref()) { SizeHint::with_exact(0) } else { self.inner.size_hint() }
    }
}
