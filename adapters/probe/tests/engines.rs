//! The probe over sockets: on hyper, on axum, and on async-h1 as the README has it.

use std::convert::Infallible;
use std::future::ready;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use ebbtide::{Drain, Watcher};
use ebbtide_axum::Draining;
use ebbtide_hyper::Http;
use ebbtide_probe::{Probe, Token};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};

const TOKEN: &str = "0123456789abcdef";

/// Asks for all that a probe has, looks at a stream until its server ends, and ends that.
fn ask(address: SocketAddr, main: &Drain, server: &Drain) {
    assert!(all(address, "GET /ready", "").ends_with("ready\n"));
    assert!(all(address, "GET /metrics", "").contains("ebbtide_state 0"));
    assert!(all(address, "POST /ready/off", "").starts_with("HTTP/1.1 401"));
    let token = format!("authorization: Bearer {TOKEN}\r\n");
    assert!(all(address, "POST /ready/off", &token).starts_with("HTTP/1.1 200"));
    assert!(all(address, "GET /ready", "").starts_with("HTTP/1.1 503"));
    assert!(
        all(address, "GET /drain", "accept: text/html\r\n").contains("content-security-policy: default-src 'none'")
    );

    let stream = connect(address, "GET /drain", "accept: text/event-stream\r\n");
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    assert!(lines.any(|it| it.starts_with("data: ") && it.contains("Not ready")));
    let held = main.watcher().labelled("upload");
    drop(main.start());
    assert!(lines.any(|it| it.starts_with("data: ") && it.contains("Draining")), "it goes on through the drain");
    drop(held);
    drop(server.start());
    let last = lines.filter(|it| it.starts_with("data: ")).last();
    assert!(last.is_some_and(|it| it.contains("Drained")), "it ends with the last state");
}

fn connect(address: SocketAddr, start: &str, fields: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    // Nothing here takes long: a test that hangs says so.
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(stream, "{start} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{fields}\r\n").unwrap();
    stream
}

fn all(address: SocketAddr, start: &str, fields: &str) -> String {
    let mut text = String::new();
    connect(address, start, fields).read_to_string(&mut text).unwrap();
    text.replace("\r\n0\r\n\r\n", "")
}

fn probe(main: &Drain) -> Probe {
    Probe::new(main).actions(Token::new(TOKEN).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_hyper() {
    let (main, server) = (Drain::new(), Drain::new());
    let probe = probe(&main);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let http = Http::new(TokioExecutor::new(), TokioTimer::new()).extend_every_request();
    tokio::spawn(ebbtide_tokio::serve(listener, server.guard().unwrap(), move |stream, guard| {
        let (probe, peer) = (probe.clone(), stream.peer_addr().ok().map(|it| it.ip()));
        let answer = service_fn(move |request| ready(Ok::<_, Infallible>(probe.answer(&request, peer))));
        http.serve(TokioIo::new(stream), answer, guard)
    }));
    let ended = server.clone();
    tokio::task::spawn_blocking(move || ask(address, &main, &server)).await.unwrap();
    ended.start().await.expect("the stream does not hold it up");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_axum() {
    let (main, server) = (Drain::new(), Drain::new());
    let probe = probe(&main);
    let answer = |ConnectInfo(peer): ConnectInfo<SocketAddr>, Draining(server): Draining, mut request: Request| async move {
        request.extensions_mut().insert(server);
        probe.answer(&request, Some(peer.ip()))
    };
    let app = Router::new().fallback(answer).into_make_service_with_connect_info::<SocketAddr>();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(ebbtide_axum::serve(listener, app).drain(&server).into_future());
    tokio::task::spawn_blocking(move || ask(address, &main, &server)).await.unwrap();
    serving.await.unwrap().expect("the stream does not hold it up");
}

#[test]
fn on_async_h1() {
    let (main, server) = (Drain::new(), Drain::new());
    let probe = probe(&main);
    let listener = smol::block_on(smol::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let http = ebbtide_async_h1::Http::new(smol::Timer::after).extend_every_request();
    let guard = server.guard().unwrap();
    let serving = ebbtide_smol::serve(listener, guard, move |stream: smol::net::TcpStream, guard| {
        let (probe, peer) = (probe.clone(), stream.peer_addr().ok().map(|it| it.ip()));
        http.serve(stream, move |request| ready(translated(&probe, &request, peer)), guard)
    });
    let asking = thread::spawn({
        let server = server.clone();
        move || ask(address, &main, &server)
    });
    smol::block_on(serving).unwrap();
    smol::block_on(server.start()).expect("the stream does not hold it up");
    asking.join().unwrap();
}

fn translated(
    probe: &Probe,
    asked: &http_types::Request,
    peer: Option<IpAddr>,
) -> http_types::Result<http_types::Response> {
    let mut request = http::Request::builder().method(asked.method().as_ref()).uri(asked.url().path());
    for (name, values) in asked {
        request = values.iter().fold(request, |request, it| request.header(name.as_str(), it.as_str()));
    }
    let mut request = request.body(())?;
    if let Some(server) = asked.ext().get::<Watcher>() {
        request.extensions_mut().insert(server.clone());
    }
    let (parts, body) = probe.answer(&request, peer).into_parts();
    let mut answer = http_types::Response::new(parts.status.as_u16());
    answer.set_body(http_types::Body::from_reader(body, None));
    for (name, value) in &parts.headers {
        answer.insert_header(name.as_str(), value.to_str()?);
    }
    Ok(answer)
}
