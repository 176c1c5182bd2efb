//! Which connections leave for a successor, and which stay.

use std::future::{Future, poll_fn};
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use ebbtide::{Drain, Drained, Guard};
use ebbtide_async_h1::{Accepted, Bounds, Departed, Departures, Error, Http, Leaving};
use ebbtide_connection::Handshake;
use futures_lite::{AsyncRead, AsyncReadExt, AsyncWrite};
use http_types::{Request, Response};
use smol::Timer;
use smol::net::unix::UnixStream;

type Serving = Pin<Box<dyn Future<Output = Result<(), Error>>>>;

/// Longer than any test.
const LONG: Duration = Duration::from_secs(600);

const GET: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
const HELLO: &str = "hello";

/// The answer to `/wait`.
type Answer = Arc<Mutex<Option<&'static str>>>;

async fn answer(answer: Answer, mut request: Request) -> http_types::Result<Response> {
    match request.url().path() {
        "/wait" => {
            let waited = poll_fn(|_| answer.lock().expect("no panic").map_or(Poll::Pending, Poll::Ready)).await;
            Ok(waited.into())
        }
        "/unread" => Ok(HELLO.into()),
        _ => {
            request.body_bytes().await?;
            Ok(HELLO.into())
        }
    }
}

fn now<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// A service, which its tests poll by hand.
struct Service {
    drain: Drain,
    drained: Option<Drained>,
    departures: Departures<UnixStream>,
    answer: Answer,
    http: Http,
}

/// A connection of it.
struct Connection {
    client: net::UnixStream,
    serving: Serving,
}

impl Service {
    fn new() -> Self {
        let bounds = Bounds::default().idle(LONG).silent(LONG).head(LONG);
        Self {
            drain: Drain::new(),
            drained: None,
            departures: Departures::new(1),
            answer: Answer::default(),
            http: Http::new(Timer::after).bounds(bounds),
        }
    }

    fn guard(&self) -> Guard {
        self.drain.guard().expect("running")
    }

    fn connect(&self) -> Connection {
        self.connect_with(self.guard())
    }

    fn connect_with(&self, guard: impl Into<Accepted>) -> Connection {
        let (client, io) = net::UnixStream::pair().expect("sockets");
        client.set_nonblocking(true).expect("a socket");
        let io = UnixStream::try_from(io).expect("a socket");
        let (io, guard) = Leaving::new(io, guard, &self.departures.exit());
        Connection { client, serving: self.serve(io, guard) }
    }

    fn serve<I>(&self, io: I, guard: impl Into<Accepted>) -> Serving
    where
        I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let waited = self.answer.clone();
        Box::pin(self.http.serve(io, move |it| answer(waited.clone(), it), guard.into()))
    }

    /// A successor is ready.
    fn leave(&mut self) {
        self.departures.begin();
        self.drained = Some(self.drain.start());
    }

    fn departed(&mut self) -> Option<Departed<UnixStream>> {
        match now(self.departures.next()) {
            Poll::Ready(departed) => departed,
            Poll::Pending => None,
        }
    }
}

impl Connection {
    fn send(&mut self, bytes: &str) {
        self.client.write_all(bytes.as_bytes()).expect("there is room");
    }

    /// Polls the connection. Returns whether it has ended.
    fn runs(&mut self) -> bool {
        match self.serving.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(end) => end.map(|()| true).expect("a clean end"),
            Poll::Pending => false,
        }
    }

    /// What the client has received, and whether that was all.
    fn received(&mut self) -> (String, bool) {
        let mut all = Vec::new();
        let end = self.client.read_to_end(&mut all);
        let has_ended = end.is_ok();
        assert!(has_ended || end.is_err_and(|it| it.kind() == ErrorKind::WouldBlock), "a reset");
        (String::from_utf8(all).expect("text"), has_ended)
    }

    /// Checks that this is the last part of what the client has received, and that it may go on.
    #[track_caller]
    fn expect(&mut self, last: &str) {
        let (received, has_ended) = self.received();
        assert!(received.ends_with(last) && !received.contains("close") && !has_ended, "{received:?} {has_ended}");
    }

    /// Checks that the connection was answered, and closes.
    #[track_caller]
    fn expect_close(&mut self) {
        let has_ended = self.runs();
        let (received, _) = self.received();
        assert!(received.contains("connection: close"), "{received:?}");
        // It may wait for what the client still sends.
        self.client.shutdown(Shutdown::Write).expect("open");
        assert!(has_ended || self.runs());
    }
}

#[test]
fn an_idle_connection_leaves_with_its_stream_open_and_unread() {
    let mut service = Service::new();
    let mut connection = service.connect();
    connection.send(GET);
    assert!(!connection.runs());
    connection.expect(HELLO);
    assert!(service.departed().is_none());
    service.leave();
    assert!(connection.runs(), "it has left");
    let departed = service.departed().expect("it has left");
    assert!(service.drained.as_mut().is_some_and(|it| now(it).is_pending()), "the drain waits for the successor");
    assert_eq!(connection.received(), (String::new(), false), "no FIN");
    connection.send(GET);
    let (mut stream, guard) = departed.into_parts();
    let mut next = [0; 4];
    assert!(matches!(now(stream.read(&mut next)), Poll::Ready(Ok(4))));
    assert_eq!(&next, b"GET ");
    drop((stream, guard));
    assert!(matches!(now(service.drained.take().expect("draining")), Poll::Ready(Ok(()))));
}

#[test]
fn a_silent_connection_leaves_too() {
    let mut service = Service::new();
    let mut connection = service.connect();
    assert!(!connection.runs());
    service.leave();
    assert!(connection.runs() && service.departed().is_some());
}

#[test]
fn a_request_in_flight_is_answered_without_close_and_then_the_connection_leaves() {
    let mut service = Service::new();
    let mut connection = service.connect();
    connection.send("GET /wait HTTP/1.1\r\nhost: x\r\n\r\n");
    assert!(!connection.runs());
    service.leave();
    assert!(!connection.runs() && service.departed().is_none());
    *service.answer.lock().expect("no panic") = Some("done");
    assert!(connection.runs());
    let _departed = service.departed().expect("it has left");
    connection.expect("done");
}

#[test]
fn a_request_that_came_before_the_poll_in_which_it_would_leave_is_answered() {
    let mut service = Service::new();
    let mut connection = service.connect();
    connection.send(GET);
    assert!(!connection.runs());
    connection.expect(HELLO);
    service.leave();
    connection.send(GET);
    assert!(connection.runs());
    let _departed = service.departed().expect("it leaves after the response");
    connection.expect(HELLO);
}

#[test]
fn a_connection_within_a_head_stays_until_that_is_answered() {
    for before in ["", GET, "\r\n"] {
        for begun in 1..GET.len() {
            let mut service = Service::new();
            let mut connection = service.connect();
            connection.send(&[before, &GET[..begun]].concat());
            assert!(!connection.runs());
            service.leave();
            assert!(!connection.runs() && service.departed().is_none(), "{begun} bytes");
            connection.send(&GET[begun..]);
            assert!(connection.runs());
            let _departed = service.departed().expect("it leaves after the response");
            connection.expect(HELLO);
        }
    }
}

#[test]
fn a_connection_leaves_after_a_body_in_any_pieces() {
    for body in
        ["content-length: 9\r\n\r\n1234\r\n\r\n9", "transfer-encoding: chunked\r\n\r\n6\r\n12\r\n\r\n\r\n0\r\n\r\n"]
    {
        let post = ["POST / HTTP/1.1\r\nhost: x\r\n", body].concat();
        for first in 1..post.len() {
            let mut service = Service::new();
            let mut connection = service.connect();
            connection.send(&post[..first]);
            assert!(!connection.runs());
            service.leave();
            assert!(!connection.runs() && service.departed().is_none(), "{first} bytes");
            connection.send(&post[first..]);
            assert!(connection.runs(), "after {first} bytes");
            let _departed = service.departed().expect("it has left");
            connection.expect(HELLO);
        }
    }
}

#[test]
fn a_body_that_nobody_reads_is_no_request_of_the_next_server() {
    for rest in ["5678", "56789"] {
        let mut service = Service::new();
        let mut connection = service.connect();
        connection.send("POST /unread HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n1234");
        service.leave();
        connection.send(rest);
        if rest.len() == 5 {
            assert!(connection.runs());
            let _departed = service.departed().expect("all of it has come");
            connection.expect(HELLO);
        } else {
            connection.expect_close();
            assert!(service.departed().is_none());
        }
    }
}

#[test]
fn what_precedes_http_keeps_a_connection() {
    let mut service = Service::new();
    let (handshake, accepted) = Handshake::begin(service.guard());
    let mut connection = service.connect_with(accepted);
    handshake.over();
    connection.send(GET);
    assert!(!connection.runs());
    connection.expect(HELLO);
    service.leave();
    assert!(!connection.runs() && service.departed().is_none());
    connection.send(GET);
    connection.expect_close();
}

#[test]
fn a_client_that_has_closed_its_direction_is_answered_and_not_handed_over() {
    let mut service = Service::new();
    let mut connection = service.connect();
    connection.send("GET /wait HTTP/1.1\r\nhost: x\r\n\r\n");
    assert!(!connection.runs());
    connection.client.shutdown(Shutdown::Write).expect("open");
    service.leave();
    assert!(!connection.runs());
    *service.answer.lock().expect("no panic") = Some("done");
    assert!(connection.runs() && service.departed().is_none());
    let (received, has_ended) = connection.received();
    assert!(received.ends_with("done") && has_ended, "{received}");
}

#[test]
fn a_stream_that_the_successor_refuses_is_served_again_and_closed_in_order() {
    let mut service = Service::new();
    let (mut refused, mut waiting) = (service.connect(), service.connect());
    for connection in [&mut refused, &mut waiting] {
        connection.send(GET);
        assert!(!connection.runs());
        connection.expect(HELLO);
    }
    service.leave();
    assert!(refused.runs() && !waiting.runs());
    let departed = service.departed().expect("it has left");
    service.departures.end();
    let (io, guard) = departed.into_parts();
    refused.serving = service.serve(io, guard);
    for connection in [&mut refused, &mut waiting] {
        assert!(!connection.runs() && service.departed().is_none());
        connection.send(GET);
        connection.expect_close();
    }
    assert!(matches!(now(service.drained.take().expect("draining")), Poll::Ready(Ok(()))));
}
