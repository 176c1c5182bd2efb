//! Applications whose responses are not as they should be, on a socket: on every pair such a response is refused or put
//! right, and the next request is the next request.

use std::future::ready;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use ebbtide_pairs::hostile::Engine;
use ebbtide_pairs::server::{ALL, Application, Body, Pair, Setup};
use ebbtide_testkit::PATIENCE;
use futures_lite::io::Cursor;
use futures_util::stream;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame};
use hyper::header::HeaderValue;

/// A response that says this of itself, and has this body.
#[derive(Clone, Copy, Debug, Default)]
struct Said {
    status: u16,
    /// Where it says one.
    length: Option<usize>,
    /// Of a field of its own.
    value: Option<&'static str>,
    body: &'static str,
}

const FINE: Said = Said { status: 200, length: None, value: None, body: "fine" };

impl Said {
    /// Its body is one whose length is not known but by what it says.
    fn on_hyper(self) -> hyper::Response<Body> {
        let mut response = hyper::Response::builder().status(self.status);
        if let Some(length) = self.length {
            response = response.header("content-length", length);
        }
        if let Some(value) = self.value {
            response = response.header("x", value);
        }
        let frame = Frame::data(Bytes::from_static(self.body.as_bytes()));
        let body = BodyExt::boxed(StreamBody::new(stream::iter([Ok(frame)])));
        // What cannot be built is an application's own mistake.
        response.body(body).unwrap_or_else(|_| {
            let mut response = hyper::Response::new(Full::default().boxed());
            *response.status_mut() = hyper::StatusCode::INTERNAL_SERVER_ERROR;
            response
        })
    }

    fn on_h1(self) -> http_types::Response {
        let status = http_types::StatusCode::try_from(self.status).unwrap();
        let mut response = http_types::Response::new(status);
        if let Some(value) = self.value {
            response.insert_header("x", value);
        }
        response.set_body(http_types::Body::from_reader(Cursor::new(self.body), self.length));
        response
    }
}

/// A server that says this, except to `/second`.
fn saying(said: Said) -> Setup {
    let to = move |path: &str| if path == "/second" { Said { body: "second", ..FINE } } else { said };
    Setup::new(Application::new(
        move |request| ready(to(request.uri().path()).on_hyper()),
        move |request| ready(Ok(to(request.url().path()).on_h1())),
    ))
}

/// All that comes of a request and of the one behind it, on one connection.
fn both(addr: SocketAddr, method: &str) -> String {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let requests = format!(
        "{method} /first HTTP/1.1\r\nhost: test\r\n\r\nGET /second HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(requests.as_bytes()).unwrap();
    let mut answered = String::new();
    stream.read_to_string(&mut answered).expect("it ends in order");
    answered
}

/// The first of two responses.
#[track_caller]
fn first(pair: Pair, said: Said, method: &str) -> String {
    let mut answered = String::new();
    pair.serve(saying(said), |addr| answered = both(addr, method));
    let second = answered.rfind("HTTP/1.1 200 ").unwrap_or_default();
    let body = answered.split_off(second);
    assert!(second > 0 && body.contains("second"), "{pair:?}: no second response: {answered}{body}");
    answered
}

#[test]
fn a_response_that_may_have_no_body_has_none() {
    for pair in ALL {
        for (method, status, length) in
            [("GET", 204, None), ("GET", 204, Some(6)), ("GET", 304, None), ("GET", 304, Some(6)), ("HEAD", 200, None)]
        {
            let first = first(pair, Said { status, length, body: "a body", ..FINE }, method);
            assert!(first.ends_with("\r\n\r\n") && !first.contains("a body"), "{pair:?}, {status}: {first}");
        }
    }
}

#[test]
fn a_body_that_is_longer_than_its_length_is_cut_off() {
    for pair in ALL {
        let first = first(pair, Said { length: Some(3), body: "too long", ..FINE }, "GET");
        assert!(first.ends_with("\r\n\r\ntoo"), "{pair:?}: {first}");
    }
}

#[test]
fn nothing_comes_behind_a_body_that_is_shorter_than_its_length() {
    for pair in ALL {
        let said = Said { length: Some(8), body: "short", ..FINE };
        pair.serve(saying(said), |addr| {
            let answered = both(addr, "GET");
            assert!(!answered.contains("second"), "{pair:?}: {answered}");
            // hyper drops its head with it.
            assert!(answered.is_empty() || answered.ends_with("\r\n\r\nshort"), "{pair:?}: {answered}");
        });
    }
}

#[test]
fn a_field_of_several_lines_is_no_response() {
    for value in ["a\r\ny: b", "a\r\n\r\nHTTP/1.1 200 OK", "a\nb", "a\rb", "a\0b"] {
        assert!(HeaderValue::from_bytes(value.as_bytes()).is_err(), "hyper's values have no line ends");
        for pair in ALL {
            let first = first(pair, Said { value: Some(value), ..FINE }, "GET");
            assert!(first.starts_with("HTTP/1.1 500 "), "{pair:?}: {value:?}: {first}");
            assert!(!first.contains("\r\nx:") && !first.contains("fine"), "{pair:?}: {value:?}: {first}");
        }
    }
}

/// What a client of HTTP/2 makes of a response: its status and its body, or why it refuses it. The next stream of the
/// connection is the next request's.
fn of_http2(pair: Pair, said: Said, method: &str) -> Result<(u16, String), h2::Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut seen = None;
    pair.serve(saying(said), |addr| {
        runtime.block_on(async {
            let stream = tokio::net::TcpStream::connect(addr).await.unwrap();
            let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
            let connection = tokio::spawn(connection);
            seen = Some(asked(&mut client, method, "/first").await);
            let second = asked(&mut client, "GET", "/second").await.expect("the connection lives");
            assert_eq!(second, (200, "second".into()), "{pair:?}");
            drop(client);
            connection.await.unwrap().expect("it ends in order");
        });
    });
    seen.unwrap()
}

async fn asked(
    client: &mut h2::client::SendRequest<Bytes>,
    method: &str,
    path: &str,
) -> Result<(u16, String), h2::Error> {
    let request = hyper::Request::builder().method(method).uri(format!("http://test{path}")).body(()).unwrap();
    std::future::poll_fn(|cx| client.poll_ready(cx)).await?;
    let response = client.send_request(request, true)?.0.await?;
    let (status, mut body, mut read) = (response.status().as_u16(), response.into_body(), Vec::new());
    while let Some(piece) = body.data().await {
        read.extend_from_slice(&piece?);
    }
    Ok((status, String::from_utf8(read).unwrap()))
}

fn with_http2() -> impl Iterator<Item = Pair> {
    ALL.into_iter().filter(|it| it.engine == Engine::Hyper)
}

#[test]
fn a_response_of_http2_that_may_have_no_body_has_none() {
    for pair in with_http2() {
        for (method, status, length) in [
            ("GET", 204, None),
            ("GET", 204, Some(6)),
            ("GET", 304, None),
            ("GET", 304, Some(6)),
            ("HEAD", 200, None),
            ("HEAD", 200, Some(6)),
        ] {
            let seen = of_http2(pair, Said { status, length, body: "a body", ..FINE }, method);
            assert_eq!(seen.ok(), Some((status, String::new())), "{pair:?}: {method}, {length:?}");
        }
    }
}

#[test]
fn a_body_of_http2_that_is_not_as_long_as_its_length_is_refused_with_its_stream_alone() {
    for pair in with_http2() {
        for (length, body) in [(3, "too long"), (8, "short")] {
            let seen = of_http2(pair, Said { length: Some(length), body, ..FINE }, "GET");
            assert!(seen.is_err(), "{pair:?}: {seen:?}");
        }
    }
}
