//! Servers on smol, for an axum without its feature `tokio`.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};

#[cfg(unix)]
use async_net::unix::{UnixListener, UnixStream};
use async_net::{TcpListener, TcpStream};
use axum::extract::Request;
#[cfg(feature = "tokio")]
use axum::extract::connect_info::Connected;
use axum::http::Extensions;
use axum::response::Response;
use ebbtide::Guard;
use ebbtide_accept::Listener as Accepts;
use ebbtide_hyper::Accepted;
use ebbtide_smol::Peer;
pub use ebbtide_smol::Smol;
use futures_io::{AsyncRead, AsyncWrite};
use smol_hyper::rt::{FuturesIo, SmolTimer};
use tower::Service;

use crate::listener::{Listener, peer};
use crate::runtime::Runtime;
use crate::server::Server;
use crate::transport::{Plain, Transport};

/// Serves an axum application on smol, and ends it well. Tasks go where `smol::spawn` puts them.
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
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     smol::block_on(async {
///         let app = Router::new().route("/", get(|| async { "hello" }));
///         let listener = smol::net::TcpListener::bind("127.0.0.1:8080").await?;
///         ebbtide_axum::smol::serve(listener, app).await?;
///         Ok(())
///     })
/// }
/// ```
pub fn serve<L, M, S>(listener: L, make_service: M) -> Serve<L, M, S>
where
    L: Listener<Smol>,
    M: for<'a> Service<IncomingStream<'a, L>, Error = Infallible, Response = S>,
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    Server::new(listener, make_service)
}

/// A server on smol.
pub type Serve<L, M, S, T = Plain> = Server<Smol, L, M, S, T>;

/// A connection that was just accepted on smol.
pub type IncomingStream<'a, L> = crate::IncomingStream<'a, Smol, L>;

impl Runtime for Smol {
    type Timer = SmolTimer;

    fn timer() -> SmolTimer {
        SmolTimer::new()
    }

    fn execute(task: impl Future<Output = ()> + Send + 'static) {
        smol::spawn(task).detach();
    }
}

impl Listener<Smol> for TcpListener {
    type Io = TcpStream;
    type Addr = SocketAddr;
    type Accepting = Accepting<Self>;

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.local_addr()
    }

    fn accepting(self) -> Accepting<Self> {
        Accepting(self)
    }
}

#[cfg(unix)]
impl Listener<Smol> for UnixListener {
    type Io = UnixStream;
    type Addr = std::os::unix::net::SocketAddr;
    type Accepting = Accepting<Self>;

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.local_addr()
    }

    fn accepting(self) -> Accepting<Self> {
        Accepting(self)
    }
}

/// A listener of smol's, to the accept loop: each connection comes with its client's address.
#[derive(Debug)]
pub struct Accepting<L>(L);

/// A connection that knows its client's address.
pub trait Stream {
    /// The address.
    type Addr;

    /// The client's.
    ///
    /// # Errors
    ///
    /// That the client is gone.
    fn addr(&self) -> io::Result<Self::Addr>;
}

impl Stream for TcpStream {
    type Addr = SocketAddr;

    fn addr(&self) -> io::Result<SocketAddr> {
        self.peer_addr()
    }
}

#[cfg(unix)]
impl Stream for UnixStream {
    type Addr = std::os::unix::net::SocketAddr;

    fn addr(&self) -> io::Result<Self::Addr> {
        self.peer_addr()
    }
}

impl<L: Accepts<Smol, Stream: Stream>> Accepts<Smol> for Accepting<L> {
    type Stream = (L::Stream, <L::Stream as Stream>::Addr);
    type Socket = L::Socket;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Self::Stream>> {
        Poll::Ready(with_peer(ready!(self.0.poll_accept(cx))?))
    }

    fn into_socket(self) -> io::Result<L::Socket> {
        self.0.into_socket()
    }

    fn peer((stream, _): &Self::Stream) -> Peer {
        L::peer(stream)
    }

    fn adopt(stream: <L::Socket as ebbtide_accept::Socket>::Stream) -> io::Result<Self::Stream> {
        with_peer(L::adopt(stream)?)
    }
}

fn with_peer<S: Stream>(stream: S) -> io::Result<(S, S::Addr)> {
    let addr = peer(stream.addr())?;
    Ok((stream, addr))
}

impl<I: AsyncRead + AsyncWrite + Unpin + Send + 'static> Transport<Smol, I> for Plain {
    type Io = FuturesIo<I>;
    type Session = ();

    fn begin(&self, io: I, guard: Guard) -> (FuturesIo<I>, Accepted, ()) {
        (FuturesIo::new(io), guard.into(), ())
    }

    #[inline]
    fn tell((): &(), _: &mut Extensions) {}
}

#[cfg(feature = "rustls")]
impl<I: AsyncRead + AsyncWrite + Unpin + Send + 'static> Transport<Smol, I> for crate::Rustls {
    type Io = FuturesIo<ebbtide_rustls::futures_io::Stream<I>>;
    type Session = crate::Session;

    fn begin(&self, io: I, guard: Guard) -> (Self::Io, Accepted, crate::Session) {
        let acceptor = ebbtide_rustls::futures_io::TlsAcceptor::from(self.config());
        let (io, guard) = ebbtide_rustls::futures_io::handshake(io, guard, |io| acceptor.accept(io));
        let session = io.session();
        (FuturesIo::new(io), guard, session)
    }

    fn tell(session: &crate::Session, extensions: &mut Extensions) {
        extensions.insert(session.clone());
    }
}

#[cfg(feature = "tokio")]
impl<L: Listener<Smol, Addr = Self>> Connected<IncomingStream<'_, L>> for SocketAddr {
    fn connect_info(stream: IncomingStream<'_, L>) -> Self {
        *stream.remote_addr()
    }
}

#[cfg(all(unix, feature = "tokio"))]
impl<L: Listener<Smol, Addr = Self>> Connected<IncomingStream<'_, L>> for std::os::unix::net::SocketAddr {
    fn connect_info(stream: IncomingStream<'_, L>) -> Self {
        stream.remote_addr().clone()
    }
}
