//! What async-h1's own server does wrong, one by one, and what this one does.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_io::Timer;
use ebbtide::{Drain, Drained};
use ebbtide_async_h1::Http;
use ebbtide_connection::Bounds;
use futures_lite::io::Cursor;
use futures_lite::{AsyncBufRead, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, FutureExt};
use http_types::{Body, Error, Request, Response, StatusCode, headers};
use smol::net::unix::UnixStream;

/// A connection that is served, and its client.
struct Served {
    client: UnixStream,
    drain: Drain,
}

/// Longer than any of this takes; what waits so long fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(10);
/// Shorter than the patience, so that it shows when a bound is what ended something.
const LINGER: Duration = Duration::from_millis(300);
/// More than there is room for between a server and its client.
const LARGE: usize = 16 << 20;

/// The rest of a body that is never there.
struct Unfinished;

impl AsyncRead for Unfinished {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
        Poll::Pending
    }
}

impl AsyncBufRead for Unfinished {
    fn poll_fill_buf(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        Poll::Pending
    }

    fn consume(self: Pin<&mut Self>, _: usize) {}
}

/// A byte at a time, with a pause behind each.
struct Slow {
    inner: UnixStream,
    pauses: bool,
}

impl AsyncRead for Slow {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.pauses = !self.pauses;
        if self.pauses {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let room = buf.len().min(1);
        let read = Pin::new(&mut self.inner).poll_read(cx, &mut buf[..room]);
        self.pauses = read.is_pending();
        read
    }
}

impl AsyncWrite for Slow {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(cx)
    }
}

impl Served {
    fn new() -> Self {
        Self::over(|it| it)
    }

    fn over<I: AsyncRead + AsyncWrite + Send + Unpin + 'static>(io: impl FnOnce(UnixStream) -> I) -> Self {
        let (client, connection) = UnixStream::pair().unwrap();
        let drain = Drain::new();
        let guard = drain.guard().expect("running");
        let bounds = Bounds::default().linger(LINGER);
        let http = Http::new(Timer::after).bounds(bounds);
        smol::spawn(http.serve(io(connection), endpoint, guard)).detach();
        Self { client, drain }
    }

    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.client.write_all(bytes.as_ref()).await.expect("somebody reads");
    }

    /// What comes until these are its last words.
    async fn receive(&mut self, last: &str) -> String {
        let mut all = String::new();
        while !all.ends_with(last) {
            let mut some = [0; 1024];
            let length = patient(self.client.read(&mut some)).await.unwrap();
            assert!(length > 0, "it ended, without {last:?}, after {all:?}");
            all.push_str(std::str::from_utf8(&some[..length]).unwrap());
        }
        all
    }

    /// What comes until the end.
    async fn end(&mut self) -> String {
        let mut all = String::new();
        patient(self.client.read_to_string(&mut all)).await.unwrap();
        all
    }
}

async fn patient<T>(future: impl Future<Output = T>) -> T {
    let late = async {
        Timer::after(PATIENCE).await;
        panic!("nothing came of it");
    };
    future.or(late).await
}

async fn drained(drained: Drained) {
    patient(drained).await.expect("nothing is cut");
}

async fn endpoint(mut request: Request) -> http_types::Result<Response> {
    match request.url().path() {
        "/error" => Err(Error::from_str(StatusCode::InternalServerError, "a secret")),
        "/unread" => Ok("unread".into()),
        "/read" => Ok(request.body_string().await?.into()),
        "/echo" => Ok(Response::from(Body::from_reader(request.take_body(), None))),
        "/stream" => Ok(Response::from(Body::from_reader(Cursor::new("streamed"), None))),
        "/sized" => {
            let mut response = Response::from(Body::from_reader(Cursor::new("streamed"), None));
            response.insert_header(headers::CONTENT_LENGTH, "8");
            Ok(response)
        }
        "/later" => {
            Timer::after(Duration::from_millis(100)).await;
            Ok("later".into())
        }
        "/pending" => std::future::pending().await,
        "/unfinished" => Ok(Response::from(Body::from_reader(Cursor::new("begun").chain(Unfinished), None))),
        "/large" => Ok(Response::from(vec![b'l'; LARGE])),
        "/upgrade" => {
            let mut response = Response::new(StatusCode::SwitchingProtocols);
            response.insert_header(headers::CONNECTION, "upgrade");
            response.insert_header(headers::UPGRADE, "echo");
            let upgraded = response.recv_upgrade().await;
            smol::spawn(async move {
                let mut connection = upgraded.await.expect("upgraded");
                let mut words = [0; 5];
                connection.read_exact(&mut words).await.unwrap();
                connection.write_all(&words).await.unwrap();
            })
            .detach();
            Ok(response)
        }
        path => Ok(path.into()),
    }
}

/// A test without a runtime is one future.
fn test<F: Future>(test: impl FnOnce(Served) -> F) -> F::Output {
    smol::block_on(test(Served::new()))
}

#[test]
fn a_head_that_was_half_read_when_the_drain_began_is_served() {
    test(|mut it| async move {
        it.send("GET /a HTTP/1.1\r\nho").await;
        Timer::after(Duration::from_millis(20)).await; // It has no way to tell that it has read.
        let end = it.drain.start();
        it.send("st: test\r\n\r\n").await;
        let response = it.end().await;
        assert!(response.contains("connection: close") && response.ends_with("/a"), "{response}");
        drained(end).await;
    });
}

#[test]
fn an_error_is_answered_and_the_connection_goes_on() {
    test(|mut it| async move {
        it.send("GET /error HTTP/1.1\r\nhost: test\r\n\r\n").await;
        let response = it.receive("\r\n\r\n").await;
        assert!(response.starts_with("HTTP/1.1 500 ") && !response.contains("secret"), "{response}");
        it.send("GET /after HTTP/1.1\r\nhost: test\r\n\r\n").await;
        it.receive("/after").await;
    });
}

#[test]
fn what_is_no_request_is_answered() {
    for (request, status) in [
        ("nonsense\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\n\r\n", "400"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505"),
        ("POST / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: gzip\r\n\r\n", "501"),
        (&format!("GET / HTTP/1.1\r\nhost: test\r\nx: {}\r\n\r\n", "x".repeat(9000)), "431"),
    ] {
        test(|mut it| async move {
            it.send(request).await;
            let response = it.end().await;
            assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{response}");
        });
    }
}

#[test]
fn a_health_check_of_http_1_0_is_answered_without_chunks() {
    test(|mut it| async move {
        it.send("OPTIONS /stream HTTP/1.0\r\n\r\n").await;
        let response = it.end().await;
        assert!(response.starts_with("HTTP/1.1 200 ") && response.ends_with("\r\n\r\nstreamed"), "{response}");
        assert!(response.contains("connection: close") && !response.contains("chunked"), "{response}");
    });
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    test(|mut it| async move {
        let upload = "POST /read HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
        it.send(["GET /1 HTTP/1.1\r\nhost: test\r\n\r\n", upload, "GET /3 HTTP/1.1\r\nhost: test\r\n\r\n"].concat())
            .await;
        let responses = it.receive("/3").await;
        let ends = ["\r\n\r\n/1HTTP", "\r\n\r\nhiHTTP", "\r\n\r\n/3"].map(|end| responses.find(end));
        assert!(ends[0].is_some() && ends[0] < ends[1] && ends[1] < ends[2], "{responses}");
    });
}

#[test]
fn chunks_that_come_a_byte_at_a_time_are_read() {
    let head = "POST /read HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n";
    for (extension, trailers) in [("", ""), (";x=\"y\"", "x: y\r\nz: \r\n")] {
        smol::block_on(async {
            let mut it = Served::over(|inner| Slow { inner, pauses: false });
            let upload = format!("{head}2{extension}\r\nhi\r\nA\r\n, chunks..\r\n0{extension}\r\n{trailers}\r\n");
            it.send(upload.repeat(2)).await;
            let mut responses = String::new();
            while responses.matches("hi, chunks..").count() < 2 {
                responses += &it.receive("hi, chunks..").await;
            }
        });
    }
}

/// async-h1 reads ahead, so the end of what it has may be anywhere.
#[test]
fn chunks_that_end_anywhere_in_what_is_read_are_read() {
    for length in 12_150..12_250 {
        test(|mut it| async move {
            let head = "POST /read HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n";
            it.send(format!("{head}{length:x}\r\n{}\r\n0\r\nx: y\r\n\r\n", "c".repeat(length))).await;
            it.receive(&"c".repeat(length)).await;
        });
    }
}

#[test]
fn what_came_of_an_unread_body_is_dropped_and_the_connection_goes_on() {
    test(|mut it| async move {
        it.send("POST /unread HTTP/1.1\r\nhost: test\r\ncontent-length: 2\r\n\r\nhi").await;
        let response = it.receive("unread").await;
        assert!(!response.contains("connection: close"), "{response}");
        it.send("GET /after HTTP/1.1\r\nhost: test\r\n\r\n").await;
        it.receive("/after").await;
    });
}

#[test]
fn a_response_that_is_made_of_its_request_is_whole() {
    test(|mut it| async move {
        it.send("POST /echo HTTP/1.1\r\nhost: test\r\ncontent-length: 5\r\n\r\nhello").await;
        let response = it.receive("0\r\n\r\n").await;
        assert!(response.contains("\r\nhello\r\n"), "{response}");
        it.send("GET /after HTTP/1.1\r\nhost: test\r\n\r\n").await;
        it.receive("/after").await;
    });
}

#[test]
fn no_length_is_said_beside_chunks() {
    test(|mut it| async move {
        it.send("GET /sized HTTP/1.1\r\nhost: test\r\n\r\n").await;
        let response = it.receive("0\r\n\r\n").await;
        assert!(response.contains("transfer-encoding: chunked") && !response.contains("content-length"), "{response}");
    });
}

#[test]
fn an_unread_body_that_goes_on_is_waited_for_no_longer_than_its_bound() {
    test(|mut it| async move {
        it.send("POST /unread HTTP/1.1\r\nhost: test\r\ncontent-length: 1000000\r\n\r\nhi").await;
        let response = it.receive("unread").await;
        assert!(response.contains("connection: close"), "{response}");
        let end = it.drain.start();
        drained(end).await;
    });
}

#[test]
fn a_body_that_is_waited_for_is_asked_for_and_one_that_is_not_is_not() {
    let head =
        |path| format!("POST {path} HTTP/1.1\r\nhost: test\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n");
    test(|mut it| async move {
        it.send(head("/read")).await;
        assert_eq!(it.receive("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
        it.send("hi").await;
        it.receive("\r\n\r\nhi").await;
        it.send(head("/unread")).await;
        let response = it.end().await;
        assert!(response.starts_with("HTTP/1.1 200 ") && response.contains("connection: close"), "{response}");
    });
}

#[test]
fn close_is_heard_among_other_options() {
    test(|mut it| async move {
        it.send("GET /a HTTP/1.1\r\nhost: test\r\nconnection: te, close\r\n\r\n").await;
        assert!(it.end().await.contains("connection: close"));
    });
}

#[test]
fn a_request_whose_client_is_gone_is_dropped() {
    test(|mut it| async move {
        it.send("GET /pending HTTP/1.1\r\nhost: test\r\n\r\n").await;
        let end = it.drain.start();
        drop(it.client);
        drained(end).await;
    });
}

#[test]
fn a_response_whose_client_is_gone_is_dropped() {
    test(|mut it| async move {
        it.send("GET /unfinished HTTP/1.1\r\nhost: test\r\n\r\n").await;
        it.receive("begun\r\n").await;
        let end = it.drain.start();
        drop(it.client);
        drained(end).await;
    });
}

#[test]
fn a_client_that_ends_its_direction_gets_a_response_that_it_takes_slowly() {
    test(|mut it| async move {
        it.send("GET /large HTTP/1.0\r\n\r\n").await;
        it.client.shutdown(std::net::Shutdown::Write).unwrap();
        assert!(it.end().await.len() > LARGE);
    });
}

#[test]
fn a_client_that_ends_its_direction_behind_its_request_is_answered() {
    test(|mut it| async move {
        it.send("GET /later HTTP/1.1\r\nhost: test\r\n\r\n").await;
        it.client.shutdown(std::net::Shutdown::Write).unwrap();
        let answer = it.end().await;
        assert!(answer.contains("HTTP/1.1 200 ") && answer.ends_with("later"), "{answer}");
    });
}

#[test]
fn a_client_that_ends_its_direction_in_the_midst_of_its_body_is_no_client_that_waits() {
    test(|mut it| async move {
        it.send("POST /read HTTP/1.1\r\nhost: test\r\ncontent-length: 10\r\n\r\nhalf").await;
        it.client.shutdown(std::net::Shutdown::Write).unwrap();
        let answer = it.end().await;
        assert!(!answer.contains(" 200 ") && !answer.contains(" 100 "), "{answer}");
    });
}

#[test]
fn a_request_that_is_cut_before_its_response_is_answered_503() {
    test(|mut it| async move {
        it.send("POST /read HTTP/1.1\r\nhost: test\r\nexpect: 100-continue\r\ncontent-length: 10\r\n\r\n").await;
        it.receive("100 Continue\r\n\r\n").await;
        it.send("half").await;
        it.drain.close();
        let answer = it.end().await;
        assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("\r\nretry-after: 1\r\n"), "{answer}");
    });
}

#[test]
fn an_upgraded_connection_has_what_came_early_and_holds_the_drain() {
    test(|mut it| async move {
        it.send("GET /upgrade HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\nhe").await;
        let response = it.receive("\r\n\r\n").await;
        assert!(response.starts_with("HTTP/1.1 101 ") && !response.contains("content-length"), "{response}");
        let end = it.drain.start();
        assert_eq!(it.drain.guards(), 1, "in the connection");
        it.send("llo").await;
        it.receive("hello").await;
        drained(end).await;
    });
}
