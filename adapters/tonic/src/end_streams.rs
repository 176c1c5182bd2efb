//! The streams of services that know of no drain, ended for them.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::Sleep;
use tower::{Layer, Service};

use crate::ending::{End, unavailable};
use crate::request::draining;

/// A layer that ends streams of responses some time after the drain has begun, with the status `UNAVAILABLE`. It is for
/// services that do not end them by themselves, such as those that are not yours.
///
/// What is ready is sent still, up to 1,024 frames. Calls whose response has not begun are left alone. So are responses that
/// are not gRPC's, those of gRPC-Web among them: put this layer below that one.
///
/// # Examples
///
/// ```no_run
/// # use std::time::Duration;
/// use ebbtide_tonic::EndStreams;
///
/// # async fn run(
/// #     listener: tokio::net::TcpListener, routes: tonic::service::Routes,
/// # ) -> Result<(), ebbtide_tonic::Error> {
/// let routes = routes.into_axum_router().layer(EndStreams::after(Duration::from_secs(5)));
/// ebbtide_tonic::serve(listener, routes).await
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct EndStreams {
    time: Duration,
}

impl EndStreams {
    /// Ends them so long after the drain has begun. It should be less than the deadline of the drain.
    #[must_use]
    pub fn after(time: Duration) -> Self {
        Self { time }
    }
}

impl<S> Layer<S> for EndStreams {
    type Service = EndingStreams<S>;

    fn layer(&self, inner: S) -> EndingStreams<S> {
        EndingStreams { inner, time: self.time }
    }
}

/// The service of [`EndStreams`].
#[derive(Clone, Debug)]
pub struct EndingStreams<S> {
    inner: S,
    time: Duration,
}

impl<S, A, B> Service<Request<A>> for EndingStreams<S>
where
    S: Service<Request<A>, Response = Response<B>>,
{
    type Response = Response<EndingBody<B>>;
    type Error = S::Error;
    type Future = EndingFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let end = draining(request.extensions()).map(|it| (End::new(it), self.time));
        EndingFuture { response: self.inner.call(request), end }
    }
}

pin_project! {
    /// The future of a response whose body may be ended.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct EndingFuture<F> {
        #[pin]
        response: F,
        end: Option<(End, Duration)>,
    }
}

impl<F, B, E> Future for EndingFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<EndingBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.response.poll(cx))?;
        let end = this.end.take().filter(|_| is_grpc(response.headers()));
        Poll::Ready(Ok(response.map(|body| EndingBody { body: Some(body), end, sleep: None })))
    }
}

/// Whether a response ends by trailers that say how the call went (gRPC over HTTP/2, "Responses").
fn is_grpc(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(CONTENT_TYPE).and_then(|it| it.to_str().ok()) else { return false };
    kind.strip_prefix("application/grpc").is_some_and(|rest| rest.is_empty() || rest.starts_with(['+', ';']))
}

pin_project! {
    /// A body that may be ended by trailers.
    pub struct EndingBody<B> {
        // None once it was ended.
        #[pin]
        body: Option<B>,
        end: Option<(End, Duration)>,
        sleep: Option<Pin<Box<Sleep>>>,
    }
}

impl<B: Body<Data = Bytes>> Body for EndingBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        let Some(body) = this.body.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        let Some((end, time)) = this.end else { return body.poll_frame(cx) };
        let told = Pin::new(&mut end.watcher).poll(cx).is_ready();
        let ends = told && {
            let sleep = this.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(*time)));
            sleep.as_mut().poll(cx).is_ready()
        };
        if let Some(polled) = end.poll(ends, || body.poll_frame(cx)) {
            return polled;
        }
        this.body.set(None);
        let mut trailers = HeaderMap::new();
        // It has no metadata, and a message of letters: it is a header.
        drop(unavailable().add_header(&mut trailers));
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.body, &self.end) {
            (Some(body), None) => body.size_hint(),
            (Some(body), Some(_)) => {
                // It may end before.
                let mut hint = SizeHint::new();
                if let Some(most) = body.size_hint().upper() {
                    hint.set_upper(most);
                }
                hint
            }
            (None, _) => SizeHint::with_exact(0),
        }
    }
}

impl<B> fmt::Debug for EndingBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndingBody").field("is_over", &self.body.is_none()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_ends_by_trailers_is_taken_for_grpc() {
        let of = |kind: &'static str| is_grpc(&HeaderMap::from_iter([(CONTENT_TYPE, kind.parse().expect("a value"))]));
        assert!(of("application/grpc") && of("application/grpc+proto") && of("application/grpc;charset=x"));
        assert!(!of("application/grpc-web") && !of("application/grpc-web-text+proto") && !of("text/html"));
        assert!(!is_grpc(&HeaderMap::new()));
    }
}
