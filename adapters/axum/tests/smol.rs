//! The same axum router on smol, over real sockets: no runtime of tokio is there.

mod clients;

use std::convert::Infallible;
use std::future::{IntoFuture, ready};
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Request};
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::{any, get};
use ebbtide::Drain;
use ebbtide_axum::smol::{IncomingStream, serve};
use ebbtide_axum::{Draining, EndBodies, Error, InFlight};
use ebbtide_goodbye::{Ending, Goodbye};
use ebbtide_testkit::client::Client;
use ebbtide_testkit::http2;
use ebbtide_testkit::tls::{Identity, Tls};
use ebbtide_testkit::wire::Wire;
use futures_util::{SinkExt, StreamExt, stream};
use smol::Task;
use smol::channel::{Receiver, Sender, bounded, unbounded};
use smol::net::TcpListener;
use tower::Layer;

fn listen() -> (TcpListener, SocketAddr) {
    let listener = smol::block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
    let addr = listener.local_addr().expect("bound");
    (listener, addr)
}

type Ended = Task<Result<(), Error>>;

fn run(server: impl IntoFuture<Output = Result<(), Error>, IntoFuture: Send + 'static>) -> Ended {
    smol::spawn(server.into_future())
}

fn start(app: Router) -> (SocketAddr, Drain, Ended) {
    let ((listener, addr), drain) = (listen(), Drain::new());
    let ended = run(serve(listener, app).drain(&drain));
    (addr, drain, ended)
}

fn ended(server: Ended) {
    smol::block_on(server).expect("nothing was cut");
}

/// `/hello`, and `/slow`: it tells that it has begun, and answers when it is let.
fn gated() -> (Router, Receiver<()>, Sender<()>) {
    let ((begun, has_begun), (let_go, gate)) = (bounded(1), bounded(1));
    let slow = || async move {
        begun.send(()).await.expect("the test hears it");
        gate.recv().await.expect("the test is there");
        "slow"
    };
    let app = Router::new().route("/hello", get(|| async { "hello" })).route("/slow", get(slow));
    (app, has_begun, let_go)
}

#[test]
fn a_request_in_flight_completes_and_newcomers_are_refused() {
    let (app, begun, gate) = gated();
    let (addr, drain, server) = start(app);
    let mut client = Client::connect(addr);
    client.get("/slow");
    begun.recv_blocking().expect("begun");
    drop(drain.start());
    while Client::reach(addr).is_ok() {}
    gate.send_blocking(()).expect("it waits");
    client.expect_last("slow");
    ended(server);
}

#[test]
fn who_is_queued_is_served_though_the_drain_begins_at_once() {
    let (listener, addr) = listen();
    let mut clients: Vec<_> = (0..20).map(|_| Client::connect(addr)).collect();
    for client in &mut clients {
        client.get("/hello");
    }
    let server = run(serve(listener, gated().0).with_graceful_shutdown(ready(())));
    for client in clients {
        client.expect_last("hello");
    }
    ended(server);
}

#[test]
fn a_body_without_an_end_of_its_own_ends_with_the_drain_by_a_last_piece() {
    let ticks = |Draining(draining): Draining| async {
        let first = stream::once(ready(Ok::<_, Infallible>("tick")));
        Body::from_stream(Ending::new(first.chain(stream::pending()), draining, |_| Ok(" bye")))
    };
    let (addr, drain, server) = start(Router::new().route("/ticks", get(ticks)));
    let mut client = Client::connect(addr);
    client.get("/ticks");
    client.see("tick");
    drop(drain.start());
    client.expect("tick bye");
    client.expect_fin();
    ended(server);
}

#[test]
fn events_of_a_service_that_knows_of_no_drain_end_in_order_and_say_when_to_come_back() {
    let events = || async {
        let first = stream::once(ready(Ok::<_, Infallible>("data: one\n\n")));
        ([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(first.chain(stream::pending())))
    };
    let layer = EndBodies::after(Duration::ZERO, smol::Timer::after);
    let (addr, drain, server) = start(Router::new().route("/events", get(events)).layer(layer));
    let mut client = Client::connect(addr);
    client.get("/events");
    client.see("data: one");
    drop(drain.start());
    let time = clients::retry(client.response().text(), "data: one\n\n");
    assert!((1000..5000).contains(&time), "{time}");
    client.expect_fin();
    ended(server);
}

#[test]
fn work_that_goes_on_after_its_response_is_waited_for() {
    let (let_go, gate) = bounded::<()>(1);
    let order = |InFlight(guard): InFlight| async move {
        ebbtide_smol::spawn(guard, async move { gate.recv().await }).detach();
        "ordered"
    };
    let (addr, drain, server) = start(Router::new().route("/order", get(order)));
    let mut client = Client::connect(addr);
    client.get("/order");
    client.expect("ordered");
    drop(drain.start());
    client.expect_fin();
    assert!(!server.is_finished());
    let_go.send_blocking(()).expect("it waits");
    ended(server);
}

#[test]
fn a_handler_knows_its_clients_address() {
    let who = |Extension(addr): Extension<SocketAddr>| ready(addr.to_string());
    let app = Router::new().route("/who", get(who));
    // axum's `ConnectInfo` is a part of its feature `tokio`.
    let make = tower::service_fn(move |stream: IncomingStream<'_, TcpListener>| {
        ready(Ok::<_, Infallible>(Extension(*stream.remote_addr()).layer(app.clone())))
    });
    let ((listener, addr), drain) = (listen(), Drain::new());
    let server = run(serve(listener, make).drain(&drain));
    let mut client = Client::connect(addr);
    client.get("/who");
    let who = client.writer().local_addr().expect("connected").to_string();
    client.expect(&who);
    drop(drain.start());
    client.expect_fin();
    ended(server);
}

/// Echoes, as any handler would, but for the line of the goodbye. (axum's own upgrade spawns on tokio.)
async fn upgrade(Draining(draining): Draining, mut request: Request) -> impl IntoResponse {
    let (response, socket) = hyper_tungstenite::upgrade(&mut request, None).expect("it is one");
    let echo = async move {
        let mut socket = Goodbye::new(socket.await.expect("upgraded"), away(), draining, smol::Timer::after);
        while let Some(Ok(message)) = socket.recv().await {
            if socket.send(message).await.is_err() {
                break;
            }
        }
    };
    smol::spawn(echo).detach();
    response.map(Body::new)
}

/// The same by two tasks.
async fn upgrade_split(Draining(draining): Draining, mut request: Request) -> impl IntoResponse {
    let (response, socket) = hyper_tungstenite::upgrade(&mut request, None).expect("it is one");
    let echo = async move {
        let socket = Goodbye::new(socket.await.expect("upgraded"), away(), draining, smol::Timer::after);
        let (mut writer, mut reader) = socket.split();
        let (read, to_write) = unbounded();
        let writing = smol::spawn(async move {
            while let Ok(message) = to_write.recv().await {
                if writer.send(message).await.is_err() {
                    break;
                }
            }
        });
        while let Some(Ok(message)) = reader.next().await {
            if read.send(message).await.is_err() {
                break;
            }
        }
        drop(read);
        writing.await;
    };
    smol::spawn(echo).detach();
    response.map(Body::new)
}

fn away() -> hyper_tungstenite::tungstenite::Message {
    use hyper_tungstenite::tungstenite::Message;
    use hyper_tungstenite::tungstenite::protocol::{CloseFrame, frame::coding::CloseCode};

    Message::Close(Some(CloseFrame { code: CloseCode::Away, reason: "draining".into() }))
}

#[test]
fn a_websocket_is_told_and_waited_for() {
    for route in [any(upgrade), any(upgrade_split)] {
        let (addr, drain, server) = start(Router::new().route("/ws", route));
        let mut socket = clients::echoed(addr);
        drop(drain.start());
        clients::hear_goodbye(&mut socket);
        assert!(!server.is_finished());
        clients::say_goodbye(socket);
        ended(server);
    }
}

#[test]
fn both_protocols_are_served_and_drained_through_tls() {
    let ((listener, addr), drain, identity) = (listen(), Drain::new(), Identity::new());
    let server = run(serve(listener, gated().0).rustls(identity.server(&[])).drain(&drain));
    let tls = |protocol| Tls::over(Client::connect(addr).into_stream(), identity.client(&[protocol]));
    let mut one = Client::over(tls("http/1.1"));
    let mut two = http2::Client::begin(Wire::over(tls("h2")), http2::PREFACE);
    one.get("/hello");
    one.expect("hello");
    let stream = two.get("/hello");
    assert_eq!(two.response(stream), "hello");
    drop(drain.start());
    one.expect_fin();
    two.expect_fin();
    ended(server);
}

#[cfg(unix)]
#[test]
fn a_unix_socket_is_served() {
    let path = std::env::temp_dir().join(format!("ebbtide-axum-smol-{}.socket", std::process::id()));
    let listener = smol::net::unix::UnixListener::bind(&path).expect("a path");
    let drain = Drain::new();
    let server = run(serve(listener, gated().0.into_make_service()).drain(&drain));
    let mut client = Client::over(std::os::unix::net::UnixStream::connect(&path).expect("it listens"));
    client.get("/hello");
    client.expect("hello");
    drop(drain.start());
    client.expect_fin();
    ended(server);
    std::fs::remove_file(&path).expect("it is there");
}
