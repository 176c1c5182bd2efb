//! Which connections leave for a successor, and which stay.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, LazyLock, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use ebbtide::{Drain, Drained, Guard};
use ebbtide_connection::Handshake;
use ebbtide_hyper::{Accepted, Bounds, Connections, Departed, Departures, Error, Exit, Http, Leaving};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue, UPGRADE};
use hyper::rt::ReadBufCursor;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWriteExt, DuplexStream, ReadBuf, duplex};
use tokio::runtime::{Builder, EnterGuard, Runtime};

type Stream = TokioIo<DuplexStream>;
type Serving = Pin<Box<dyn Future<Output = Result<(), Error>>>>;

/// Longer than any test.
const LONG: Duration = Duration::from_secs(600);

const GET: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
const HELLO: &str = "hello";

/// What the handlers share with a test.
#[derive(Clone, Default)]
struct Handlers {
    /// The answer to `/wait`.
    answer: Arc<Mutex<Option<&'static str>>>,
    /// The body of a request to `/early`, which is answered before.
    body: Arc<Mutex<Option<Incoming>>>,
}

impl Handlers {
    async fn answer(self, mut request: Request<Incoming>) -> Result<Response<String>, Infallible> {
        let mut response = Response::new(HELLO.to_owned());
        match request.uri().path() {
            "/wait" => *response.body_mut() = poll_fn(|_| self.waited()).await.into(),
            "/early" => *self.body.lock().expect("no panic") = Some(request.into_body()),
            "/upgrade" => {
                tokio::spawn(hyper::upgrade::on(&mut request));
                *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
                response.headers_mut().insert(UPGRADE, HeaderValue::from_static("test"));
            }
            "/unread" => {}
            _ => drop(request.into_body().collect().await),
        }
        Ok(response)
    }

    fn waited(&self) -> Poll<&'static str> {
        self.answer.lock().expect("no panic").map_or(Poll::Pending, Poll::Ready)
    }
}

fn now<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Its clock, which stands still. Outside of it no task is polled, so the runtime lets none pause.
static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_time().build().expect("a runtime"));

/// A service, which its tests poll by hand.
struct Service {
    _entered: EnterGuard<'static>,
    drain: Drain,
    drained: Option<Drained>,
    departures: Departures<Stream>,
    handlers: Handlers,
    http: Http<TokioExecutor>,
}

/// A connection of it.
struct Connection {
    client: DuplexStream,
    serving: Serving,
}

impl Service {
    fn new(most: usize) -> Self {
        let bounds = Bounds::default().idle(LONG).silent(LONG).head(LONG);
        Self {
            _entered: RUNTIME.enter(),
            drain: Drain::new(),
            drained: None,
            departures: Departures::new(most),
            handlers: Handlers::default(),
            http: Http::new(TokioExecutor::new(), TokioTimer::new()).bounds(bounds),
        }
    }

    fn guard(&self) -> Guard {
        self.drain.guard().expect("running")
    }

    fn connect(&self) -> Connection {
        self.connect_with(self.guard(), &self.departures.exit())
    }

    fn connect_with(&self, guard: impl Into<Accepted>, exit: &Exit<Stream>) -> Connection {
        let (client, io) = duplex(1 << 20);
        let (io, guard) = Leaving::new(TokioIo::new(io), guard, exit);
        Connection { client, serving: self.serve(io, guard) }
    }

    fn serve<I>(&self, io: I, guard: impl Into<Accepted>) -> Serving
    where
        I: hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
    {
        let handlers = self.handlers.clone();
        Box::pin(self.http.serve(io, service_fn(move |it| handlers.clone().answer(it)), guard))
    }

    /// A successor is ready.
    fn leave(&mut self) {
        self.departures.begin();
        self.drained = Some(self.drain.start());
    }

    fn departed(&mut self) -> Option<Departed<Stream>> {
        match now(self.departures.next()) {
            Poll::Ready(departed) => departed,
            Poll::Pending => None,
        }
    }
}

impl Connection {
    fn send(&mut self, bytes: &str) {
        assert!(now(self.client.write_all(bytes.as_bytes())).is_ready(), "there is room");
    }

    /// Polls the connection for as long as it is woken. Returns whether it has ended.
    fn runs(&mut self) -> bool {
        for _ in 0..32 {
            if let Poll::Ready(end) = self.serving.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                end.expect("a clean end");
                return true;
            }
        }
        false
    }

    /// What the client has received, and whether that was all.
    fn received(&mut self) -> (String, bool) {
        let mut space = [0; 4096];
        let mut all = String::new();
        loop {
            let mut some = ReadBuf::new(&mut space);
            let read = Pin::new(&mut self.client).poll_read(&mut Context::from_waker(Waker::noop()), &mut some);
            match read {
                Poll::Pending => return (all, false),
                Poll::Ready(Ok(())) if some.filled().is_empty() => return (all, true),
                Poll::Ready(read) => read.expect("no reset"),
            }
            all += std::str::from_utf8(some.filled()).expect("text");
        }
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
        self.runs();
        let (received, _) = self.received();
        assert!(received.contains("connection: close"), "{received:?}");
        // It may wait for what the client still sends.
        assert!(now(self.client.shutdown()).is_ready() && self.runs());
    }
}

#[test]
fn an_idle_connection_leaves_with_its_stream_open_and_unread() {
    let mut service = Service::new(1);
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
    let io = departed.try_map(|io| Ok(io.into_inner())).expect("converted");
    let mut next = [0; 4];
    let mut read = ReadBuf::new(&mut next);
    let (mut stream, guard) = io.into_parts();
    assert!(Pin::new(&mut stream).poll_read(&mut Context::from_waker(Waker::noop()), &mut read).is_ready());
    assert_eq!(&next, b"GET ");
    drop((stream, guard));
    assert!(matches!(now(service.drained.take().expect("draining")), Poll::Ready(Ok(()))));
}

#[test]
fn a_silent_connection_leaves_too() {
    let mut service = Service::new(1);
    let mut connection = service.connect();
    assert!(!connection.runs());
    service.leave();
    assert!(connection.runs() && service.departed().is_some());
    assert_eq!(connection.received(), (String::new(), true), "closed by the successor alone");
}

/// A client that sends nothing, and how often it was asked.
#[derive(Default)]
struct Silent {
    reads: usize,
}

impl hyper::rt::Read for Silent {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, _: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        self.reads += 1;
        Poll::Pending
    }
}

impl hyper::rt::Write for Silent {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        panic!("nothing is written");
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        panic!("nothing is closed");
    }
}

#[test]
fn nothing_is_read_from_a_connection_after_the_read_that_lets_it_leave() {
    let service = Service::new(1);
    let mut departures = Departures::new(1);
    let (io, guard) = Leaving::new(Silent::default(), service.guard(), &departures.exit());
    let mut serving = service.serve(io, guard);
    assert!(now(&mut serving).is_pending());
    departures.begin();
    let _drained = service.drain.start();
    assert!(now(&mut serving).is_ready());
    let Poll::Ready(Some(departed)) = now(departures.next()) else { panic!("it has left") };
    assert_eq!(departed.io().reads, 2);
}

#[test]
fn a_request_in_flight_is_answered_without_close_and_then_the_connection_leaves() {
    let mut service = Service::new(1);
    let mut connection = service.connect();
    connection.send("GET /wait HTTP/1.1\r\nhost: x\r\n\r\n");
    assert!(!connection.runs());
    service.leave();
    assert!(!connection.runs() && service.departed().is_none());
    *service.handlers.answer.lock().expect("no panic") = Some("done");
    assert!(connection.runs());
    let _departed = service.departed().expect("it has left");
    connection.expect("done");
}

#[test]
fn a_request_that_came_before_the_poll_in_which_it_would_leave_is_answered() {
    let mut service = Service::new(1);
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
    for begun in 1..GET.len() {
        let mut service = Service::new(1);
        let mut connection = service.connect();
        connection.send(&GET[..begun]);
        assert!(!connection.runs());
        service.leave();
        assert!(!connection.runs() && service.departed().is_none(), "{begun} bytes");
        connection.send(&GET[begun..]);
        assert!(connection.runs());
        let _departed = service.departed().expect("it leaves after the response");
        connection.expect(HELLO);
    }
}

#[test]
fn a_connection_leaves_after_a_body_of_known_length_in_any_pieces() {
    let post = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n1234\r\n\r\n9";
    for first in 1..post.len() {
        let mut service = Service::new(1);
        let mut connection = service.connect();
        connection.send(&post[..first]);
        assert!(!connection.runs());
        service.leave();
        connection.send(&post[first..]);
        assert!(connection.runs(), "after {first} bytes");
        let _departed = service.departed().expect("it has left");
        connection.expect(HELLO);
    }
}

#[test]
fn a_connection_whose_body_is_not_counted_closes_after_its_response() {
    for body in [
        "transfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        &["content-length: 70000\r\n\r\n", &"x".repeat(70_000)].concat(),
    ] {
        let mut service = Service::new(1);
        let mut connection = service.connect();
        connection.send(&["POST / HTTP/1.1\r\nhost: x\r\n", body].concat()[..50]);
        assert!(!connection.runs());
        service.leave();
        connection.send(&["POST / HTTP/1.1\r\nhost: x\r\n", body].concat()[50..]);
        connection.expect_close();
        assert!(service.departed().is_none());
    }
}

#[test]
fn a_connection_that_cannot_leave_is_closed_after_its_grace() {
    let uncounted = "POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n";
    for sent in [uncounted, &[GET, "GET /"].concat()] {
        let mut service = Service::new(1);
        service.http = service.http.bounds(Bounds::default().idle(Duration::from_millis(1)));
        let mut connection = service.connect();
        connection.send(sent);
        assert!(!connection.runs());
        service.leave();
        let patient = async { tokio::time::timeout(Duration::from_secs(60), &mut connection.serving).await };
        assert!(matches!(RUNTIME.block_on(patient), Ok(Ok(()))), "{sent}");
        assert!(service.departed().is_none());
    }
}

#[test]
fn after_a_body_that_was_not_counted_the_next_request_lets_it_leave() {
    let mut service = Service::new(1);
    let mut connection = service.connect();
    connection.send("POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n");
    assert!(!connection.runs());
    connection.expect(HELLO);
    service.leave();
    assert!(!connection.runs() && service.departed().is_none(), "it stays");
    connection.send(GET);
    assert!(connection.runs());
    let _departed = service.departed().expect("it has left");
    connection.expect(HELLO);
}

#[test]
fn a_response_before_the_end_of_its_request_lets_nothing_leave() {
    let mut service = Service::new(1);
    let mut connection = service.connect();
    connection.send("POST /early HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n1234");
    assert!(!connection.runs());
    connection.expect(HELLO);
    let mut body = service.handlers.body.lock().expect("no panic").take().expect("kept");
    let mut has_come = Vec::new();
    service.leave();
    for rest in ["", "567", "89"] {
        connection.send(rest);
        for _ in 0..3 {
            assert!(!connection.runs() && service.departed().is_none(), "the rest of the body is no request");
            if let Poll::Ready(Some(frame)) = now(body.frame()) {
                has_come.extend(frame.expect("a frame").into_data().expect("data"));
            }
        }
    }
    assert_eq!(has_come, b"123456789");
    connection.send(GET);
    assert!(connection.runs());
    let _departed = service.departed().expect("it has left");
    connection.expect(HELLO);
}

#[test]
fn a_body_that_nobody_reads_ends_its_connection_and_is_no_request_of_the_next_server() {
    let mut service = Service::new(1);
    let mut connection = service.connect();
    connection.send("POST /unread HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n1234");
    service.leave();
    assert!(!connection.runs());
    assert!(service.departed().is_none());
    drop(connection.received());
    let (client, _) = duplex(1);
    connection.client = client;
    assert!(connection.runs() && service.departed().is_none());
}

#[test]
fn bytes_behind_a_request_stay_with_the_connection() {
    for begun in 1..GET.len() {
        let mut service = Service::new(1);
        let mut connection = service.connect();
        connection.send(&[GET, &GET[..begun]].concat());
        assert!(!connection.runs());
        service.leave();
        assert!(!connection.runs() && service.departed().is_none(), "{begun} bytes");
        connection.send(&GET[begun..]);
        assert!(connection.runs());
        let _departed = service.departed().expect("it has left");
        let (received, _) = connection.received();
        assert_eq!(received.matches(HELLO).count(), 2, "{received}");
    }
}

#[test]
fn what_precedes_http_keeps_a_connection() {
    let mut service = Service::new(1);
    let (handshake, accepted) = Handshake::begin(service.guard());
    let mut connection = service.connect_with(accepted, &service.departures.exit());
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
fn http2_and_upgrades_do_not_leave() {
    let mut service = Service::new(2);
    let (mut http2, mut upgraded) = (service.connect(), service.connect());
    http2.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    upgraded.send("GET /upgrade HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: test\r\n\r\n");
    assert!(!http2.runs() && upgraded.runs());
    service.leave();
    assert!(!http2.runs() && service.departed().is_none());
    assert!(!upgraded.received().1);
}

#[test]
fn a_client_that_has_closed_its_direction_is_answered_and_not_handed_over() {
    let mut service = Service::new(1);
    let mut connection = service.connect();
    connection.send("GET /wait HTTP/1.1\r\nhost: x\r\n\r\n");
    assert!(!connection.runs());
    assert!(now(connection.client.shutdown()).is_ready());
    service.leave();
    assert!(!connection.runs());
    *service.handlers.answer.lock().expect("no panic") = Some("done");
    assert!(connection.runs() && service.departed().is_none());
    let (received, has_ended) = connection.received();
    assert!(received.ends_with("done") && has_ended, "{received}");
}

#[test]
fn an_engine_of_ones_own_keeps_its_connection() {
    let mut service = Service::new(1);
    let (client, io) = duplex(1 << 20);
    let (io, guard) = Leaving::new(TokioIo::new(io), service.guard(), &service.departures.exit());
    let handlers = service.handlers.clone();
    let build = |io, service| hyper::server::conn::http1::Builder::new().serve_connection(io, service);
    let served = service.http.serve_with(io, service_fn(move |it| handlers.clone().answer(it)), guard, build);
    let mut connection = Connection { client, serving: Box::pin(served) };
    connection.send(GET);
    assert!(!connection.runs());
    connection.expect(HELLO);
    service.leave();
    assert!(!connection.runs() && service.departed().is_none());
    connection.send(GET);
    connection.expect_close();
}

#[test]
fn so_many_are_on_their_way_at_a_time_and_the_others_are_served() {
    let mut service = Service::new(1);
    let mut connections = [(); 3].map(|()| service.connect());
    for connection in &mut connections {
        connection.send(GET);
        assert!(!connection.runs());
        connection.expect(HELLO);
    }
    service.leave();
    let [first, second, third] = &mut connections;
    assert!(first.runs() && !second.runs() && !third.runs());
    let departed = service.departed().expect("the first");
    assert!(service.departed().is_none());
    second.send(GET);
    assert!(!second.runs() && !third.runs());
    second.expect(HELLO);
    drop(departed);
    assert!(third.runs() && !second.runs());
    drop(service.departed().expect("the third"));
    assert!(second.runs());
    drop(service.departed().expect("the second"));
}

#[test]
fn a_stream_that_the_successor_refuses_is_served_again_and_closed_in_order() {
    let mut service = Service::new(1);
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

#[test]
fn nothing_leaves_before_it_is_said_or_after() {
    let mut service = Service::new(1);
    service.departures.begin();
    let mut connection = service.connect();
    connection.send(GET);
    assert!(!connection.runs() && service.departed().is_none(), "the service runs");
    connection.expect(HELLO);
    service.departures.end();
    service.drained = Some(service.drain.start());
    assert!(!connection.runs() && service.departed().is_none(), "there is no successor");
    connection.send(GET);
    connection.expect_close();
}

#[test]
fn a_listed_connection_leaves_with_the_label_that_it_came_with() {
    let mut service = Service::new(1);
    let connections = Connections::new();
    service.http = service.http.connections(&connections);
    let mut connection = service.connect_with(service.guard().labelled("the client"), &service.departures.exit());
    connection.send(GET);
    assert!(!connection.runs());
    connection.expect(HELLO);
    service.leave();
    assert!(connection.runs());
    let departed = service.departed().expect("it has left");
    assert_eq!(departed.guard().label().map(ToString::to_string).as_deref(), Some("the client"));
    assert!(connections.list().is_empty());
}

#[test]
fn departures_end_with_the_last_connection_that_could_leave() {
    let mut service = Service::new(1);
    let mut connection = service.connect();
    assert!(!connection.runs());
    assert!(now(service.departures.next()).is_pending());
    drop(connection);
    assert!(matches!(now(service.departures.next()), Poll::Ready(None)));
}

#[test]
fn connections_drain_when_nobody_takes_them_any_more() {
    let service = Service::new(1);
    let mut connection = service.connect();
    connection.send(GET);
    assert!(!connection.runs());
    connection.expect(HELLO);
    service.departures.begin();
    let Service { drain, departures, .. } = service;
    let _drained = drain.start();
    drop(departures);
    assert!(!connection.runs());
    connection.send(GET);
    connection.expect_close();
}
