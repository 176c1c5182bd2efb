//! The adapters, each with a service like a user's, rehearsed.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ebbtide::Watcher;
use ebbtide_hyper::Http;
use ebbtide_testkit::{Rehearsal, Runtime, Simulation};
use futures_lite::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header::{CONNECTION, HeaderValue, UPGRADE};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use smol_hyper::rt::{FuturesIo, SmolExecutor};

const GET: &str = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";
const SLOW: &str = "GET /slow HTTP/1.1\r\nHost: test\r\n\r\n";
const STREAM: &str = "GET /stream HTTP/1.1\r\nHost: test\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n0123456789";
const CHUNKED: &str =
    "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfour\r\n3\r\nthr\r\n0\r\n\r\n";
const CONTINUE: &str = "POST / HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nfour";
const HEAD: &str = "HEAD /slow HTTP/1.1\r\nHost: test\r\n\r\n";
const LAST: &str = "GET /slow HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
const OLD: &str = "GET /slow HTTP/1.0\r\n\r\n";
const BIG: &str = "GET /big HTTP/1.1\r\nHost: test\r\n\r\n";
const ALL: [&str; 10] = [GET, SLOW, STREAM, BIG, POST, CHUNKED, CONTINUE, HEAD, LAST, OLD];

/// The least that hyper can do with.
const BUFFER: usize = 8192;

const SWITCH: &str = "GET / HTTP/1.1\r\nHost: test\r\nConnection: upgrade\r\nUpgrade: test\r\n\r\n";

type Sleep = Arc<dyn Fn() -> futures_lite::future::Boxed<()> + Send + Sync>;

fn second(runtime: &Runtime) -> Sleep {
    let runtime = runtime.clone();
    Arc::new(move || Box::pin(runtime.sleep(Duration::from_secs(1))))
}

/// Greets, slowly where that is asked for, or in pieces; says what a body had; and echoes after an upgrade, with a goodbye.
async fn service<S>(
    request: Request<Incoming>,
    sleep: Sleep,
    spawn: S,
) -> Result<Response<UnsyncBoxBody<Bytes, Infallible>>, Infallible>
where
    S: Fn(futures_lite::future::Boxed<()>),
{
    let full = |bytes: Bytes| Full::new(bytes).boxed_unsync();
    if request.headers().contains_key(UPGRADE) {
        let watcher = request.extensions().get::<Watcher>().expect("put there by ebbtide").clone();
        spawn(Box::pin(async move {
            let Ok(mut io) = hyper::upgrade::on(request).await.map(TokioIo::new) else { return };
            let mut byte = [0];
            while let Some(Ok(1)) =
                watcher.clone().until_draining(tokio::io::AsyncReadExt::read(&mut io, &mut byte)).await
            {
                if tokio::io::AsyncWriteExt::write_all(&mut io, &byte).await.is_err() {
                    return;
                }
            }
            let _ = tokio::io::AsyncWriteExt::write_all(&mut io, b"goodbye").await;
            let _ = tokio::io::AsyncWriteExt::shutdown(&mut io).await;
        }));
        let mut response = Response::new(full(Bytes::new()));
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
        response.headers_mut().insert(UPGRADE, HeaderValue::from_static("test"));
        return Ok(response);
    }
    Ok(Response::new(match (request.method(), request.uri().path()) {
        (&Method::POST, _) => match request.into_body().collect().await {
            Ok(body) => full(body.to_bytes()),
            Err(_) => full("half".into()),
        },
        (_, "/slow") => {
            // Longer than any bound.
            for _ in 0..30 {
                sleep().await;
            }
            full("hello".into())
        }
        // More than the engine buffers.
        (_, "/big") => {
            let pieces = (0..32).map(|_| Ok(Frame::data(Bytes::from(vec![b'b'; 1024]))));
            StreamBody::new(futures_lite::stream::iter(pieces)).boxed_unsync()
        }
        (_, "/stream") => {
            let pieces = futures_lite::stream::unfold(0_u8, move |piece| {
                let sleep = sleep.clone();
                async move {
                    if piece > 0 {
                        sleep().await;
                    }
                    (piece < 5).then(|| (Ok(Frame::data(Bytes::from(vec![b'0' + piece; 10]))), piece + 1))
                }
            });
            StreamBody::new(pieces).boxed_unsync()
        }
        _ => full("hello".into()),
    }))
}

/// The body of `/stream` as async-h1 wants it.
struct Pieces {
    runtime: Runtime,
    piece: u8,
    sleep: ebbtide_testkit::Sleep,
}

impl Pieces {
    fn new(runtime: Runtime) -> Self {
        let sleep = runtime.sleep(Duration::ZERO);
        Self { runtime, piece: 0, sleep }
    }
}

impl AsyncRead for Pieces {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        ready!(Pin::new(&mut self.sleep).poll(cx));
        if self.piece == 5 {
            return Poll::Ready(Ok(0));
        }
        buf[..10].fill(b'0' + self.piece);
        self.piece += 1;
        self.sleep = self.runtime.sleep(Duration::from_secs(1));
        Poll::Ready(Ok(10))
    }
}

/// The same, of http-types.
async fn endpoint(mut request: http_types::Request, runtime: Runtime) -> http_types::Result<http_types::Response> {
    if request.header("upgrade").is_some() {
        let watcher = request.ext().get::<Watcher>().expect("put there by ebbtide").clone();
        let mut response = http_types::Response::new(http_types::StatusCode::SwitchingProtocols);
        response.insert_header("connection", "upgrade");
        response.insert_header("upgrade", "test");
        let upgraded = response.recv_upgrade().await;
        runtime.spawn(async move {
            let Some(mut io) = upgraded.await else { return };
            let mut byte = [0];
            while let Some(Ok(1)) = watcher.clone().until_draining(AsyncReadExt::read(&mut io, &mut byte)).await {
                if AsyncWriteExt::write_all(&mut io, &byte).await.is_err() {
                    return;
                }
            }
            let _ = AsyncWriteExt::write_all(&mut io, b"goodbye").await;
            let _ = AsyncWriteExt::close(&mut io).await;
        });
        return Ok(response);
    }
    Ok(match (request.method(), request.url().path()) {
        (http_types::Method::Post, _) => request.body_bytes().await?.into(),
        (_, "/slow") => {
            runtime.sleep(Duration::from_secs(30)).await;
            "hello".into()
        }
        (_, "/big") => vec![b'b'; 32 * 1024].into(),
        (_, "/stream") => {
            http_types::Body::from_reader(futures_lite::io::BufReader::new(Pieces::new(runtime)), None).into()
        }
        _ => "hello".into(),
    })
}

/// Rehearses these requests, and says what came of it where that is not as it should be.
fn check(rehearsal: &Rehearsal, requests: &[&str]) {
    let broken: Vec<_> = requests
        .iter()
        .map(|request| (request, rehearsal.run(request)))
        .filter(|(_, report)| report.broken().next().is_some())
        .map(|(request, report)| format!("{}\n{report}\n", request.escape_debug()))
        .collect();
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn hyper_keeps_what_it_promises() {
    let rehearsal = Rehearsal::new(|runtime| {
        let (mut http, runtime) = (Http::new(runtime.clone(), runtime.clone()), runtime.clone());
        http.builder().http1().max_buf_size(BUFFER);
        move |io, guard| {
            let runtime = runtime.clone();
            let service = service_fn(move |request| {
                let spawn = runtime.clone();
                service(request, second(&runtime), move |task| spawn.spawn(task))
            });
            http.serve(io, service, guard)
        }
    });
    check(&rehearsal.upgrade(SWITCH), &ALL);
}

#[test]
fn hyper_keeps_what_it_promises_on_tokio() {
    let rehearsal = Rehearsal::new(|_| {
        let mut http = Http::new(TokioExecutor::new(), TokioTimer::new());
        http.builder().http1().max_buf_size(BUFFER);
        let sleep: Sleep = Arc::new(|| Box::pin(tokio::time::sleep(Duration::from_secs(1))));
        move |io, guard| {
            let sleep = sleep.clone();
            let service = service_fn(move |request| service(request, sleep.clone(), |task| drop(tokio::spawn(task))));
            // As an accept loop would: a task of tokio's own.
            tokio::spawn(http.serve(TokioIo::new(io), service, guard))
        }
    });
    check(&rehearsal.on_tokio().upgrade(SWITCH), &ALL);
}

#[test]
fn hyper_keeps_what_it_promises_on_an_executor_of_smol() {
    let rehearsal = Rehearsal::new(|runtime| {
        let executor = Arc::new(smol::Executor::new());
        let (running, runtime) = (executor.clone(), runtime.clone());
        runtime.spawn(async move { running.run(pending()).await });
        let mut http = Http::new(SmolExecutor::new(executor.clone()), runtime.clone());
        http.builder().http1().max_buf_size(BUFFER);
        move |io, guard| {
            let (runtime, on) = (runtime.clone(), executor.clone());
            let service = service_fn(move |request| {
                let on = on.clone();
                service(request, second(&runtime), move |task| on.spawn(task).detach())
            });
            executor.spawn(http.serve(FuturesIo::new(io), service, guard))
        }
    });
    check(&rehearsal.upgrade(SWITCH), &ALL);
}

fn async_h1() -> Rehearsal {
    Rehearsal::new(|runtime| {
        let (clock, runtime) = (runtime.clone(), runtime.clone());
        let http = ebbtide_async_h1::Http::new(move |time| clock.sleep(time));
        move |io, guard| {
            let runtime = runtime.clone();
            http.serve(io, move |request| endpoint(request, runtime.clone()), guard)
        }
    })
}

#[test]
fn async_h1_keeps_what_it_promises() {
    check(&async_h1().upgrade(SWITCH), &ALL);
}

/// What has come of the second request is with the engine, so nothing is there to be read when the end is written.
#[test]
fn a_request_pipelined_in_two_pieces_does_not_destroy_the_response() {
    let simulation = Simulation::new();
    let http = Http::new(simulation.runtime(), simulation.runtime());
    let runtime = simulation.runtime();
    let service = service_fn(move |request| service(request, second(&runtime), drop));
    let mut client = simulation.connect(|io, guard| http.serve(io, service, guard));
    client.send(format!("{SLOW}GET / HT"));
    simulation.settle();
    drop(simulation.drain().start());
    simulation.pass(Duration::from_secs(30));
    client.send("TP/1.1\r\nHost: test\r\n\r\n");
    client.expect_last("hello");
}

#[test]
fn one_rehearsal_is_like_the_other() {
    let said = || async_h1().upgrade(SWITCH).run(STREAM).to_string();
    assert_eq!(said(), said());
}
