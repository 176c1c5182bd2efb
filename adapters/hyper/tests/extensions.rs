//! What a request finds in its extensions.

use std::convert::Infallible;

use ebbtide::{Drain, Guard, Watcher};
use ebbtide_hyper::{Http, News};
use futures_lite::future::zip;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use smol::net::unix::UnixStream;
use smol_hyper::rt::{FuturesIo, SmolTimer};

const PLAIN: &str = "GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n";

const UPGRADE: &str = "GET / HTTP/1.1\r\nhost: test\r\nconnection: close, upgrade\r\nupgrade: test\r\n\r\n";

/// Sends one request, and returns what it found.
fn found(http: &Http<()>, request: &str) -> String {
    let answer = service_fn(|request: Request<Incoming>| async move {
        let (watcher, guard) = (request.extensions().get::<Watcher>(), request.extensions().get::<Guard>());
        let mut found = format!("{} {}", watcher.is_some(), guard.is_some());
        if let Some(news) = request.extensions().get::<News>() {
            found = format!("{found}, news of {:?} and {:?}", news.watcher().state(), news.guard().state());
        }
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(found)))
    });
    let (mut client, connection) = UnixStream::pair().unwrap();
    let drain = Drain::new();
    let guard = drain.guard().expect("running");
    let served = http.serve_with(FuturesIo::new(connection), answer, guard, |io, service| {
        http1::Builder::new().timer(SmolTimer::new()).serve_connection(io, service)
    });
    let mut response = String::new();
    smol::block_on(async {
        client.write_all(request.as_bytes()).await.unwrap();
        zip(served, client.read_to_string(&mut response)).await.1.unwrap();
    });
    let (_head, found) = response.split_once("\r\n\r\n").expect("a response");
    found.to_owned()
}

#[test]
fn a_request_that_may_upgrade_finds_both_and_another_one_none() {
    let http = Http::new((), SmolTimer::new());
    assert_eq!(found(&http, PLAIN), "false false");
    assert_eq!(found(&http, UPGRADE), "true true");
}

#[test]
fn every_request_finds_both_where_that_is_asked_for() {
    assert_eq!(found(&Http::new((), SmolTimer::new()).extend_every_request(), PLAIN), "true true");
}

#[test]
fn every_request_finds_news_where_that_is_asked_for() {
    let http = Http::new((), SmolTimer::new()).news_in_every_request();
    assert_eq!(found(&http, PLAIN), "false false, news of Running and Running");
    assert_eq!(found(&http, UPGRADE), "true true, news of Running and Running");
}
