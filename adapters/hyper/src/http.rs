//! How connections are served: hyper's builders, a clock, and the bounds of the drain.

use std::fmt;
use std::sync::Arc;

#[cfg(doc)]
use ebbtide::Guard;
use ebbtide_connection::Bounds;
use ebbtide_connection::{Accepted, Connections, Tracker};
use hyper::body::{Body, Incoming};
use hyper::rt::{Read, Timer, Write};
use hyper::service::Service;
use hyper::{Request, Response};
use hyper_util::server::conn::auto;

use crate::engine::Engine;
use crate::io::Io;
use crate::serve_connection::{Clock, ServeConnection};
use crate::service::{DrainService, Extends, ResponseFuture};
use crate::tasks::Tasks;
#[cfg(feature = "tower")]
use crate::tower::{Calling, Tower};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A connection of either protocol.
type Auto<I, S, E> = auto::UpgradeableConnection<'static, Io<I>, DrainService<S>, Tasks<E>>;

/// Serves connections that end well: HTTP/1 and HTTP/2 on the same port, upgrades included.
///
/// Make one, keep it, and call [`serve`](Self::serve) for every connection.
#[derive(Clone)]
pub struct Http<E> {
    builder: auto::Builder<Tasks<E>>,
    clock: Clock,
    bounds: Bounds,
    connections: Option<Connections>,
    extends: Extends,
}

impl<E> Http<E> {
    /// HTTP on the runtime of this executor and this timer, with the defaults of hyper and of [`Bounds`].
    ///
    /// The timer is given to hyper too, but hyper's own limit on reading a request's head (`header_read_timeout`, 30 s) is
    /// off: [`Bounds::request`] takes its place, for less.
    pub fn new(executor: E, timer: impl Timer + Clone + Send + Sync + 'static) -> Self {
        let mut builder = auto::Builder::new(Tasks::new(executor));
        // To set one for each request costs as much as all the rest of this crate does.
        // hyper would take a client that has ended its direction for one that is gone: `Io` looks after that.
        builder.http1().timer(timer.clone()).header_read_timeout(None).half_close(true);
        builder.http2().timer(timer.clone());
        Self {
            builder,
            clock: Arc::new(timer),
            bounds: Bounds::default(),
            connections: None,
            extends: Extends::Upgrades,
        }
    }

    /// The same, with other bounds.
    pub fn bounds(mut self, bounds: Bounds) -> Self {
        self.bounds = bounds;
        self
    }

    /// The same, with every connection kept in `connections`: for whoever wants to count them, list them, or hear how
    /// they change. It costs each connection some 600 bytes and a lock at its beginning and its end, and each request
    /// a copy of its path.
    pub fn connections(mut self, connections: &Connections) -> Self {
        self.connections = Some(connections.clone());
        self
    }

    /// The same, with a [`Watcher`](ebbtide::Watcher) and a [`Guard`] in the extensions of every request, and not only of
    /// those that may upgrade: for services that answer for long, such as with server-sent events or long polls, or work
    /// on after the response.
    ///
    /// It costs each request four allocations, more than all the rest of this crate does. A service of its connection's
    /// own, such as a closure made for it, has the same for nothing: a clone of the guard, kept in the service.
    pub fn extend_every_request(mut self) -> Self {
        self.extends = Extends::Every;
        self
    }

    /// The same, with [`News`](crate::News) in the extensions of every request, from which both can be had.
    ///
    /// It costs each request three allocations, two of which a router would make for its own extensions.
    pub fn news_in_every_request(mut self) -> Self {
        self.extends = Extends::News;
        self
    }

    /// hyper's own settings.
    ///
    /// A `header_read_timeout` that is set here counts beside [`Bounds::request`]. Leave HTTP/1's `half_close` as it is, which
    /// is on: [`Bounds::progress`] takes what hyper asks for during a request for a body that it waits for.
    pub fn builder(&mut self) -> &mut auto::Builder<Tasks<E>> {
        &mut self.builder
    }

    /// Serves one connection until it ends or is upgraded, and ends it well once the drain begins.
    ///
    /// The guard goes into the I/O object: the drain waits until nobody has the connection any more. It comes alone, or
    /// with the handshake that precedes HTTP: see `ebbtide-rustls`.
    ///
    /// # Errors
    ///
    /// What hyper says of the connection, or that the drain was closed by force meanwhile.
    ///
    /// # Panics
    ///
    /// If the service does. The panic ends the task that polls this, and with it the connection: nothing else on tokio and
    /// smol, and the drain does not wait for it. On HTTP/2 one in the future of a response ends its stream alone, which is a
    /// task of its own. With `panic = "abort"` it ends the process, which no drain is of help for.
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
        self.serving(io, service, guard, true, |io, service| {
            self.builder.serve_connection_with_upgrades(io, service).into_owned()
        })
    }

    /// [`serve`](Self::serve) for a service of tower: an axum router, any stack of layers.
    ///
    /// It is cloned for each request.
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
    /// As [`serve`](Self::serve). On HTTP/2, what a service does before it returns its future is done in the connection's task:
    /// a panic there ends the connection, and not the stream alone.
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

    /// Serves one connection with an engine of your own: `build` gets the wrapped I/O and service, and puts them into
    /// whatever speaks the protocol. [`Bounds::request`] counts for it too, so it needs no limit for heads of its own.
    ///
    /// Whether a client that ends its direction behind its request is answered is the engine's to say here, and
    /// [`Bounds::progress`] is for responses only: [`serve`](Self::serve) looks after both.
    ///
    /// A stream of HTTP/2 that is upgraded here is in flight for as long as its connection: [`serve`](Self::serve) sees
    /// its end.
    ///
    /// # Errors
    ///
    /// What the engine says of the connection, or that the drain was closed by force meanwhile.
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
        let tracker = Tracker::new(guard, self.bounds, self.connections.as_ref());
        let engine =
            build(Io::new(io, tracker.clone(), looks_ahead), DrainService::new(service, tracker.clone(), self.extends));
        ServeConnection::new(engine, tracker, self.clock.clone())
    }
}

impl<E> fmt::Debug for Http<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("bounds", &self.bounds).finish_non_exhaustive()
    }
}
