//! The adapters, each with a service like a user's, rehearsed.

use std::convert::Infallible;
use std::future::pending;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ebbtide::Watcher;
use ebbtide_testkit::{Rehearsal, Runtime};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header::{CONNECTION, HeaderValue, UPGRADE};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

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
const ALL: [&str; 9] = [GET, SLOW, STREAM, POST, CHUNKED, CONTINUE, HEAD, LAST, OLD];

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
            while let Some(Ok(1)) = watcher.clone().until_draining(io.read(&mut byte)).await {
                if io.write_all(&byte).await.is_err() {
                    return;
                }
            }
            let _ = io.write_all(b"goodbye").await;
            let _ = io.shutdown().await;
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
            sleep().await;
            full("hello".into())
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

/// Rehearses every request, and says what came of it where that is not as it should be.
fn check(rehearsal: &Rehearsal) {
    let broken: Vec<_> = ALL
        .iter()
        .map(|request| (request, rehearsal.run(request)))
        .filter(|(_, report)| !report.is_kept())
        .map(|(request, report)| format!("{}\n{report}\n", request.escape_debug()))
        .collect();
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn hyper_keeps_what_it_promises() {
    let rehearsal = Rehearsal::new(|runtime| {
        let (http, runtime) = (ebbtide_hyper::Http::new(runtime.clone(), runtime.clone()), runtime.clone());
        move |io, guard| {
            let runtime = runtime.clone();
            let service = service_fn(move |request| {
                let spawn = runtime.clone();
                service(request, second(&runtime), move |task| spawn.spawn(task))
            });
            http.serve(io, service, guard)
        }
    });
    check(&rehearsal.upgrade(SWITCH));
}
