//! Connections of HTTP/1 or HTTP/2, whichever the client begins with: what `hyper_util::server::conn::auto` is, in less
//! memory.
//!
//! hyper-util keeps room for HTTP/2 in every connection, which is 1.5 KiB. Here HTTP/2 is boxed, and a connection of HTTP/1 is
//! half as large.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use hyper::body::{Body, Incoming};
use hyper::rt::{Read, Write};
use hyper::server::conn::{http1, http2};
use hyper::service::HttpService;
pub use hyper_util::server::conn::auto::HttpServerConnExec;
use pin_project_lite::pin_project;

use crate::engine::Engine;
use crate::io::Io;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// hyper's own settings, of HTTP/1 and of HTTP/2. `E` is the executor for the streams of HTTP/2.
///
/// # Examples
///
/// ```
/// # use hyper_util::rt::{TokioExecutor, TokioTimer};
/// let mut http = ebbtide_hyper::Http::new(TokioExecutor::new(), TokioTimer::new());
/// http.builder().http1().max_buf_size(64 * 1024);
/// http.builder().http2().max_concurrent_streams(100);
/// ```
#[derive(Clone, Debug)]
pub struct Builder<E> {
    http1: http1::Builder,
    http2: http2::Builder<E>,
}

impl<E> Builder<E> {
    pub(crate) fn new(executor: E) -> Self {
        Self { http1: http1::Builder::new(), http2: http2::Builder::new(executor) }
    }

    /// The settings of HTTP/1.
    pub fn http1(&mut self) -> &mut http1::Builder {
        &mut self.http1
    }

    /// The settings of HTTP/2.
    pub fn http2(&mut self) -> &mut http2::Builder<E> {
        &mut self.http2
    }
}

pin_project! {
    /// A connection of either protocol, with upgrades: the engine of [`Http::serve`](crate::Http::serve).
    #[must_use = "futures do nothing unless polled"]
    pub struct Connection<I, S, E>
    where
        I: Read,
        I: Write,
        I: Unpin,
        S: HttpService<Incoming>,
    {
        #[pin]
        stage: Stage<I, S, E>,
    }
}

pin_project! {
    #[project = StageProjection]
    enum Stage<I, S, E>
    where
        I: Read,
        I: Write,
        I: Unpin,
        S: HttpService<Incoming>,
    {
        // The protocol is not known yet. `None`: it was asked to finish before, or has failed.
        Beginning {
            parts: Option<(Io<I>, S, Arc<Builder<E>>)>,
        },
        Http1 {
            #[pin]
            connection: http1::UpgradeableConnection<Io<I>, S>,
        },
        // Boxed, since it is twice as large as HTTP/1.
        Http2 {
            connection: Pin<Box<http2::Connection<Io<I>, S, E>>>,
        },
    }
}

impl<I, S, E> Connection<I, S, E>
where
    I: Read + Write + Unpin,
    S: HttpService<Incoming>,
{
    pub(crate) fn new(io: Io<I>, service: S, builder: Arc<Builder<E>>) -> Self {
        Self { stage: Stage::Beginning { parts: Some((io, service, builder)) } }
    }
}

impl<I, S, B, E> Future for Connection<I, S, E>
where
    S: HttpService<Incoming, ResBody = B>,
    S::Error: Into<BoxError>,
    I: Read + Write + Unpin + Send + 'static,
    B: Body + 'static,
    B::Error: Into<BoxError>,
    E: HttpServerConnExec<S::Future, B>,
{
    type Output = Result<(), BoxError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match self.as_mut().project().stage.project() {
                StageProjection::Http1 { connection } => return connection.poll(cx).map_err(Into::into),
                StageProjection::Http2 { connection } => return connection.as_mut().poll(cx).map_err(Into::into),
                StageProjection::Beginning { .. } => ready!(self.as_mut().poll_beginning(cx))?,
            }
        }
    }
}

impl<I, S, B, E> Connection<I, S, E>
where
    S: HttpService<Incoming, ResBody = B>,
    S::Error: Into<BoxError>,
    I: Read + Write + Unpin + Send + 'static,
    B: Body + 'static,
    B::Error: Into<BoxError>,
    E: HttpServerConnExec<S::Future, B>,
{
    /// Waits for the bytes that tell the protocol.
    #[inline(never)]
    fn poll_beginning(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut stage = self.project().stage;
        let StageProjection::Beginning { parts } = stage.as_mut().project() else { return Poll::Ready(Ok(())) };
        let cancelled = || io::Error::new(io::ErrorKind::Interrupted, "asked to finish before the first request");
        let (io, ..) = parts.as_mut().ok_or_else(cancelled)?;
        let is_http2 = ready!(io.poll_is_http2(cx))?;
        let (io, service, builder) = parts.take().ok_or_else(cancelled)?;
        stage.set(if is_http2 {
            Stage::Http2 { connection: Box::pin(builder.http2.serve_connection(io, service)) }
        } else {
            Stage::Http1 { connection: builder.http1.serve_connection(io, service).with_upgrades() }
        });
        Poll::Ready(Ok(()))
    }
}

impl<I, S, B, E> Engine for Connection<I, S, E>
where
    S: HttpService<Incoming, ResBody = B>,
    S::Error: Into<BoxError>,
    I: Read + Write + Unpin + Send + 'static,
    B: Body + 'static,
    B::Error: Into<BoxError>,
    E: HttpServerConnExec<S::Future, B>,
{
    type Error = BoxError;

    fn finish(self: Pin<&mut Self>) {
        match self.project().stage.project() {
            StageProjection::Beginning { parts } => *parts = None,
            StageProjection::Http1 { connection } => connection.graceful_shutdown(),
            StageProjection::Http2 { connection } => connection.as_mut().graceful_shutdown(),
        }
    }
}

impl<I, S, E> fmt::Debug for Connection<I, S, E>
where
    I: Read + Write + Unpin,
    S: HttpService<Incoming>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}
