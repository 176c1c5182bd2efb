//! An axum application on tokio, over real sockets: what its clients see of a drain.

mod clients;

use std::convert::Infallible;
use std::future::{IntoFuture, ready};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{ConnectInfo, Extension};
use axum::http::header::CONTENT_TYPE;
use axum::response::sse::{Event, Sse};
use axum::routing::{any, get};
use axum::{BoxError, Router};
use ebbtide::{Drain, State, Watcher};
use ebbtide_axum::serve::{IncomingStream, ListenerExt};
use ebbtide_axum::{Connections, Draining, EndBodies, Error, Failure, InFlight, Session, serve};
use ebbtide_goodbye::{Ending, Goodbye};
use ebbtide_testkit::client::Client;
use ebbtide_testkit::http2;
use ebbtide_testkit::tls::{Identity, Tls};
use ebbtide_testkit::wire::{End, Wire};
use ebbtide_tokio::Service;
use futures_util::{SinkExt, StreamExt, stream};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;

type Ended = JoinHandle<Result<(), Error>>;

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("bound");
    (listener, addr)
}

fn run(server: impl IntoFuture<Output = Result<(), Error>, IntoFuture: Send + 'static>) -> Ended {
    tokio::spawn(server.into_future())
}

/// A server of `app` that drains with the drain that comes with it.
async fn start(app: Router) -> (SocketAddr, Drain, Ended) {
    let ((listener, addr), drain) = (listen().await, Drain::new());
    let ended = run(serve(listener, app).drain(&drain));
    (addr, drain, ended)
}

async fn ended(server: Ended) -> Result<(), Error> {
    tokio::time::timeout(ebbtide_testkit::PATIENCE, server).await.expect("it ends").expect("it does not panic")
}

/// `/hello`, and `/slow`: it tells that it has begun, and answers when it is let.
fn gated() -> (Router, UnboundedReceiver<()>, Arc<Semaphore>) {
    let ((begun, has_begun), gate) = (unbounded_channel(), Arc::new(Semaphore::new(0)));
    let let_go = gate.clone();
    let slow = || async move {
        begun.send(()).expect("the test hears it");
        let_go.acquire().await.expect("it is open").forget();
        "slow"
    };
    let app = Router::new().route("/hello", get(|| async { "hello" })).route("/slow", get(slow));
    (app, has_begun, gate)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_in_flight_completes_and_newcomers_are_refused() {
    let (app, mut begun, gate) = gated();
    let (addr, drain, server) = start(app).await;
    let mut client = Client::connect(addr);
    client.get("/slow");
    begun.recv().await.expect("begun");
    let drained = drain.start();
    while Client::reach(addr).is_ok() {}
    gate.add_permits(1);
    client.expect_last("slow");
    ended(server).await.expect("nothing was cut");
    assert_eq!(drained.await, Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn as_a_part_of_a_service_it_ends_before_what_is_behind_it_and_has_the_services_deadline() {
    for is_answered in [true, false] {
        let (app, mut begun, gate) = gated();
        let (listener, addr) = listen().await;
        let is_closed = Arc::new(AtomicBool::new(false));
        let pool = is_closed.clone();
        let service = Service::without_signals()
            .deadline(if is_answered { ebbtide_testkit::PATIENCE } else { Duration::from_millis(1500) })
            .task("api", move |part| serve(listener, app).guard(part.guard()))
            .finally("pool", async move { pool.store(true, Ordering::SeqCst) });
        let drain = service.drain().clone();
        let running = tokio::spawn(service.run());
        let mut slow = Client::connect(addr);
        slow.get("/slow");
        begun.recv().await.expect("begun");
        drop(drain.start());
        if is_answered {
            // The port is closed, and the request is waited for.
            while Client::reach(addr).is_ok() {}
            assert!(!is_closed.load(Ordering::SeqCst));
            gate.add_permits(1);
            slow.expect_last("slow");
        }
        let outcome = running.await.expect("no panic");
        assert_eq!((outcome.is_clean(), is_closed.load(Ordering::SeqCst)), (is_answered, true), "{outcome}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_queued_is_served_though_the_drain_begins_at_once() {
    let (app, ..) = gated();
    for how in ["by a signal", "tapped", "as a part"] {
        let ((listener, addr), drain) = (listen().await, Drain::new());
        let mut clients: Vec<_> = (0..20).map(|_| Client::connect(addr)).collect();
        for client in &mut clients {
            client.get("/hello");
        }
        let server = match how {
            // Its socket cannot be seen.
            "tapped" => run(serve(listener.tap_io(|_| {}), app.clone()).with_graceful_shutdown(ready(()))),
            "as a part" => {
                let server = serve(listener, app.clone()).drain(&drain);
                drop(drain.start());
                run(server)
            }
            _ => run(serve(listener, app.clone()).with_graceful_shutdown(ready(()))),
        };
        for client in clients {
            client.expect_last("hello");
        }
        ended(server).await.expect("nothing was cut");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_whole_has_begun_to_drain_serves_who_is_queued_and_ends() {
    let ((listener, addr), drain) = (listen().await, Drain::new());
    let mut client = Client::connect(addr);
    client.get("/hello");
    drop(drain.start_because("a test"));
    let server = run(serve(
        listener,
        Router::new().route(
            "/hello",
            get(|Draining(it): Draining| async move { format!("hello, {}", it.cause().expect("it has begun")) }),
        ),
    )
    .drain(&drain)
    .lame_duck(Duration::MAX));
    client.expect_last("hello, a test");
    ended(server).await.expect("nothing was cut");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_deadline_cuts_is_told_with_its_request_and_answered() {
    let (app, mut begun, _gate) = gated();
    let ((listener, addr), drain, connections) = (listen().await, Drain::new(), Connections::new());
    let server = run(serve(listener, app).drain(&drain).connections(&connections).deadline(Duration::ZERO));
    let mut client = Client::connect(addr);
    client.get("/slow");
    begun.recv().await.expect("begun");
    let drained = drain.start();
    let error = ended(server).await.expect_err("it was cut");
    assert!(format!("{error:?}").contains("GET /slow"), "{error}");
    let whole = drained.await.expect_err("the whole is no better than its part");
    assert!(whole.to_string().contains("given up"), "{whole}");
    assert_eq!(error.overdue().expect("cut").guards(), error.overdue().expect("cut").held()[0].guards());
    assert!(client.response().is_unavailable());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_names_what_was_cut_in_its_parts() {
    let (app, mut begun, _gate) = gated();
    let ((listener, addr), drain, connections) = (listen().await, Drain::new(), Connections::new());
    let server = run(serve(listener, app).drain(&drain).connections(&connections));
    let mut client = Client::connect(addr);
    client.get("/slow");
    begun.recv().await.expect("begun");
    assert!(drain.held()[0].to_string().contains("GET /slow"), "{:?}", drain.held());
    drain.close();
    ended(server).await.expect_err("it was cut");
    let overdue = drain.start().await.expect_err("it was cut").to_string();
    assert!(overdue.contains(&format!("server on {addr} (")) && overdue.contains("GET /slow"), "{overdue}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forced_close_of_the_whole_cuts_its_parts_also_in_their_lame_duck_time() {
    let (app, ..) = gated();
    let ((listener, addr), drain) = (listen().await, Drain::new());
    let server = run(serve(listener, app).drain(&drain).lame_duck(Duration::from_secs(3600)));
    let mut idle = Client::idle(addr);
    drop(drain.start());
    idle.get("/hello");
    idle.expect("hello");
    drop(Client::idle(addr));
    assert_eq!(drain.state(), State::Draining);
    drain.close();
    let error = ended(server).await.expect_err("it was cut");
    assert!(error.overdue().is_some(), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lame_duck_time_that_passes_is_followed_by_the_drain() {
    let (app, ..) = gated();
    let ((listener, addr), drain) = (listen().await, Drain::new());
    // In real time, since it is the server that lets it pass.
    let time = Duration::from_millis(100);
    let server = run(serve(listener, app).drain(&drain).lame_duck(time));
    let mut idle = Client::idle(addr);
    let begun = std::time::Instant::now();
    drop(drain.start());
    idle.expect_fin();
    assert!(begun.elapsed() >= time);
    assert!(Client::reach(addr).is_err());
    ended(server).await.expect("nothing was cut");
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_fails_drains_its_server_and_is_told() {
    let (begun, mut has_begun) = unbounded_channel();
    let last = |Draining(draining): Draining| async move {
        begun.send(()).expect("the test hears it");
        draining.await;
        "last"
    };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("a socket");
    let (addr, other) = (listener.local_addr().expect("bound"), listener.try_clone().expect("a descriptor"));
    let listener = TcpListener::from_std(listener).expect("a listener");
    let server = serve(listener, Router::new().route("/last", get(last)));
    let server = run(server.with_graceful_shutdown(std::future::pending()));
    let mut client = Client::connect(addr);
    client.get("/last");
    has_begun.recv().await.expect("begun");
    // A socket that listens no more: its `accept` fails from here on, with EINVAL.
    rustix::net::shutdown(&other, rustix::net::Shutdown::Both).expect("it listened");
    client.expect_last("last");
    let error = ended(server).await.expect_err("its listener failed");
    assert!(matches!(error, Error::Listener { overdue: None, .. }), "{error}");
}

#[tokio::test]
async fn a_part_of_a_drain_that_has_begun_ends_at_once() {
    let ((listener, _), drain) = (listen().await, Drain::new());
    drop(drain.start());
    serve(listener, Router::new()).drain(&drain).await.expect("nothing was cut");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_dropped_lets_its_connections_end_well() {
    let (app, mut begun, gate) = gated();
    let (listener, addr) = listen().await;
    let server = run(serve(listener, app).with_graceful_shutdown(std::future::pending()));
    let (mut busy, mut idle) = (Client::connect(addr), Client::idle(addr));
    busy.get("/slow");
    begun.recv().await.expect("begun");
    server.abort();
    idle.expect_fin();
    gate.add_permits(1);
    busy.expect_last("slow");
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_goes_on_after_its_response_is_waited_for() {
    let (gate, done) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let (let_go, is_done) = (gate.clone(), done.clone());
    let order = |InFlight(guard): InFlight| async move {
        tokio::spawn(guard.during(async move {
            let_go.acquire().await.expect("it is open").forget();
            is_done.store(1, Ordering::SeqCst);
        }));
        "ordered"
    };
    let (addr, drain, server) = start(Router::new().route("/order", get(order))).await;
    let mut client = Client::connect(addr);
    client.get("/order");
    client.expect("ordered");
    drop(drain.start());
    client.expect_fin();
    assert!(!server.is_finished());
    gate.add_permits(1);
    ended(server).await.expect("nothing was cut");
    assert_eq!(done.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_more_than_the_limit_waits_until_another_is_gone() {
    let (app, mut begun, gate) = gated();
    let ((listener, addr), drain) = (listen().await, Drain::new());
    let server = run(serve(listener, app).drain(&drain).max_connections(1));
    let (mut first, mut second) = (Client::connect(addr), Client::connect(addr));
    first.get("/slow");
    second.get("/slow");
    begun.recv().await.expect("begun");
    drop(drain.start());
    gate.add_permits(1);
    first.expect_last("slow");
    begun.recv().await.expect("begun");
    gate.add_permits(1);
    second.expect_last("slow");
    ended(server).await.expect("nothing was cut");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_of_a_connection_is_told_with_its_client() {
    let ((listener, addr), (told, mut errors)) = (listen().await, unbounded_channel());
    let server = serve(listener, Router::new()).with_graceful_shutdown(std::future::pending());
    let server = run(server.on_error(move |failure| match failure {
        Failure::Connection { peer: Some(peer), .. } => told.send(peer.to_string()).expect("the test hears it"),
        other => panic!("{other}"),
    }));
    let mut client = Wire::connect(addr).expect("it listens");
    client.send("no HTTP at all\r\n\r\n");
    let who = client.writer().local_addr().expect("connected").to_string();
    assert_eq!(errors.recv().await, Some(who));
    server.abort();
}

async fn who(ConnectInfo(addr): ConnectInfo<SocketAddr>) -> String {
    addr.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_knows_its_clients_address() {
    let app = Router::new().route("/who", get(who)).into_make_service_with_connect_info::<SocketAddr>();
    let tapped = Arc::new(AtomicUsize::new(0));
    for how in ["plain", "axum's tap", "ours"] {
        let ((listener, addr), drain, count) = (listen().await, Drain::new(), tapped.clone());
        let tap = move |_: &mut _| {
            count.fetch_add(1, Ordering::SeqCst);
        };
        let server = match how {
            "plain" => run(serve(listener, app.clone()).drain(&drain)),
            "ours" => run(serve(listener, app.clone()).drain(&drain).tap_io(tap)),
            _ => run(serve(listener.tap_io(tap), app.clone()).drain(&drain)),
        };
        let mut client = Client::connect(addr);
        client.get("/who");
        let who = client.writer().local_addr().expect("connected").to_string();
        client.expect(&who);
        drop(drain.start());
        client.expect_fin();
        ended(server).await.expect("nothing was cut");
    }
    assert_eq!(tapped.load(Ordering::SeqCst), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_made_for_each_connection() {
    let ((listener, addr), drain, mut count) = (listen().await, Drain::new(), 0);
    let make = tower::service_fn(move |_: IncomingStream<'_, TcpListener>| {
        count += 1;
        let number = format!("connection {count}");
        ready(Ok::<_, Infallible>(Router::new().route("/", get(|| async { number }))))
    });
    let server = run(serve(listener, make).drain(&drain));
    for number in 1..=3 {
        let mut client = Client::connect(addr);
        client.get("/");
        client.expect(&format!("connection {number}"));
    }
    drop(drain.start());
    ended(server).await.expect("nothing was cut");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_events_ends_with_the_drain_and_says_when_to_come_back() {
    let events = |Draining(draining): Draining| async {
        let first = stream::once(ready(Ok::<_, Infallible>(Event::default().data("one"))));
        let span = Duration::from_secs(1)..Duration::from_secs(2);
        let last = |it: &Watcher| Ok(Event::default().retry(it.spread(span)));
        Sse::new(Ending::new(first.chain(stream::pending()), draining, last))
    };
    let (addr, drain, server) = start(Router::new().route("/events", get(events))).await;
    let mut all: Vec<_> = (0..2).map(|_| Client::connect(addr)).collect();
    for client in &mut all {
        client.get("/events");
        client.see("data: one");
    }
    drop(drain.start());
    let mut times: Vec<_> = all.iter_mut().map(|it| clients::retry(it.response().text(), "data: one\n\n")).collect();
    times.sort_unstable();
    // The first two places in any span.
    assert_eq!(times, [1236, 1618]);
    ended(server).await.expect("nothing was cut");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_comes_back_on_a_connection_that_was_told_is_not_told_again_before_the_drain() {
    let ending = |Draining(draining): Draining| async {
        let last = |it: &Watcher| Ok::<_, Infallible>(Event::default().data(format!("{:?}", it.state())));
        Sse::new(Ending::new(stream::pending(), draining, last))
    };
    let app = gated().0.route("/ending", get(ending));
    let ((listener, addr), drain) = (listen().await, Drain::new());
    let server = run(serve(listener, app).drain(&drain).lame_duck(Duration::from_secs(2)));
    // The turn of the first connection is late in that time, and that of the second is early.
    let _first = Client::idle(addr);
    let mut client = http2::Client::connect(addr);
    let stream = client.get("/ending");
    client.until_settled();
    drop(drain.start());
    assert_eq!(client.response(stream), "data: Running\n\n");
    // At once, as clients do that were told nothing else.
    let stream = client.get("/ending");
    assert_eq!(client.response(stream), "data: Draining\n\n");
    client.expect_fin();
    ended(server).await.expect("nothing was cut");
}

/// A service that knows of no drain, and whose responses have no end. It says when one has begun.
fn endless() -> (Router, UnboundedReceiver<()>) {
    let (begun, has_begun) = unbounded_channel();
    let route = |media_type: &'static str| {
        let begun = begun.clone();
        get(move || async move {
            let first = stream::once(async move {
                begun.send(()).expect("the test hears it");
                Ok::<_, BoxError>("data: one\n\n")
            });
            ([(CONTENT_TYPE, media_type)], Body::from_stream(first.chain(stream::pending())))
        })
    };
    let app = Router::new().route("/events", route("text/event-stream"));
    let app = app.route("/rows", route("text/csv")).route("/calls", route("application/grpc"));
    (app, has_begun)
}

/// Ends bodies as soon as the drain begins.
fn end_bodies() -> EndBodies<impl Fn(Duration) -> tokio::time::Sleep + Clone> {
    EndBodies::after(Duration::ZERO, tokio::time::sleep).retry(Duration::from_secs(1)..Duration::from_secs(2))
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_service_that_knows_of_no_drain_end_in_order_and_say_when_to_come_back() {
    let (app, mut begun) = endless();
    let (addr, drain, server) = start(app.layer(end_bodies())).await;
    let (mut one, mut two) = (Client::connect(addr), http2::Client::connect(addr));
    one.get("/events");
    let stream = two.get("/events");
    for _ in 0..2 {
        begun.recv().await.expect("begun");
    }
    drop(drain.start());
    // Complete, as HTTP/1 and as HTTP/2 have it.
    let bodies = [one.response().text().to_owned(), two.response(stream)];
    let mut times = bodies.map(|it| clients::retry(&it, "data: one\n\n"));
    times.sort_unstable();
    assert_eq!(times, [1236, 1618]);
    one.expect_fin();
    two.expect_fin();
    ended(server).await.expect("nothing was cut");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_be_half_of_a_whole_is_cut_and_not_ended_in_order() {
    let (app, mut begun) = endless();
    let (addr, drain, server) = start(app.layer(end_bodies())).await;
    let (mut one, mut two) = (Client::connect(addr), http2::Client::connect(addr));
    one.get("/rows");
    let stream = two.get("/rows");
    for _ in 0..2 {
        begun.recv().await.expect("begun");
    }
    drop(drain.start());
    one.answer().expect_err("it is not complete");
    two.expect_fin();
    assert!(two.reset_code(stream).is_some(), "its stream alone is reset");
    ended(server).await.expect("nothing was cut");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_end_of_its_own_ends_in_order_if_that_was_said() {
    let (app, mut begun) = endless();
    let (addr, drain, server) = start(app.layer(end_bodies().cleanly())).await;
    let mut client = Client::connect(addr);
    client.get("/rows");
    begun.recv().await.expect("begun");
    drop(drain.start());
    client.expect("data: one\n\n");
    client.expect_fin();
    ended(server).await.expect("nothing was cut");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_says_how_long_it_is_comes_to_its_own_end() {
    let (app, mut begun, gate) = gated();
    let (addr, drain, server) = start(app.layer(end_bodies())).await;
    let mut client = Client::connect(addr);
    client.get("/slow");
    begun.recv().await.expect("begun");
    drop(drain.start());
    gate.add_permits(1);
    client.expect_last("slow");
    ended(server).await.expect("nothing was cut");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_grpc_ends_by_trailers_that_send_its_client_elsewhere() {
    use http_body_util::{BodyExt, Empty};
    use hyper::body::Bytes;
    use hyper::{Request, client::conn};
    use hyper_util::rt::{TokioExecutor, TokioIo};

    let (app, mut begun) = endless();
    let (addr, drain, server) = start(app.layer(end_bodies())).await;
    let stream = tokio::net::TcpStream::connect(addr).await.expect("it listens");
    let (mut client, connection) =
        conn::http2::Builder::new(TokioExecutor::new()).handshake(TokioIo::new(stream)).await.expect("HTTP/2");
    tokio::spawn(connection);
    let request = Request::get("http://test/calls").body(Empty::<Bytes>::new()).expect("a request");
    let response = client.send_request(request).await.expect("answered");
    begun.recv().await.expect("begun");
    drop(drain.start());
    let body = response.into_body().collect().await.expect("complete");
    let trailers = body.trailers().expect("trailers").clone();
    assert_eq!(trailers["grpc-status"], "14");
    assert_eq!(body.to_bytes(), "data: one\n\n");
    ended(server).await.expect("nothing was cut");
}

/// Echoes, as any handler would, but for the line.
async fn echo(socket: WebSocket, draining: Watcher) {
    let away = Message::Close(Some(CloseFrame { code: close_code::AWAY, reason: "draining".into() }));
    let mut socket = Goodbye::new(socket, away, draining, tokio::time::sleep);
    while let Some(Ok(message)) = socket.recv().await {
        if socket.send(message).await.is_err() {
            break;
        }
    }
}

/// Echoes by two tasks.
async fn echo_split(socket: WebSocket, draining: Watcher) {
    let away = Message::Close(Some(CloseFrame { code: close_code::AWAY, reason: "draining".into() }));
    let (mut writer, mut reader) = Goodbye::new(socket, away, draining, tokio::time::sleep).split();
    let (read, mut to_write) = unbounded_channel();
    let writing = tokio::spawn(async move {
        while let Some(message) = to_write.recv().await {
            if writer.send(message).await.is_err() {
                break;
            }
        }
    });
    while let Some(Ok(message)) = reader.next().await {
        if read.send(message).is_err() {
            break;
        }
    }
    drop(read);
    writing.await.expect("it does not panic");
}

fn websockets<H, F>(handler: H) -> Router
where
    H: Fn(WebSocket, Watcher) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let upgrade = move |ws: WebSocketUpgrade, Draining(draining): Draining| {
        let handler = handler.clone();
        async { ws.on_upgrade(move |socket| handler(socket, draining)) }
    };
    Router::new().route("/ws", any(upgrade))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_is_told_and_waited_for() {
    for app in [websockets(echo), websockets(echo_split)] {
        let (addr, drain, server) = start(app).await;
        let mut socket = clients::echoed(addr);
        drop(drain.start());
        clients::hear_goodbye(&mut socket);
        assert!(!server.is_finished());
        clients::say_goodbye(socket);
        ended(server).await.expect("nothing was cut");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_on_http2_is_told_and_waited_for() {
    use http_body_util::Empty;
    use hyper::body::Bytes;
    use hyper::ext::Protocol;
    use hyper::{Method, Request, StatusCode, Version, client::conn};
    use hyper_tungstenite::tungstenite::{self, protocol::Role};
    use hyper_util::rt::{TokioExecutor, TokioIo};

    let (addr, drain, server) = start(websockets(echo)).await;
    let stream = tokio::net::TcpStream::connect(addr).await.expect("it listens");
    let (mut client, connection) =
        conn::http2::Builder::new(TokioExecutor::new()).handshake(TokioIo::new(stream)).await.expect("HTTP/2");
    tokio::spawn(connection);
    let request = Request::builder()
        .method(Method::CONNECT)
        .version(Version::HTTP_2)
        .extension(Protocol::from_static("websocket"))
        .uri("http://test/ws")
        .header("sec-websocket-version", "13")
        .body(Empty::<Bytes>::new())
        .expect("a request");
    let response = client.send_request(request).await.expect("answered");
    assert_eq!(response.status(), StatusCode::OK);
    let upgraded = TokioIo::new(hyper::upgrade::on(response).await.expect("upgraded"));
    let mut socket = hyper_tungstenite::HyperWebsocketStream::from_raw_socket(upgraded, Role::Client, None).await;
    socket.send("hello".into()).await.expect("open");
    assert_eq!(socket.next().await.expect("open").expect("open"), "hello".into());
    drop(drain.start());
    let Some(Ok(tungstenite::Message::Close(Some(close)))) = socket.next().await else { panic!("no goodbye") };
    assert_eq!(u16::from(close.code), 1001);
    assert!(!server.is_finished());
    while socket.next().await.is_some() {}
    drop(socket);
    ended(server).await.expect("nothing was cut");
}

#[tokio::test(flavor = "multi_thread")]
async fn both_protocols_are_served_and_drained_through_tls() {
    let (app, mut begun, gate) = gated();
    let protocol = |Extension(session): Extension<Session>| async move {
        session.negotiated().and_then(|it| it.alpn_protocol.clone()).unwrap_or_default()
    };
    let app = app.route("/protocol", get(protocol));
    let ((listener, addr), drain, identity) = (listen().await, Drain::new(), Identity::new());
    let server = run(serve(listener, app).rustls(identity.server(&[])).drain(&drain));
    let tls = |protocol| Tls::over(Client::connect(addr).into_stream(), identity.client(&[protocol]));
    let mut one = Client::over(tls("http/1.1"));
    let mut two = http2::Client::begin(Wire::over(tls("h2")), http2::PREFACE);
    one.get("/protocol");
    one.expect("http/1.1");
    let stream = two.get("/protocol");
    assert_eq!(two.response(stream), "h2");
    one.get("/slow");
    let stream = two.get("/slow");
    for _ in 0..2 {
        begun.recv().await.expect("begun");
    }
    // In the middle of its handshake.
    let silent = Wire::connect(addr).expect("it listens");
    drop(drain.start());
    gate.add_permits(2);
    one.expect_last("slow");
    assert_eq!(two.response(stream), "slow");
    two.expect_fin();
    ended(server).await.expect("nothing was cut");
    drop(silent);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_of_http2_is_served_without_tls() {
    let (app, ..) = gated();
    let (addr, drain, server) = start(app).await;
    let mut client = http2::Client::connect(addr);
    let stream = client.get("/hello");
    assert_eq!(client.response(stream), "hello");
    drop(drain.start());
    assert_eq!(client.end(), End::Fin);
    ended(server).await.expect("nothing was cut");
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_unix_socket_is_served_and_its_client_known() {
    use axum::extract::connect_info::Connected;
    use tokio::net::{UnixListener, unix::UCred};

    #[derive(Clone, Debug)]
    struct Process(UCred);

    impl Connected<IncomingStream<'_, UnixListener>> for Process {
        fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
            Self(stream.io().peer_cred().expect("connected"))
        }
    }

    let path = std::env::temp_dir().join(format!("ebbtide-axum-{}.socket", std::process::id()));
    let listener = UnixListener::bind(&path).expect("a path");
    let who = |ConnectInfo(Process(who)): ConnectInfo<Process>| async move { who.uid().to_string() };
    let app = Router::new().route("/who", get(who)).into_make_service_with_connect_info::<Process>();
    let drain = Drain::new();
    let server = run(serve(listener, app).drain(&drain));
    let mut client = Client::over(std::os::unix::net::UnixStream::connect(&path).expect("it listens"));
    client.get("/who");
    client.expect(&rustix::process::getuid().as_raw().to_string());
    drop(drain.start());
    client.expect_fin();
    ended(server).await.expect("nothing was cut");
    std::fs::remove_file(&path).expect("it is there");
}

#[tokio::test]
async fn a_listener_of_ones_own_that_is_no_socket_is_served() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    struct One(Option<DuplexStream>);

    impl axum::serve::Listener for One {
        type Io = DuplexStream;
        type Addr = &'static str;

        async fn accept(&mut self) -> (DuplexStream, &'static str) {
            match self.0.take() {
                Some(io) => (io, "memory"),
                None => std::future::pending().await,
            }
        }

        fn local_addr(&self) -> std::io::Result<&'static str> {
            Ok("memory")
        }
    }

    let ((mut client, io), drain) = (duplex(1024), Drain::new());
    let server = run(serve(One(Some(io)), gated().0).drain(&drain));
    client.write_all(b"GET /hello HTTP/1.1\r\nHost: test\r\n\r\n").await.expect("open");
    let mut answer = [0; 15];
    client.read_exact(&mut answer).await.expect("open");
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
    assert!(drain.held()[0].to_string().starts_with("server on \"memory\" ("), "{:?}", drain.held());
    drop(drain.start());
    client.read_to_end(&mut Vec::new()).await.expect("it ends");
    ended(server).await.expect("nothing was cut");
}
