//! The application as a service of hyper 1, on any runtime.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use ebbtide::Guard;
use futures_core::Stream;
use futures_io::{AsyncRead, AsyncWrite};
use futures_lite::future::poll_fn;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONNECTION, UPGRADE};
use hyper::rt::{Executor, Read, ReadBuf, Write};
use hyper::{Request, Response, StatusCode};

use crate::application::{Application, Reply};
use crate::body::Body;

/// [`Application`] as the service of one connection, all that a server on hyper needs.
#[derive(Clone, Debug)]
pub struct Service<E> {
    application: Application,
    guard: Guard,
    executor: E,
}

/// The body of a response; without a known length if the head should have none.
#[derive(Debug)]
pub struct ReplyBody {
    body: Option<Body>,
    left: Option<u64>,
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

impl<E> Service<E> {
    /// For the connection of this guard. The executor gets what outlasts its request: upgrades, and
    /// [`Work`](crate::Work).
    pub fn new(application: Application, guard: Guard, executor: E) -> Self {
        Self { application, guard, executor }
    }
}

impl<E: Executor<Task> + Clone + Send + Sync + 'static> hyper::service::Service<Request<Incoming>> for Service<E> {
    type Response = Response<ReplyBody>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<ReplyBody>, hyper::Error>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let Self { guard, executor, .. } = self.clone();
        let mut exchange = self.application.request(request.method().as_str(), request.uri().path());
        Box::pin(async move {
            if exchange.is_upgrade() {
                let upgraded = hyper::upgrade::on(&mut request);
                // The connection's own, if it says when it hears of the drain.
                let watcher = request.extensions_mut().remove().unwrap_or_else(|| guard.watcher());
                executor.execute(Box::pin(async move {
                    let Ok(io) = upgraded.await else { return };
                    drop(exchange.echo(Upgraded(io), watcher).await);
                }));
                let mut response = Response::new(ReplyBody { body: None, left: Some(0) });
                *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
                response.headers_mut().insert(CONNECTION, "upgrade".parse().expect("a value"));
                response.headers_mut().insert(UPGRADE, "echo".parse().expect("a value"));
                return Ok(response);
            }
            if exchange.reads() {
                let mut body = pin!(request.into_body());
                while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
                    exchange.receive(frame?.data_ref().map_or(&[], |it| it));
                }
            }
            if let Some(work) = exchange.work() {
                let worked = guard.labelled("work").during(work);
                executor.execute(Box::pin(async {
                    worked.await;
                }));
            }
            let Reply { status, length, body } = exchange.reply().await;
            let mut response = Response::new(ReplyBody { body: Some(body), left: length });
            *response.status_mut() = StatusCode::from_u16(status).expect("one of ours");
            Ok(response)
        })
    }
}

impl HttpBody for ReplyBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = &mut *self;
        let Some(body) = &mut this.body else { return Poll::Ready(None) };
        let piece = ready!(Pin::new(body).poll_next(cx));
        if let (Some(piece), Some(left)) = (&piece, &mut this.left) {
            *left -= piece.len() as u64;
        }
        Poll::Ready(piece.map(|it| Ok(Frame::data(Bytes::from(it)))))
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// An upgraded connection by the traits of futures-io.
struct Upgraded(hyper::upgrade::Upgraded);

impl AsyncRead for Upgraded {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut read = ReadBuf::new(buf);
        ready!(Pin::new(&mut self.0).poll_read(cx, read.unfilled()))?;
        Poll::Ready(Ok(read.filled().len()))
    }
}

impl AsyncWrite for Upgraded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
