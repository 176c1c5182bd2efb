//! TLS on streams of futures-io, such as those of smol and async-std, by futures-rustls.

use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::thread;

use ebbtide::Guard;
use ebbtide_connection::{Accepted, Handshake};
use futures_io::{AsyncRead, AsyncWrite};
pub use futures_rustls::TlsAcceptor;
use futures_rustls::server::TlsStream;

use crate::raw::Raw;
use crate::session::Session;

/// Wraps a connection in TLS. The handshake runs as a part of the HTTP connection: pass the stream and the guard to
/// `Http::serve`, as without TLS.
///
/// `accept` is `|io| acceptor.accept(io)` for a `TlsAcceptor` of futures-rustls. It may be any other future of a TLS
/// stream: one that chooses the `ServerConfig` by what the client says first (`LazyConfigAcceptor`), for example.
///
/// # Examples
///
/// ```no_run
/// # use std::sync::Arc;
/// # async fn run(config: Arc<rustls::ServerConfig>, guard: ebbtide::Guard) -> std::io::Result<()> {
/// let acceptor = futures_rustls::TlsAcceptor::from(config);
/// let listener = smol::net::TcpListener::bind("127.0.0.1:8443").await?;
/// let (stream, _) = listener.accept().await?;
/// let (stream, guard) = ebbtide_rustls::futures_io::handshake(stream, guard, |io| acceptor.accept(io));
/// # drop((stream, guard));
/// # Ok(())
/// # }
/// ```
pub fn handshake<I, F>(io: I, guard: Guard, accept: impl FnOnce(Raw<I>) -> F) -> (Stream<I>, Accepted)
where
    I: AsyncRead + AsyncWrite + Unpin,
    F: Future<Output = io::Result<TlsStream<Raw<I>>>> + Send + 'static,
{
    let (handshake, accepted) = Handshake::begin(guard);
    let state = State::Handshaking(Box::pin(accept(Raw::new(io, handshake.clone()))), handshake);
    (Stream { state, session: Session::default(), has_spoken: false }, accepted)
}

/// A TLS stream that does its handshake when it is first read or written.
///
/// Until the handshake is complete, only one task may poll it: of two, only the last one would be woken.
pub struct Stream<I: AsyncRead + AsyncWrite + Unpin> {
    state: State<I>,
    session: Session,
    /// Application data was written.
    has_spoken: bool,
}

enum State<I> {
    Handshaking(Accepting<I>, Handshake),
    Open(Tls<I>),
    /// The handshake has failed, or was aborted.
    Over,
}

type Tls<I> = Box<TlsStream<Raw<I>>>;
type Accepting<I> = Pin<Box<dyn Future<Output = io::Result<TlsStream<Raw<I>>>> + Send>>;

impl<I: AsyncRead + AsyncWrite + Unpin> Stream<I> {
    /// What is negotiated in the handshake. It is filled when the handshake is complete.
    pub fn session(&self) -> Session {
        self.session.clone()
    }

    /// The TLS stream once the handshake is complete; `None` if that has failed.
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<&mut Tls<I>>>> {
        if let State::Handshaking(accept, handshake) = &mut self.state {
            match ready!(accept.as_mut().poll(cx)) {
                Ok(stream) => {
                    self.session.begin(stream.get_ref().1);
                    handshake.over();
                    self.state = State::Open(Box::new(stream));
                }
                Err(error) => {
                    self.state = State::Over;
                    return Poll::Ready(Err(error));
                }
            }
        }
        Poll::Ready(Ok(match &mut self.state {
            State::Open(stream) => Some(stream),
            State::Handshaking(..) | State::Over => None,
        }))
    }

    fn poll_written(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut TlsStream<Raw<I>>>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let Some(stream) = ready!(self.poll_open(cx))? else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        let written = write(Pin::new(stream), cx);
        self.has_spoken |= written.is_ready();
        written
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncRead for Stream<I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        match ready!(self.poll_open(cx))? {
            Some(stream) => Pin::new(stream).poll_read(cx, buf),
            None => Poll::Ready(Ok(0)),
        }
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_written(cx, |stream, cx| stream.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_written(cx, |stream, cx| stream.poll_write_vectored(cx, bufs))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match ready!(self.poll_open(cx))? {
            Some(stream) => Pin::new(stream).poll_flush(cx),
            None => Poll::Ready(Ok(())),
        }
    }

    /// Writes the `close_notify`, then closes our direction. A handshake that is not complete is aborted.
    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let State::Open(stream) = &mut self.state {
            return Pin::new(stream).poll_close(cx);
        }
        self.state = State::Over;
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> Drop for Stream<I> {
    /// Sends a `close_notify` (RFC 8446, section 6.1) if nothing was written yet and the socket takes it at once. The client
    /// cannot mistake it for the end of a response then.
    fn drop(&mut self) {
        if let (State::Open(stream), false, false) = (&mut self.state, self.has_spoken, thread::panicking()) {
            let _ = Pin::new(stream).poll_close(&mut Context::from_waker(Waker::noop()));
        }
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> fmt::Debug for Stream<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("session", &self.session).finish_non_exhaustive()
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Raw<I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let bytes = ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        self.came(bytes);
        Poll::Ready(Ok(bytes))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Raw<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(cx)
    }
}
