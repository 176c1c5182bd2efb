//! `Http`: serves connections, with hyper's builders, a clock and time limits.

use std::fmt;
use std::sync::Arc;

use ebbtide::Guard;
use ebbtide_connection::Bounds;
use ebbtide_connection::{Accepted, Connections, Tracker};
use hyper::body::{Body, Incoming};
use hyper::rt::{Read, Timer, Write};
use hyper::service::Service;
use hyper::{Request, Response};

use crate::auto;
use crate::boundary::{Boundary, Requests};
use crate::engine::Engine;
use crate::io::Io;
use crate::serve_connection::{Clock, ServeConnection};
use crate::service::{DrainService, Extends, ResponseFuture};
use crate::tasks::Tasks;
#[cfg(feature = "tower")]
use crate::tower::{Calling, Tower};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The connection of either protocol.
type Auto<I, S, E> = auto::Connection<I, DrainService<S>, Tasks<E>>;

/// A server of HTTP/1 and HTTP/2 connections on the same port, with upgrades and graceful shutdown.
///
/// Make one, and call [`serve`](Self::serve) for every connection.
#[derive(Clone)]
pub struct Http<E> {
    // Shared, since a clone of this is often kept for as long as the connection.
    builder: Arc<auto::Builder<Tasks<E>>>,
    clock: Clock,
    bounds: Arc<Bounds>,
    connections: Option<Connections>,
    extends: Extends,
}

impl<E> Http<E> {
    /// HTTP on the runtime of this executor and this timer, with the defaults of hyper and of [`Bounds`].
    ///
    /// The timer is given to hyper, too. But hyper's own limit on reading a request's head (`header_read_timeout`, 30 s) is off.
    /// [`Bounds::request`] replaces it, and is cheaper: one timer per connection, and not one per request.
    pub fn new(executor: E, timer: impl Timer + Clone + Send + Sync + 'static) -> Self {
        let mut builder = auto::Builder::new(Tasks::new(executor));
        // `header_read_timeout` sets a timer for each request, which costs as much as all the rest of this crate.
        // `half_close`, since hyper would take a closed direction for a disconnect; `Io` tells the two apart.
        builder.http1().timer(timer.clone()).header_read_timeout(None).half_close(true);
        builder.http2().timer(timer.clone());
        Self {
            builder: Arc::new(builder),
            clock: Arc::new(timer),
            bounds: Arc::default(),
            connections: None,
            extends: Extends::Upgrades,
        }
    }

    /// Sets the time limits of connections.
    pub fn bounds(mut self, bounds: Bounds) -> Self {
        self.bounds = Arc::new(bounds);
        self
    }

    /// Lists every connection in `connections`, to count them, to show them, or to observe their states.
    ///
    /// It costs some 600 bytes per connection, a lock at its beginning and its end, and a copy of the path per request.
    pub fn connections(mut self, connections: &Connections) -> Self {
        self.connections = Some(connections.clone());
        self
    }

    /// Puts a [`Watcher`](ebbtide::Watcher) and a [`Guard`] into the extensions of every request, and not only of those that
    /// may upgrade.
    ///
    /// Use it for long responses, such as server-sent events or long polls, and for work that goes on after the response. It
    /// costs four allocations per request, more than all the rest of this crate. A service that is made per connection, such as
    /// a closure, can keep a clone of the guard instead, at no cost.
    pub fn extend_every_request(mut self) -> Self {
        self.extends = Extends::Every;
        self
    }

    /// Puts a [`News`](crate::News) into the extensions of every request, which gives both a watcher and a guard.
    ///
    /// It costs three allocations per request, two of which a router would make anyway for its own extensions.
    pub fn news_in_every_request(mut self) -> Self {
        self.extends = Extends::News;
        self
    }

    /// hyper's own settings.
    ///
    /// A `header_read_timeout` that is set here counts in addition to [`Bounds::request`]. Leave HTTP/1's `half_close` on. With
    /// it, hyper reads during a request only if it waits for the body, and [`Bounds::progress`] relies on that.
    pub fn builder(&mut self) -> &mut auto::Builder<Tasks<E>>
    where
        E: Clone,
    {
        Arc::make_mut(&mut self.builder)
    }

    /// Serves one connection until it ends or is upgraded, and shuts it down gracefully once the drain begins.
    ///
    /// The guard goes into the I/O object, so the drain waits until the connection is dropped. Pass the guard alone, or with the
    /// handshake that precedes HTTP: see `ebbtide-rustls`.
    ///
    /// # Errors
    ///
    /// [`Error::Engine`](crate::Error::Engine) if hyper fails. [`Error::Forced`](crate::Error::Forced) if the drain was closed by
    /// force. [`Error::Bound`](crate::Error::Bound) if a time limit cut a request or response.
    ///
    /// # Panics
    ///
    /// If the service does. The panic ends the task that polls this, and with it the connection. On tokio and smol it ends
    /// nothing else, and the drain does not wait for the connection any more. On HTTP/2 a panic in a response future ends its
    /// stream alone, which is a task of its own. With `panic = "abort"` it ends the process.
    pub fn serve<I, S, B>(&self, io: I, service: S, guard: impl Into<Accepted>) -> ServeConnection<Auto<I, S, E>>
    where
        I: Read + Write + Unpin + Send + 'static,
        S: Service<Request<Incoming>, Response = Response<B>>,
        S::Future: 'static,
        S::Error: Into<BoxError>,
        B: Body + 'static,
        B::Error: Into<BoxError>,
        Tasks<E>: auto::HttpServerConnExec<ResponseFuture<S::Future>, crate::DrainBody<B>>,
    {
        self.serving(io, service, guard, true, |io, service| auto::Connection::new(io, service, self.builder.clone()))
    }

    /// What a listener does with each of its connections: [`serve`](Self::serve), with a clone of `service`. `io` makes the
    /// stream one of hyper's: `TokioIo::new`, `FuturesIo::new`.
    ///
    /// It is for the `serve` of a runtime adapter or of a whole service.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use std::convert::Infallible;
    /// # use http_body_util::Full;
    /// # use hyper::{Request, Response, body::{Bytes, Incoming}, service::service_fn};
    /// # use hyper_util::rt::{TokioExecutor, TokioIo};
    /// # async fn hello(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> { unimplemented!() }
    /// # async fn run(http: ebbtide_hyper::Http<TokioExecutor>, stream: tokio::net::TcpStream, guard: ebbtide::Guard) {
    /// let mut connection = http.service(TokioIo::new, service_fn(hello)); // for `serve(listener, guard, connection)`
    /// let served = connection(stream, guard);
    /// # let _ = served.await;
    /// # }
    /// ```
    pub fn service<T, I, S, B>(
        self,
        mut io: impl FnMut(T) -> I,
        service: S,
    ) -> impl FnMut(T, Guard) -> ServeConnection<Auto<I, S, E>>
    where
        E: 'static,
        I: Read + Write + Unpin + Send + 'static,
        S: Service<Request<Incoming>, Response = Response<B>> + Clone,
        S::Future: 'static,
        S::Error: Into<BoxError>,
        B: Body + 'static,
        B::Error: Into<BoxError>,
        Tasks<E>: auto::HttpServerConnExec<ResponseFuture<S::Future>, crate::DrainBody<B>>,
    {
        move |stream, guard| self.serve(io(stream), service.clone(), guard)
    }

    /// Like [`serve`](Self::serve), for a tower service: an axum router, or any stack of layers.
    ///
    /// The service is cloned for each request.
    ///
    /// # Errors
    ///
    /// As [`serve`](Self::serve).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use std::convert::Infallible;
    /// # use std::task::{Context, Poll};
    /// # use ebbtide_hyper::Http;
    /// # use hyper::{Request, Response, body::Incoming};
    /// # use hyper_util::rt::{TokioExecutor, TokioIo};
    /// # #[derive(Clone)]
    /// # struct Router;
    /// # impl tower_service::Service<Request<Incoming>> for Router {
    /// #     type Response = Response<String>;
    /// #     type Error = Infallible;
    /// #     type Future = std::future::Ready<Result<Self::Response, Infallible>>;
    /// #     fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> { Poll::Ready(Ok(())) }
    /// #     fn call(&mut self, _: Request<Incoming>) -> Self::Future { unimplemented!() }
    /// # }
    /// # async fn connection(
    /// #     http: Http<TokioExecutor>, router: Router, stream: tokio::net::TcpStream, guard: ebbtide::Guard,
    /// # ) {
    /// let served = http.serve_tower(TokioIo::new(stream), router.clone(), guard);
    /// # let _ = served.await;
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// As [`serve`](Self::serve). On HTTP/2, a service's `call` runs in the connection's task. A panic there, before it returns
    /// its future, ends the connection and not the stream alone.
    #[cfg(feature = "tower")]
    pub fn serve_tower<I, S, B>(
        &self,
        io: I,
        service: S,
        guard: impl Into<Accepted>,
    ) -> ServeConnection<Auto<I, Tower<S>, E>>
    where
        I: Read + Write + Unpin + Send + 'static,
        S: tower_service::Service<Request<Incoming>, Response = Response<B>> + Clone + 'static,
        S::Future: 'static,
        S::Error: Into<BoxError>,
        B: Body + 'static,
        B::Error: Into<BoxError>,
        Tasks<E>: auto::HttpServerConnExec<ResponseFuture<Calling<S, Request<Incoming>>>, crate::DrainBody<B>>,
    {
        self.serve(io, Tower::new(service), guard)
    }

    /// Serves one connection with an [`Engine`] of your own. `build` makes it of the wrapped I/O and the wrapped service.
    ///
    /// [`Bounds::request`] applies, so the engine needs no limit for heads of its own. In four points it is not like
    /// [`serve`](Self::serve):
    ///
    /// - The engine decides whether a client that closes its direction after the request is answered.
    /// - [`Bounds::progress`] applies to responses only, and not to request bodies.
    /// - An upgraded stream of HTTP/2 is in flight for as long as its connection.
    /// - The connection does not [leave](crate::Leaving) for a successor.
    ///
    /// # Errors
    ///
    /// As [`serve`](Self::serve), with the error of the engine.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use std::convert::Infallible;
    /// # use http_body_util::Full;
    /// # use hyper::{Request, Response, body::{Bytes, Incoming}, service::service_fn};
    /// # use hyper_util::rt::{TokioExecutor, TokioIo};
    /// # async fn hello(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> { unimplemented!() }
    /// # async fn connection(http: ebbtide_hyper::Http<TokioExecutor>, stream: tokio::net::TcpStream, guard: ebbtide::Guard) {
    /// let served = http.serve_with(TokioIo::new(stream), service_fn(hello), guard, |io, service| {
    ///     hyper::server::conn::http1::Builder::new().serve_connection(io, service)
    /// });
    /// # let _ = served.await;
    /// # }
    /// ```
    pub fn serve_with<I: Read + Write + Unpin, S, C: Engine>(
        &self,
        io: I,
        service: S,
        guard: impl Into<Accepted>,
        build: impl FnOnce(Io<I>, DrainService<S>) -> C,
    ) -> ServeConnection<C> {
        self.serving(io, service, guard, false, build)
    }

    fn serving<I: Read + Write + Unpin, S, C: Engine>(
        &self,
        io: I,
        service: S,
        guard: impl Into<Accepted>,
        looks_ahead: bool,
        build: impl FnOnce(Io<I>, DrainService<S>) -> C,
    ) -> ServeConnection<C> {
        let tracker = Tracker::new(guard, *self.bounds, self.connections.as_ref());
        let requests = (looks_ahead && tracker.is_leavable()).then(Arc::<Requests>::default);
        // Another engine may take the end of the stream for an error.
        tracker.stays(requests.is_none());
        let boundary = requests.clone().map(Boundary::new);
        let engine = build(
            Io::new(io, tracker.clone(), looks_ahead, boundary),
            DrainService::new(service, tracker.clone(), self.extends, requests),
        );
        ServeConnection::new(engine, tracker, self.clock.clone())
    }
}

impl<E> fmt::Debug for Http<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("bounds", &self.bounds).finish_non_exhaustive()
    }
}
