//! Servers on tokio, in the place of axum's own.

mod accepting;

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;

use axum::extract::Request;
use axum::extract::connect_info::Connected;
use axum::http::Extensions;
use axum::response::Response;
use ebbtide::Guard;
use ebbtide_hyper::Accepted;
pub use ebbtide_tokio::Tokio;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tower::Service;

pub use accepting::{Accepting, Closing};

use crate::listener::Listener;
use crate::runtime::Runtime;
use crate::server::Server;
use crate::transport::{Plain, Transport};

/// Serves an axum application on tokio, and ends it well: what `axum::serve` is, with all that is needed at the end.
///
/// The first signal (`SIGTERM`, `SIGINT`, `SIGHUP`) begins the drain, which may take 30 s; the second closes by force, the
/// third kills. [`Serve`] has the methods that change this.
///
/// What axum serves it serves: a `Router`, a `MethodRouter`, handlers, make-services.
///
/// # Errors
///
/// What was cut: see [`Error`](crate::Error).
///
/// # Examples
///
/// ```no_run
/// use axum::{Router, routing::get};
///
/// #[tokio::main]
/// async fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let app = Router::new().route("/", get(|| async { "hello" }));
///     let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
///     ebbtide_axum::serve(listener, app).await?;
///     Ok(())
/// }
/// ```
pub fn serve<L, M, S>(listener: L, make_service: M) -> Serve<L, M, S>
where
    L: axum::serve::Listener<Addr: fmt::Debug>,
    M: for<'a> Service<IncomingStream<'a, L>, Error = Infallible, Response = S>,
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    Server::new(listener, make_service)
}

/// A server on tokio.
pub type Serve<L, M, S, T = Plain> = Server<Tokio, L, M, S, T>;

/// A connection that was just accepted on tokio.
pub type IncomingStream<'a, L> = crate::IncomingStream<'a, Tokio, L>;

impl Runtime for Tokio {
    type Timer = TokioTimer;

    fn timer() -> TokioTimer {
        TokioTimer::new()
    }

    fn execute(task: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(task);
    }
}

impl<L: axum::serve::Listener<Addr: fmt::Debug>> Listener<Tokio> for L {
    type Io = L::Io;
    type Addr = L::Addr;
    type Accepting = Accepting<L>;

    fn local_addr(&self) -> io::Result<L::Addr> {
        axum::serve::Listener::local_addr(self)
    }

    fn accepting(self) -> Accepting<L> {
        Accepting::new(self)
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin + Send + 'static> Transport<Tokio, I> for Plain {
    type Io = TokioIo<I>;
    type Session = ();

    fn begin(&self, io: I, guard: Guard) -> (TokioIo<I>, Accepted, ()) {
        (TokioIo::new(io), guard.into(), ())
    }

    #[inline]
    fn tell((): &(), _: &mut Extensions) {}
}

#[cfg(feature = "rustls")]
impl<I: AsyncRead + AsyncWrite + Unpin + Send + 'static> Transport<Tokio, I> for crate::Rustls {
    type Io = TokioIo<ebbtide_rustls::tokio::Stream<I>>;
    type Session = crate::Session;

    fn begin(&self, io: I, guard: Guard) -> (Self::Io, Accepted, crate::Session) {
        let acceptor = ebbtide_rustls::tokio::TlsAcceptor::from(self.config());
        let (io, guard) = ebbtide_rustls::tokio::handshake(io, guard, |io| acceptor.accept(io));
        let session = io.session();
        (TokioIo::new(io), guard, session)
    }

    fn tell(session: &crate::Session, extensions: &mut Extensions) {
        extensions.insert(session.clone());
    }
}

impl<L: axum::serve::Listener<Addr = Self>> Connected<IncomingStream<'_, L>> for SocketAddr {
    fn connect_info(stream: IncomingStream<'_, L>) -> Self {
        *stream.remote_addr()
    }
}

#[cfg(unix)]
impl<L: axum::serve::Listener<Addr = Self>> Connected<IncomingStream<'_, L>> for tokio::net::unix::SocketAddr {
    fn connect_info(stream: IncomingStream<'_, L>) -> Self {
        stream.remote_addr().clone()
    }
}
