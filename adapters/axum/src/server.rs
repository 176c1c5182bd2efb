//! A server, and how it is to be.

use std::convert::Infallible;
use std::fmt;
use std::future::{Future, IntoFuture, poll_fn};
use std::io;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use ebbtide::{Drain, Guard, Label};
use ebbtide_accept::Failure;
use ebbtide_hyper::{Bounds, Connections, Http, Tasks, auto};
use futures_util::lock::{Mutex, MutexGuard};
use hyper::body::Incoming;
use tower::{Service, ServiceExt};

use crate::error::Error;
use crate::incoming::IncomingStream;
use crate::life::{Begin, Life};
use crate::listener::Listener;
use crate::part::Part;
use crate::runtime::{Connection, Executor, Runtime};
use crate::transport::{Plain, Transport};

/// A server of an axum application that drains: what `serve` returns, to be told more of and then awaited.
///
/// It ends when its drain is over: with nothing if that went well, and with an [`Error`] that tells what was cut.
///
/// What begins the drain is the first of the process's signals, unless it is told [something else](Self::drain). The second
/// signal closes by force, and the third kills: see `ebbtide-signal`.
///
/// # Cancel safety
///
/// Dropping its future closes the listener and starts the drain of its connections, which go on without a deadline.
///
/// # Examples
///
/// ```no_run
/// # #[cfg(feature = "tokio")]
/// # async fn run(listener: tokio::net::TcpListener, app: axum::Router) -> Result<(), ebbtide_axum::Error> {
/// use std::time::Duration;
/// use ebbtide_axum::Connections;
///
/// let connections = Connections::new();
/// ebbtide_axum::serve(listener, app)
///     .lame_duck(Duration::from_secs(5)) // for the load balancer to look elsewhere
///     .deadline(Duration::from_secs(20)) // then it is cut, and told with its requests
///     .connections(&connections)
///     .max_connections(10_000)
///     .on_error(|failure| eprintln!("{failure}"))
///     .await
/// # }
/// ```
#[must_use = "a server does nothing unless it is awaited"]
pub struct Server<R, L: Listener<R>, M, S, T = Plain> {
    listener: L,
    make_service: M,
    transport: T,
    http: Http<Executor<R>>,
    begin: Begin,
    drain: Drain,
    lame_duck: Duration,
    deadline: Option<Duration>,
    limits: Limits,
    on_error: Option<Arc<OnError>>,
    tap: Option<Box<Tap<L::Io>>>,
    service: PhantomData<fn() -> S>,
}

type OnError = dyn Fn(&Failure<'_>) + Send + Sync;
type Tap<I> = dyn FnMut(&mut I) + Send;

/// What the accept loop is told.
#[derive(Clone, Copy, Debug, Default)]
struct Limits {
    max_connections: Option<usize>,
    owners: Option<Owners>,
}

/// Who has the listening socket, if that was said.
#[derive(Clone, Copy, Debug)]
enum Owners {
    This,
    More,
}

/// How long the drain may take, unless it is said.
const DEADLINE: Duration = Duration::from_secs(30);

impl<R: Runtime, L: Listener<R>, M, S> Server<R, L, M, S> {
    /// A server on any [`Runtime`]. The `serve` of this crate's two is the same with its types told.
    pub fn new(listener: L, make_service: M) -> Self {
        let mut http = Http::new(Executor::new(), R::timer()).news_in_every_request();
        // For WebSockets on HTTP/2 (RFC 8441).
        http.builder().http2().enable_connect_protocol();
        Self {
            listener,
            make_service,
            transport: Plain,
            http,
            begin: Begin::Signals,
            drain: Drain::new(),
            lame_duck: Duration::ZERO,
            deadline: Some(DEADLINE),
            limits: Limits::default(),
            on_error: None,
            tap: None,
            service: PhantomData,
        }
    }

    /// The same through TLS, by rustls. The handshake is a part of its connection, which bounds it and waits for it.
    ///
    /// Without `alpn_protocols` in the `config` they are `h2` and `http/1.1`. What was negotiated, such as the client's
    /// certificates, is in the extensions of every request: `Extension(session): Extension<Session>`.
    #[cfg(feature = "rustls")]
    pub fn rustls(self, config: Arc<rustls::ServerConfig>) -> Server<R, L, M, S, crate::Rustls> {
        Server {
            transport: crate::Rustls::new(config),
            listener: self.listener,
            make_service: self.make_service,
            http: self.http,
            begin: self.begin,
            drain: self.drain,
            lame_duck: self.lame_duck,
            deadline: self.deadline,
            limits: self.limits,
            on_error: self.on_error,
            tap: self.tap,
            service: PhantomData,
        }
    }
}

impl<R: Runtime, L: Listener<R>, M, S, T> Server<R, L, M, S, T> {
    /// Drains when `signal` is ready, in the place of the process's signals, which are then left alone.
    pub fn with_graceful_shutdown(mut self, signal: impl Future<Output = ()> + Send + 'static) -> Self {
        self.begin = Begin::When(Box::pin(signal));
        self
    }

    /// Makes the server a part of `drain`, in place of the process's signals, which are then left alone.
    ///
    /// The server drains once `drain` has begun, and is cut if that is closed by force. `drain` waits for its end. Use it for a
    /// service of several parts, for handlers that start the drain, and for a readiness check. The service is not ready from the
    /// start of `drain` on, before a [lame duck time](Self::lame_duck).
    ///
    /// In `drain` the server is one guard, labelled as a [`Part`]. If `drain` has begun before this call, the server serves the
    /// connections in its queue, and ends; `drain` does not wait for that.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # #[cfg(feature = "tokio")]
    /// # async fn run(
    /// #     api: tokio::net::TcpListener, app: axum::Router, admin: tokio::net::TcpListener, admin_app: axum::Router,
    /// # ) -> Result<(), Box<dyn std::error::Error>> {
    /// let drain = ebbtide::Drain::new();
    /// ebbtide_signal::escalate(drain.clone(), ebbtide_signal::Signals::new()?);
    /// let api = ebbtide_axum::serve(api, app).drain(&drain);
    /// let admin = ebbtide_axum::serve(admin, admin_app).drain(&drain);
    /// // Each ends in its own time, and the failure of one is the end of both.
    /// let end = |ended| if ended { drop(drain.start()) };
    /// let api = async { let ended = api.await; end(ended.is_err()); ended };
    /// let admin = async { let ended = admin.await; end(ended.is_err()); ended };
    /// let (api, admin) = tokio::join!(api, admin);
    /// api.and(admin)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn drain(mut self, drain: &Drain) -> Self {
        let label = self.label();
        self.begin = Begin::With((drain.watcher(), drain.watcher().labelled(label)));
        self
    }

    /// Serves under `guard`, as a part of a whole service. The service has the signals, the lame duck time and the deadline;
    /// the server has none of its own then.
    ///
    /// The server ends when the drain of `guard` has begun and the port is closed. Its connections have guards of the same
    /// drain.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # #[cfg(feature = "tokio")]
    /// # async fn run(listener: tokio::net::TcpListener, app: axum::Router) {
    /// use ebbtide_tokio::Service;
    ///
    /// let outcome = Service::new()
    ///     .task("api", |part| ebbtide_axum::serve(listener, app).guard(part.guard()))
    ///     .finally("pool", async { /* close it */ })
    ///     .run()
    ///     .await;
    /// # drop(outcome);
    /// # }
    /// ```
    pub fn guard(mut self, guard: Guard) -> Self {
        self.begin = Begin::Under(guard);
        self
    }

    /// Goes on as before for so long after the drain was to begin. Default: not at all.
    ///
    /// A load balancer needs that time to notice that the service is not ready any more. Connections are told one
    /// after the other meanwhile: see [`LameDuck`](ebbtide::LameDuck).
    pub fn lame_duck(mut self, time: Duration) -> Self {
        self.lame_duck = time;
        self
    }

    /// The deadline of the drain, not counting a lame duck time: then it is closed by force. Default: 30 s; `None`: never.
    ///
    /// Together with the lame duck time it should be less than the time after which the process is killed. That is 30 s on
    /// Kubernetes, 10 s by `docker stop`, 90 s by systemd. A forced close takes up to 100 ms more, for the responses that say so (503).
    ///
    /// A client that does not read has one of the [bounds](Self::bounds), 5 s by default. If the deadline is longer than
    /// that, such a client does not make the server end with an error.
    pub fn deadline(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.deadline = time.into();
        self
    }

    /// Waits for connections no longer than this in each of their states.
    pub fn bounds(mut self, bounds: Bounds) -> Self {
        self.http = self.http.bounds(bounds);
        self
    }

    /// Keeps every connection in `connections`, to be counted and listed. What was cut is then told with its requests.
    pub fn connections(mut self, connections: &Connections) -> Self {
        self.http = self.http.connections(connections);
        self
    }

    /// Has no more than so many connections at a time. More of them wait in the kernel's queue, and are served as others
    /// end, during the drain too. A connection counts for as long as its guard is held: by [`InFlight`](crate::InFlight),
    /// too, unless that guard was given another label.
    ///
    /// # Panics
    ///
    /// When it is awaited, if `most` is 0.
    pub fn max_connections(mut self, most: usize) -> Self {
        self.limits.max_connections = Some(most);
        self
    }

    /// Leaves the listening socket, and who waits in its queue, to its other owners when the drain begins: systemd, a
    /// parent, a successor.
    pub fn shared(mut self) -> Self {
        self.limits.owners = Some(Owners::More);
        self
    }

    /// Says that nobody else has the listening socket, so that nothing that is done to it for the drain is taken back.
    pub fn sole_owner(mut self) -> Self {
        self.limits.owners = Some(Owners::This);
        self
    }

    /// Does something to each connection when it is accepted. Those of tokio's and smol's own TCP listeners have set
    /// `TCP_NODELAY` already.
    pub fn tap_io(mut self, tap: impl FnMut(&mut L::Io) + Send + 'static) -> Self {
        self.tap = Some(Box::new(tap));
        self
    }

    /// Tells of errors that end nothing but a connection, and of a lack of descriptors. Default: nobody is told.
    pub fn on_error(mut self, told: impl Fn(&Failure<'_>) + Send + Sync + 'static) -> Self {
        self.on_error = Some(Arc::new(told));
        self
    }

    /// hyper's own settings, such as HTTP/2's limits.
    pub fn builder(&mut self) -> &mut auto::Builder<Tasks<Executor<R>>> {
        self.http.builder()
    }

    /// Where it listens.
    ///
    /// # Errors
    ///
    /// Those of the socket.
    pub fn local_addr(&self) -> io::Result<L::Addr> {
        self.listener.local_addr()
    }

    fn label(&self) -> Label {
        let addr = self.listener.local_addr().ok().map(|addr| format!("{addr:?}"));
        Part::new(addr, &self.drain).into_label()
    }
}

impl<R, L, M, S, T> IntoFuture for Server<R, L, M, S, T>
where
    R: Runtime,
    L: Listener<R>,
    M: for<'a> Service<IncomingStream<'a, R, L>, Error = Infallible, Response = S> + Send + 'static,
    for<'a> <M as Service<IncomingStream<'a, R, L>>>::Future: Send,
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    T: Transport<R, L::Io>,
{
    type Output = Result<(), Error>;
    type IntoFuture = Serving;

    fn into_future(self) -> Serving {
        let label = self.label();
        let Self {
            listener, make_service, transport, http, begin, drain, lame_duck, deadline, limits, on_error, ..
        } = self;
        let (mut tap, make_service) = (self.tap, Arc::new(Mutex::new(make_service)));
        let serve = move |guard| {
            let connection = move |(mut io, addr), guard| {
                if let Some(tap) = &mut tap {
                    tap(&mut io);
                }
                let (make_service, transport, http) = (make_service.clone(), transport.clone(), http.clone());
                Box::pin(async move {
                    let made = ready::<R, L, M>(&make_service).await.call(IncomingStream::new(&io, addr));
                    let Ok(service) = made.await;
                    let (io, guard, session) = transport.begin(io, guard);
                    let request = move |mut request: Request<Incoming>| {
                        T::tell(&session, request.extensions_mut());
                        request.map(Body::new)
                    };
                    http.serve_tower(io, service.map_request(request), guard).await
                }) as Connection
            };
            accepting::<R, L, _>(listener.accepting(), guard, connection, limits, on_error)
        };
        let life = Life { begin, drain, label, lame_duck, deadline };
        Serving(Box::pin(life.live::<R, _>(serve)))
    }
}

/// Waits until a service can be made. They are made one after the other, as axum does it.
async fn ready<R, L, M>(make_service: &Mutex<M>) -> MutexGuard<'_, M>
where
    L: Listener<R>,
    M: for<'a> Service<IncomingStream<'a, R, L>, Error = Infallible>,
{
    let mut make_service = make_service.lock().await;
    let Ok(()) = poll_fn(|cx| make_service.poll_ready(cx)).await;
    make_service
}

fn accepting<R: Runtime, L: Listener<R>, F>(
    listener: L::Accepting,
    guard: Guard,
    connection: F,
    limits: Limits,
    on_error: Option<Arc<OnError>>,
) -> ebbtide_accept::Serve<R, L::Accepting, F>
where
    F: FnMut((L::Io, L::Addr), Guard) -> Connection,
{
    let mut serve = ebbtide_accept::Serve::new(listener, guard, connection);
    if let Some(most) = limits.max_connections {
        serve = serve.max_connections(most);
    }
    if let Some(told) = on_error {
        serve = serve.on_error(move |failure| told(failure));
    }
    match limits.owners {
        Some(Owners::This) => serve.sole_owner(),
        Some(Owners::More) => serve.shared(),
        None => serve,
    }
}

impl<R, L: Listener<R> + fmt::Debug, M, S, T: fmt::Debug> fmt::Debug for Server<R, L, M, S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("listener", &self.listener)
            .field("transport", &self.transport)
            .field("lame_duck", &self.lame_duck)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

/// The future of a [`Server`].
#[must_use = "futures do nothing unless polled"]
pub struct Serving(Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>);

impl Future for Serving {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serving").finish_non_exhaustive()
    }
}
