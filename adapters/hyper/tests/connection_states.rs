//! The states that a connection goes through, exactly, by what its client does.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use ebbtide::{Drain, Label};
use ebbtide_hyper::{ConnectionCounts, ConnectionInfo, ConnectionState, Connections, Http};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue, UPGRADE};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use ConnectionState::{Active, Closed, Idle, New, Upgraded};

async fn answer(mut request: Request<Incoming>) -> Result<Response<String>, Infallible> {
    let mut response = Response::new("hello".to_owned());
    if request.method() == Method::POST {
        let _ = request.body_mut().collect().await;
    }
    if request.headers().contains_key(UPGRADE) {
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut connection = TokioIo::new(upgrade.await.expect("an upgrade"));
            let _ = connection.read(&mut [0; 8]).await;
        });
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
        response.headers_mut().insert(UPGRADE, HeaderValue::from_static("test"));
    }
    Ok(response)
}

/// A connection whose states are written down.
struct Served {
    client: DuplexStream,
    states: Arc<Mutex<Vec<ConnectionState>>>,
    connections: Connections,
    drain: Drain,
}

impl Served {
    fn new() -> Self {
        let states = Arc::new(Mutex::new(Vec::new()));
        let written = states.clone();
        let note = move |it: &ConnectionInfo| written.lock().expect("no panic").push(it.state());
        let connections = Connections::new().on_change(note);
        let drain = Drain::new();
        let guard = drain.watcher().labelled("the client").expect("running");
        let (client, server) = duplex(4096);
        let http = Http::new(TokioExecutor::new(), TokioTimer::new()).connections(&connections);
        tokio::spawn(http.serve(TokioIo::new(server), service_fn(answer), guard));
        Self { client, states, connections, drain }
    }

    async fn send(&mut self, bytes: &str) {
        self.client.write_all(bytes.as_bytes()).await.expect("open");
    }

    /// Reads until the answer that ends so.
    async fn receive(&mut self, end: &str) {
        let mut answer = Vec::new();
        while !answer.ends_with(end.as_bytes()) {
            assert_ne!(self.client.read_buf(&mut answer).await.expect("no reset"), 0, "{answer:?}");
        }
    }

    /// Lets the server go on until the connection stands so.
    async fn until(&self, stands: impl Fn(ConnectionCounts) -> bool) {
        while !stands(self.connections.counts()) {
            tokio::task::yield_now().await;
        }
    }

    /// All its states: the client goes, and then the connection.
    async fn end(mut self) -> Vec<ConnectionState> {
        (self.client, _) = duplex(1);
        self.until(|it| it == ConnectionCounts::default()).await;
        self.drain.start().await.expect("nothing was cut");
        self.states.lock().expect("no panic").clone()
    }
}

const GET: &str = "GET / HTTP/1.1\r\nhost: test\r\n\r\n";

#[tokio::test]
async fn kept_alive_and_closed_by_the_client() {
    let mut served = Served::new();
    served.send(GET).await;
    served.receive("hello").await;
    assert_eq!(served.connections.counts().to_string(), "(0 new, 0 active, 1 idle, 0 upgraded)");
    assert_eq!(served.end().await, [New, Active, Idle, Closed]);
}

#[tokio::test]
async fn a_second_request_that_is_the_last() {
    let mut served = Served::new();
    served.send(GET).await;
    served.receive("hello").await;
    served.send("GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").await;
    served.receive("hello").await;
    assert_eq!(served.end().await, [New, Active, Idle, Active, Closed]);
}

#[tokio::test]
async fn http_1_0_ends_with_its_response() {
    let mut served = Served::new();
    served.send("GET / HTTP/1.0\r\n\r\n").await;
    served.receive("hello").await;
    assert_eq!(served.end().await, [New, Active, Closed]);
}

#[tokio::test]
async fn silent() {
    assert_eq!(Served::new().end().await, [New, Closed]);
}

#[tokio::test]
async fn malformed() {
    let mut served = Served::new();
    served.send("nonsense\r\n\r\n").await;
    served.receive("\r\n\r\n").await;
    assert_eq!(served.end().await, [New, Active, Closed]);
}

#[tokio::test]
async fn upgraded() {
    let mut served = Served::new();
    served.send("GET / HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: test\r\n\r\n").await;
    served.receive("\r\n\r\n").await;
    assert_eq!(served.end().await, [New, Active, Upgraded, Closed]);
}

#[tokio::test]
async fn a_request_and_an_upgraded_connection_are_in_flight_and_an_idle_one_is_not() {
    let mut served = Served::new();
    served.send(GET).await;
    served.receive("hello").await;
    assert_eq!(served.connections.in_flight(), 0);
    served.send("POST /upload HTTP/1.1\r\nhost: test\r\ncontent-length: 1\r\n\r\n").await;
    served.until(|it| it.active == 1).await;
    assert_eq!(served.connections.in_flight(), 1);
    served.send("x").await;
    served.receive("hello").await;
    served.send("GET / HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: test\r\n\r\n").await;
    served.receive("\r\n\r\n").await;
    served.until(|it| it.upgraded == 1).await;
    assert_eq!(served.connections.in_flight(), 1);
}

#[tokio::test]
async fn what_is_held_is_told_by_peer_state_and_request() {
    let mut served = Served::new();
    served.send("POST /upload?secret HTTP/1.1\r\nhost: test\r\ncontent-length: 9\r\n\r\n").await;
    served.until(|it| it.active == 1).await;
    let list = served.connections.list();
    assert_eq!(list[0].name(), Some(&Label::from("the client")));
    served.drain.close();
    let told = served.drain.start().await.expect_err("it was cut").to_string();
    assert!(told.contains("the client: active ") && told.contains(" s, POST /upload"), "{told}");
    assert!(!told.contains("secret"), "{told}");
}
