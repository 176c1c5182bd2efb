//! Services whose responses are not as they should be.

use std::convert::Infallible;

use ebbtide::Drain;
use ebbtide_hyper::Http;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

type Body = BoxBody<Bytes, Infallible>;

/// A body of which nobody knows how long it is.
fn unknown(text: &'static str) -> Body {
    let frame = futures_lite::stream::once(Ok(Frame::data(Bytes::from(text))));
    BodyExt::boxed(StreamBody::new(frame))
}

/// What comes of a request that is answered so, and of one behind it.
async fn answered(method: &str, response: fn() -> Response<Body>) -> String {
    let (mut client, server) = tokio::io::duplex(64 * 1024);
    let drain = Drain::new();
    let guard = drain.guard().expect("it runs");
    let service = service_fn(move |request: Request<Incoming>| async move {
        let is_first = request.uri().path() == "/first";
        Ok::<_, Infallible>(if is_first { response() } else { Response::new(Full::from("second").boxed()) })
    });
    let http = Http::new(TokioExecutor::new(), TokioTimer::new());
    let serving = tokio::spawn(http.serve(TokioIo::new(server), service, guard));
    let requests = format!(
        "{method} /first HTTP/1.1\r\nhost: test\r\n\r\nGET /second HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n"
    );
    client.write_all(requests.as_bytes()).await.unwrap();
    let mut answered = String::new();
    client.read_to_string(&mut answered).await.unwrap();
    drop(client);
    let _ = serving.await.expect("no panic");
    drain.start().await.expect("nothing is cut");
    answered
}

fn with(status: u16, length: Option<&str>, body: Body) -> Response<Body> {
    let mut response = Response::builder().status(status);
    if let Some(length) = length {
        response = response.header("content-length", length);
    }
    response.body(body).unwrap()
}

/// The first response, of which the second one is a response of its own.
#[track_caller]
fn first(answered: &str) -> &str {
    let second = answered.rfind("HTTP/1.1 200 ").expect("a second response");
    assert!(answered.ends_with("\r\n\r\nsecond"), "{answered}");
    &answered[..second]
}

#[tokio::test]
async fn a_response_that_may_have_no_body_has_none() {
    for answered in [
        answered("GET", || with(204, None, Full::from("a body").boxed())).await,
        answered("GET", || with(304, None, Full::from("a body").boxed())).await,
        answered("HEAD", || with(200, None, Full::from("a body").boxed())).await,
        answered("GET", || with(204, Some("6"), unknown("a body"))).await,
    ] {
        assert!(first(&answered).ends_with("\r\n\r\n"), "{answered}");
    }
}

#[tokio::test]
async fn an_interim_response_is_no_response() {
    let answered = answered("GET", || with(100, None, Full::default().boxed())).await;
    assert!(answered.starts_with("HTTP/1.1 500 ") && !answered.contains("second"), "{answered}");
}

#[tokio::test]
async fn a_body_that_is_longer_than_its_length_is_cut_off() {
    let answered = answered("GET", || with(200, Some("3"), unknown("too long"))).await;
    assert!(first(&answered).ends_with("\r\n\r\ntoo"), "{answered}");
}

#[tokio::test]
async fn nothing_comes_behind_a_body_that_is_shorter_than_its_length() {
    let answered = answered("GET", || with(200, Some("8"), unknown("short"))).await;
    assert!(!answered.contains("second"), "{answered}");
}

#[test]
fn a_field_of_several_lines_is_no_value() {
    for value in ["a\r\ny: b", "a\nb", "a\rb", "a\0b"] {
        assert!(Response::builder().header("x", value).body(()).is_err(), "{value:?}");
    }
}
