//! Clients and endpoints that mean no good, or know no better.

use std::future::{pending, ready};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use ebbtide::Drain;
use ebbtide_async_h1::Http;
use futures_lite::io::Cursor;
use futures_lite::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use http_types::headers::{CONTENT_LENGTH, HeaderName, TRANSFER_ENCODING};
use http_types::{Body, Request, Response, StatusCode};

const SECOND: &str = "GET /second HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n";

/// A client that has sent this, and reads everything. It then closes its direction; or goes on with it for
/// ever, if there is something to go on with.
struct Client<'a> {
    sends: Cursor<Vec<u8>>,
    goes_on: &'static [u8],
    /// How much of it there is at a time.
    piece: usize,
    reads: &'a AtomicUsize,
    received: &'a std::sync::Mutex<Vec<u8>>,
}

impl AsyncRead for Client<'_> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let piece = buf.len().min(self.piece);
        match Pin::new(&mut self.sends).poll_read(cx, &mut buf[..piece]) {
            Poll::Ready(Ok(0)) if !self.goes_on.is_empty() => {
                let whole = buf.len() / self.goes_on.len() * self.goes_on.len();
                for (to, from) in buf[..whole].iter_mut().zip(self.goes_on.iter().cycle()) {
                    *to = *from;
                }
                Poll::Ready(Ok(whole))
            }
            read => read,
        }
    }
}

impl Drop for Client<'_> {
    /// What a server has not read resets the connection, and with it the last response.
    fn drop(&mut self) {
        let unread = self.sends.get_ref().len() as u64 - self.sends.position();
        assert!(unread == 0 || std::thread::panicking(), "{unread} B were not read");
    }
}

impl AsyncWrite for Client<'_> {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.received.lock().unwrap().extend_from_slice(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What a client that sends this receives, and what the connection's error is. The drain waits for nothing behind it.
fn served<F>(sends: &str, endpoint: impl Fn(Request) -> F + 'static) -> (String, Option<String>)
where
    F: Future<Output = http_types::Result<Response>>,
{
    served_in(usize::MAX, sends, endpoint)
}

/// The same, where so much comes at a time.
fn served_in<F>(piece: usize, sends: &str, endpoint: impl Fn(Request) -> F + 'static) -> (String, Option<String>)
where
    F: Future<Output = http_types::Result<Response>>,
{
    // What is served is to live for as long as it likes.
    let (reads, received) = (Box::leak(Box::default()), &*Box::leak(Box::default()));
    let client = Client { sends: Cursor::new(sends.into()), goes_on: b"", piece, reads, received };
    let drain = Drain::new();
    let guard = drain.guard().expect("it runs");
    let end = smol::block_on(Http::new(|_| pending::<()>()).serve(client, endpoint, guard));
    smol::block_on(drain.start()).expect("nothing is cut");
    let received = String::from_utf8(received.lock().unwrap().clone()).unwrap();
    (received, end.err().map(|it| it.to_string()))
}

/// The responses to a request whose endpoint answers so, and to the one behind it.
fn answered(method: &str, response: impl Fn() -> Response + 'static) -> (String, Option<String>) {
    let sends = format!("{method} /first HTTP/1.1\r\nhost: test\r\n\r\n{SECOND}");
    served(&sends, move |request| {
        ready(Ok(if request.url().path() == "/first" { response() } else { "second".into() }))
    })
}

fn with(status: StatusCode, body: impl Into<Body>) -> Response {
    let mut response = Response::new(status);
    response.set_body(body);
    response
}

/// The first response, of which the second one is a response of its own.
#[track_caller]
fn first((received, error): (String, Option<String>)) -> String {
    assert_eq!(error, None, "{received}");
    let second = received.rfind("HTTP/1.1 200 ").expect("a second response");
    assert!(received.ends_with("\r\n\r\nsecond"), "{received}");
    received[..second].into()
}

#[test]
fn a_field_of_several_lines_is_no_response() {
    for (name, value) in
        [("x", "a\r\ny: b"), ("x", "a\nb"), ("x", "a\rb"), ("x", "a\0b"), ("x y", "b"), ("x:\r\ny", "b")]
    {
        let first = first(answered("GET", move || {
            let mut response = with(StatusCode::Ok, "fine");
            response.insert_header(HeaderName::from_bytes(name.into()).unwrap(), value);
            response
        }));
        assert!(first.starts_with("HTTP/1.1 500 ") && !first.contains("fine"), "{value:?}: {first}");
    }
}

#[test]
fn a_response_that_may_have_no_body_has_none() {
    for status in [StatusCode::NoContent, StatusCode::NotModified] {
        let first = first(answered("GET", move || with(status, "a body")));
        assert!(first.ends_with("\r\n\r\n") && !first.contains("content-length"), "{first}");
        assert!(first.contains("\r\ndate: "), "{first}");
    }
    let reset = first(answered("GET", || with(StatusCode::ResetContent, "a body")));
    assert!(reset.ends_with("\r\n\r\n") && reset.contains("content-length: 0\r\n"), "{reset}");
    let head = first(answered("HEAD", || with(StatusCode::Ok, "a body")));
    assert!(head.ends_with("\r\n\r\n") && head.contains("content-length: 6\r\n"), "{head}");
}

#[test]
fn an_interim_response_is_no_response() {
    for status in [StatusCode::Continue, StatusCode::SwitchingProtocols, StatusCode::EarlyHints] {
        let first = first(answered("GET", move || Response::new(status)));
        assert!(first.starts_with("HTTP/1.1 500 "), "{first}");
    }
}

#[test]
fn a_body_that_is_longer_than_its_length_is_cut_off() {
    let first = first(answered("GET", || Body::from_reader(Cursor::new("too long"), Some(3)).into()));
    assert!(first.ends_with("\r\n\r\ntoo"), "{first}");
}

#[test]
fn nothing_comes_behind_a_body_that_is_shorter_than_its_length() {
    let (received, error) = answered("GET", || Body::from_reader(Cursor::new("short"), Some(8)).into());
    assert!(received.ends_with("\r\n\r\nshort"), "{received}");
    assert!(error.is_some_and(|it| it.contains("before its length")));
}

#[test]
fn a_body_is_framed_as_it_is_and_not_as_the_endpoint_says() {
    let first = first(answered("GET", || {
        let mut response = with(StatusCode::Ok, "fine");
        response.insert_header(CONTENT_LENGTH, "400");
        response.insert_header(TRANSFER_ENCODING, "chunked");
        response
    }));
    assert!(first.contains("content-length: 4\r\n") && !first.contains("transfer-encoding"), "{first}");
}

#[test]
fn what_follows_a_tunnel_is_no_request() {
    let sends = format!("CONNECT test:80 HTTP/1.1\r\nhost: test\r\n\r\n{SECOND}");
    let (received, error) = served(&sends, |_| ready(Ok("no tunnel".into())));
    assert!(received.starts_with("HTTP/1.1 200 ") && received.ends_with("\r\n\r\n"), "{received}");
    assert!(received.contains("connection: close") && !received.contains("content-length"), "{received}");
    assert_eq!(error, None);
}

#[test]
fn a_panic_is_its_connections_error() {
    let (received, error) = served(SECOND, |_| async { panic!("an endpoint's") });
    assert_eq!(received, "");
    assert!(error.is_some_and(|it| it.contains("an endpoint's")));
}

#[test]
fn a_body_that_is_malformed_is_answered_with_400_whatever_its_endpoint_says_and_nothing_is_served_behind_it() {
    let sends =
        format!("POST / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabcXX0\r\n\r\n{SECOND}");
    // Its error has the status 500.
    let (received, error) = served(&sends, |mut request| async move { Ok(request.body_string().await?.into()) });
    assert!(received.starts_with("HTTP/1.1 400 "), "{received}");
    assert!(received.contains("connection: close") && !received.contains("second"), "{received}");
    assert_eq!(error, None);
}

#[test]
fn trailers_come_behind_the_body() {
    let sends = "POST / HTTP/1.1\r\nhost: test\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n\
                 3\r\nabc\r\n0\r\nx: y\r\nx: z\r\n\r\n";
    let (received, error) = served(sends, |mut request| async move {
        let trailers = request.recv_trailers();
        let body = request.body_string().await?;
        let trailers = trailers.await.expect("they came");
        Ok(format!("{body} {}", trailers["x"]).into())
    });
    assert!(received.ends_with("\r\n\r\nabc [\"y\", \"z\"]"), "{received}");
    assert_eq!(error, None);
}

#[test]
fn there_are_no_trailers_of_a_body_that_was_not_read() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let upload = "POST / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx: y\r\n\r\n";
    let (mut client, connection) = smol::net::unix::UnixStream::pair().unwrap();
    let drain = Drain::new();
    let endpoint = move |mut request: Request| {
        sender.send(request.recv_trailers()).unwrap();
        ready(Ok("unread".into()))
    };
    let guard = drain.guard().expect("it runs");
    let serving = Http::new(|_| pending::<()>()).serve(connection, endpoint, guard);
    smol::block_on(smol::future::or(async { drop(serving.await) }, async {
        client.write_all(upload.as_bytes()).await.unwrap();
        let mut answered = Vec::new();
        while !answered.ends_with(b"unread") {
            let mut space = [0; 1024];
            let read = client.read(&mut space).await.unwrap();
            answered.extend_from_slice(&space[..read]);
        }
        let trailers = smol::future::poll_once(receiver.recv().unwrap()).await;
        assert!(trailers.expect("nothing to wait for").is_none());
    }));
}

#[test]
fn what_comes_behind_the_last_request_is_read_whoevers_turn_it_is() {
    let first = "GET /a/long/way HTTP/1.1\r\nhost: test\r\nconnection: persist\r\n\r\n";
    let last = "GET /a/longer/way HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n";
    assert_eq!(first.len(), last.len());
    for requests in 0..70 {
        let sends = format!("{}{last}{}", first.repeat(requests), "x".repeat(1000));
        let (_, error) = served_in(last.len(), &sends, |_| ready(Ok("".into())));
        assert_eq!(error, None);
    }
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_client_that_sends_without_a_pause_leaves_the_thread_to_others() {
    let upload = "POST / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n";
    for (sends, goes_on) in [
        ("", "\r\n"),
        ("", "GET / HTTP/1.1\r\nhost: test\r\n\r\n"),
        (upload, "1\r\nx\r\n"),
        (&format!("{upload}1;"), "x"),
        ("POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 1000000000000\r\n\r\n", "x"),
        ("GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n", "x"),
        ("nonsense\r\n\r\n", "x"),
    ] {
        let (reads, received) = (&*Box::leak(Box::default()), &*Box::leak(Box::default()));
        let client = Client {
            sends: Cursor::new(sends.into()),
            goes_on: goes_on.as_bytes(),
            piece: usize::MAX,
            reads,
            received,
        };
        let drain = Drain::new();
        let endpoint = |mut request: Request| async move {
            futures_lite::io::copy(&mut request, &mut futures_lite::io::sink()).await?;
            Ok("read".into())
        };
        let guard = drain.guard().expect("it runs");
        let mut serving = pin!(Http::new(|_| pending::<()>()).serve(client, endpoint, guard));
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        for polls in 1..10 {
            let before = reads.load(Ordering::Relaxed);
            assert!(serving.as_mut().poll(&mut Context::from_waker(&waker)).is_pending(), "{goes_on:?}");
            assert!(reads.load(Ordering::Relaxed) - before <= 64, "{goes_on:?}");
            assert!(woken.0.load(Ordering::Relaxed) >= polls, "{goes_on:?}: it asks for another turn");
        }
    }
}
