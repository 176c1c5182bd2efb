//! Services that no other thread may have, on executors of one thread.

use std::cell::Cell;
use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

use ebbtide::{Drain, Guard, Watcher};
use ebbtide_hyper::{Error, Http};
use futures_lite::future::yield_now;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::rt::{Read, Timer, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use smol_hyper::rt::{FuturesIo, SmolTimer};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: test\r\n\r\n";

/// Longer than any of this takes.
const PATIENCE: Duration = Duration::from_secs(10);

/// Requests begun. Neither it nor what has it is `Send`.
type Begun = Rc<Cell<u32>>;

/// Serves requests that are answered once the drain has begun.
async fn serve<I, T>(io: I, timer: T, guard: Guard, begun: Begun) -> Result<(), Error>
where
    I: Read + Write + Unpin,
    T: Timer + Clone + Send + Sync + 'static,
{
    let answer = service_fn(|request: Request<Incoming>| {
        let begun = begun.clone();
        async move {
            begun.set(begun.get() + 1);
            request.extensions().get::<Watcher>().expect("put there by ebbtide").clone().await;
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("hello")))
        }
    });
    let http = Http::new((), timer.clone()).extend_every_request();
    http.serve_with(io, answer, guard, |io, service| http1::Builder::new().timer(timer).serve_connection(io, service))
        .await
}

/// Drains while the request is being served.
async fn drain(drain: Drain, begun: Begun, late: impl Future<Output = ()>) {
    while begun.get() == 0 {
        yield_now().await;
    }
    let outcome = drain.start().deadline(late).await;
    assert!(outcome.is_ok(), "{outcome:?}");
}

#[track_caller]
fn check(response: &[u8]) {
    let response = String::from_utf8_lossy(response);
    assert!(response.contains("connection: close") && response.ends_with("hello"), "{response}");
}

#[test]
fn a_local_executor_of_smol_serves_what_is_not_send() {
    use smol::io::{AsyncReadExt, AsyncWriteExt};

    let executor = smol::LocalExecutor::new();
    let (whole, begun) = (Drain::new(), Begun::default());
    let response = smol::block_on(executor.run(async {
        let (mut client, connection) = smol::net::unix::UnixStream::pair().unwrap();
        let guard = whole.guard().expect("running");
        let served = executor.spawn(serve(FuturesIo::new(connection), SmolTimer::new(), guard, begun.clone()));
        client.write_all(REQUEST).await.unwrap();
        let late = async {
            smol::Timer::after(PATIENCE).await;
        };
        let drained = executor.spawn(drain(whole, begun, late));
        let mut response = Vec::new();
        client.read_to_end(&mut response).await.unwrap();
        served.await.unwrap();
        drained.await;
        response
    }));
    check(&response);
}

#[tokio::test]
async fn a_local_set_of_tokio_serves_what_is_not_send() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let (whole, begun) = (Drain::new(), Begun::default());
    let local = tokio::task::LocalSet::new();
    let response = local.run_until(async {
        let (mut client, connection) = tokio::io::duplex(1024);
        let guard = whole.guard().expect("running");
        let served = tokio::task::spawn_local(serve(TokioIo::new(connection), TokioTimer::new(), guard, begun.clone()));
        client.write_all(REQUEST).await.unwrap();
        let drained = tokio::task::spawn_local(drain(whole, begun, tokio::time::sleep(PATIENCE)));
        let mut response = Vec::new();
        client.read_to_end(&mut response).await.unwrap();
        served.await.unwrap().unwrap();
        drained.await.unwrap();
        response
    });
    check(&response.await);
}

#[test]
fn a_guard_is_held_during_what_is_not_send() {
    let executor = smol::LocalExecutor::new();
    let (whole, begun) = (Drain::new(), Begun::default());
    let guard = whole.guard().expect("running");
    let (watcher, local) = (guard.watcher(), begun.clone());
    let task = executor.spawn(guard.during(async move {
        watcher.await;
        local.set(1);
    }));
    smol::block_on(executor.run(whole.start())).expect("the task ends by itself");
    assert_eq!((begun.get(), smol::block_on(task)), (1, Some(())));
}
