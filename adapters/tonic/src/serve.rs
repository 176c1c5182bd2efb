//! Servers of tonic's routes.

use std::fmt;
use std::time::Duration;

use axum::serve::Listener;
use ebbtide_axum::{Plain, Server};
use ebbtide_hyper::Bounds;
use ebbtide_tokio::Tokio;
use tonic::service::Routes;
use tonic::transport::server::Connected;

use crate::connection::{ConnectionService, MakeService};

/// Serves the routes of tonic on tokio, and ends them well: what `tonic::transport::Server` is, with all that is needed at the
/// end.
///
/// The first signal (`SIGTERM`, `SIGINT`, `SIGHUP`) begins the drain, which may take 30 s; the second closes by force, the
/// third kills. [`Serve`] has the methods that change this.
///
/// It takes tonic's `Routes`, or an axum `Router` with services of tonic in it. The listener is a `TcpListener`, a
/// `UnixListener`, or another `axum::serve::Listener` whose connections are tonic's [`Connected`].
///
/// # Defaults
///
/// | | |
/// |---|---|
/// | protocols | HTTP/2, and HTTP/1 for gRPC-Web and for what else is in the router; TLS by `.rustls(config)` |
/// | deadline of the drain | 30 s |
/// | HTTP/2 keep-alive | a PING each 60 s, and the connection ends if none is answered for 20 s |
/// | [`bounds`] | those of `ebbtide-axum`, but connections without a call stay for an hour, and so may a stream that is not read |
/// | a call's own deadline | the header `grpc-timeout`, until the response begins |
///
/// # Errors
///
/// What was cut: see [`Error`](crate::Error).
///
/// # Examples
///
/// ```no_run
/// use tonic::service::Routes;
///
/// # async fn run(routes: Routes) -> Result<(), Box<dyn std::error::Error>> {
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:50051").await?;
/// let mut server = ebbtide_tonic::serve(listener, routes); // Routes::new(GreeterServer::new(MyGreeter))
/// server.builder().http2().max_concurrent_streams(1000); // hyper's own settings
/// server.deadline(std::time::Duration::from_secs(20)).await?;
/// # Ok(())
/// # }
/// ```
pub fn serve<L>(listener: L, routes: impl Into<Routes>) -> Serve<L>
where
    L: Listener<Addr: fmt::Debug, Io: Connected>,
{
    let routes = routes.into().prepare().into_axum_router();
    let mut server = Server::new(listener, MakeService::new(routes)).bounds(bounds());
    server.builder().http2().keep_alive_interval(PING_INTERVAL).keep_alive_timeout(PING_TIMEOUT);
    server
}

/// A server of tonic's routes: `ebbtide-axum`'s [`Server`], with all its methods.
pub type Serve<L, T = Plain> = Server<Tokio, L, MakeService, ConnectionService<ConnectInfo<L>>, T>;

/// What a call may know of its connection: `TcpConnectInfo` or `UdsConnectInfo`.
type ConnectInfo<L> = <<L as Listener>::Io as Connected>::ConnectInfo;

/// How often a client is asked whether it is still there.
const PING_INTERVAL: Duration = Duration::from_secs(60);
/// How long it may take to answer: gRPC's default.
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// Longer than the pauses of any channel that is in use.
const PAUSE: Duration = Duration::from_secs(3600);

/// The time limits of a connection that [`serve`] has, to change one of them.
///
/// They are those of [`Bounds::default`] but for two, which are an hour. [`keep_alive`](Bounds::keep_alive) is one, since the
/// channels of gRPC are made to stay. [`progress`](Bounds::progress) is the other, since whoever reads a stream may pause.
/// Clients that are gone
/// are found by PING.
///
/// # Examples
///
/// ```no_run
/// # use std::time::Duration;
/// # async fn run(
/// #     listener: tokio::net::TcpListener, routes: tonic::service::Routes,
/// # ) -> Result<(), ebbtide_tonic::Error> {
/// // Clients connect anew every ten minutes, so that servers which were added get their share.
/// let bounds = ebbtide_tonic::bounds().age(Duration::from_secs(600));
/// ebbtide_tonic::serve(listener, routes).bounds(bounds).await
/// # }
/// ```
#[must_use]
pub fn bounds() -> Bounds {
    Bounds::default().keep_alive(PAUSE).progress(PAUSE)
}
