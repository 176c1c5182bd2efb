//! So many requests over one connection in memory, served by hyper alone or with ebbtide: `requests <bare | ebbtide>
//! <times>`. For `tests/instructions.sh`, which counts the instructions of two runs and divides the difference.

use std::convert::Infallible;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use ebbtide::Drain;
use ebbtide_hyper::Http;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::rt::{Executor, Read, ReadBufCursor, Sleep, Timer, Write};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::server::conn::auto;

fn main() {
    let mut words = std::env::args().skip(1);
    let what = words.next().unwrap_or_default();
    let times = words.next().and_then(|it| it.parse().ok()).expect("how many times");
    let turn = Arc::new(AtomicBool::new(false));
    let client = Client { turn: turn.clone(), left: times, rest: &[] };
    match &*what {
        "bare" => {
            let mut builder = auto::Builder::new(Nowhere);
            builder.http1().timer(Stopped);
            builder.http2().timer(Stopped);
            let connection = builder.serve_connection_with_upgrades(client, service_fn(answer)).into_owned();
            run(&turn, async { drop(connection.await) });
        }
        // As `serve` of the runtime adapters has it, which ends the task at a forced close.
        "ebbtide" => {
            let drain = Drain::new();
            let guard = drain.guard().expect("running");
            let connection = Http::new(Nowhere, Stopped).serve(client, service_fn(answer), guard);
            run(&turn, drain.watcher().until_closed(async { drop(connection.await) }));
        }
        _ => panic!("served by what: bare or ebbtide"),
    }
}

async fn answer(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::from("hello")))
}

/// Polls the connection's task once for each request, as a reactor does.
fn run(turn: &AtomicBool, connection: impl Future) {
    let mut connection = pin!(connection);
    let mut context = Context::from_waker(Waker::noop());
    while connection.as_mut().poll(&mut context).is_pending() {
        turn.store(true, Ordering::Relaxed);
    }
}

/// Asks when it is its turn, and leaves after its last request.
#[derive(Debug)]
struct Client {
    turn: Arc<AtomicBool>,
    left: u32,
    /// Of the request at hand.
    rest: &'static [u8],
}

/// What wrk sends.
const REQUEST: &[u8] = b"GET /hello HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n";

impl Read for Client {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        if self.rest.is_empty() {
            if !self.turn.load(Ordering::Relaxed) {
                return Poll::Pending;
            }
            self.turn.store(false, Ordering::Relaxed);
            if self.left == 0 {
                return Poll::Ready(Ok(()));
            }
            self.left -= 1;
            self.rest = REQUEST;
        }
        let (now, rest) = self.rest.split_at(self.rest.len().min(buf.remaining()));
        buf.put_slice(now);
        self.rest = rest;
        Poll::Ready(Ok(()))
    }
}

impl Write for Client {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(self: Pin<&mut Self>, _: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bufs.iter().map(|it| it.len()).sum()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// HTTP/1 spawns nothing.
#[derive(Clone, Copy, Debug)]
struct Nowhere;

impl<F> Executor<F> for Nowhere {
    fn execute(&self, _: F) {}
}

/// A clock whose sleeps never end.
#[derive(Clone, Copy, Debug)]
struct Stopped;

impl Timer for Stopped {
    fn sleep(&self, _: Duration) -> Pin<Box<dyn Sleep>> {
        Box::pin(Endless)
    }

    fn sleep_until(&self, _: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(Endless)
    }
}

#[derive(Debug)]
struct Endless;

impl Future for Endless {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

impl Sleep for Endless {}
