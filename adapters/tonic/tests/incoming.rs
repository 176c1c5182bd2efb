//! tonic's own server with connections that are waited for.

use std::future::pending;
use std::io::{ErrorKind, Read};
use std::net::SocketAddr;
use std::time::Duration;

use ebbtide::Drain;
use ebbtide_testkit::wire::Wire;
use ebbtide_tonic::{Bounds, Incoming, bounds};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tonic::transport::Server;

use crate::gated::{ENDLESS, Gate, Gated, SHORT, client, ended, listen, next};
use crate::talk::{Number, TalkServer};

mod gated;
#[path = "../examples/talk/mod.rs"]
mod talk;

type Ended = JoinHandle<Result<(), tonic::transport::Error>>;

fn run(incoming: Incoming<TcpListener>) -> (Ended, Gate) {
    let (talk, gate) = Gated::new();
    let server = Server::builder().add_service(TalkServer::new(talk));
    (tokio::spawn(server.serve_with_incoming_shutdown(incoming, pending())), gate)
}

async fn start(bounds: Bounds) -> (SocketAddr, Drain, Ended, Gate) {
    let ((listener, addr), drain) = (listen().await, Drain::new());
    let incoming = Incoming::new(listener, drain.guard().expect("running")).bounds(bounds);
    let (server, gate) = run(incoming);
    (addr, drain, server, gate)
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_in_flight_complete_and_are_waited_for_and_know_their_clients_address() {
    let (addr, drain, server, mut gate) = start(bounds()).await;
    let mut client = client(addr).await;
    let mut it = client.clone();
    let unary = tokio::spawn(async move { it.say(Number::of(0)).await });
    gate.begun().await;
    let mut stream = client.count(Number::of(1)).await.expect("begun").into_inner();
    assert_eq!(next(&mut stream).await.expect("open"), Some(Number::of(1)));
    assert!(drain.held().iter().any(|it| it.to_string().contains("127.0.0.1:")), "{:?}", drain.held());
    let drained = drain.start();
    while std::net::TcpStream::connect(addr).is_ok() {}
    assert!(!server.is_finished());
    gate.open(2);
    assert_ne!(ended(unary).await.expect("answered").into_inner(), Number::of(0));
    assert_eq!(next(&mut stream).await.expect("open"), Some(Number::of(2)));
    assert_eq!(next(&mut stream).await.expect("open"), None);
    ended(server).await.expect("no error");
    assert_eq!(drained.await, Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_queued_is_served_though_the_drain_has_begun() {
    let ((listener, addr), drain) = (listen().await, Drain::new());
    let incoming = Incoming::new(listener, drain.guard().expect("running"));
    let mut client = ebbtide_testkit::http2::Client::connect(addr);
    let stream = client.get("/ebbtide.Talk/Nothing");
    let drained = drain.start();
    let (server, _gate) = run(incoming);
    // It has no such method.
    assert_eq!(client.answer(stream).as_deref(), Ok(""));
    client.expect_fin();
    ended(server).await.expect("no error");
    assert_eq!(drained.await, Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_and_half_a_preface_hold_nothing_up() {
    let (addr, drain, server, _gate) = start(bounds().silent(SHORT).preface(2 * SHORT)).await;
    let (silent, mut half) = (Wire::connect(addr).expect("it listens"), Wire::connect(addr).expect("it listens"));
    half.send(&ebbtide_testkit::http2::PREFACE[..10]);
    let drained = drain.start();
    for wire in [silent, half] {
        // What the server has said of itself, and then an end.
        let mut said = Vec::new();
        let ended = wire.into_stream().read_to_end(&mut said);
        assert!(ended.is_ok() || ended.is_err_and(|it| it.kind() == ErrorKind::ConnectionReset));
    }
    ended(server).await.expect("no error");
    assert_eq!(drained.await, Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_preface_is_no_failure_while_the_service_runs() {
    let (addr, drain, server, _gate) = start(bounds().silent(Duration::ZERO).preface(Duration::ZERO)).await;
    let mut wire = Wire::connect(addr).expect("it listens");
    wire.send(&ebbtide_testkit::http2::PREFACE[..10]);
    // Served behind it, so that the half was read.
    let mut another = ebbtide_testkit::http2::Client::connect(addr);
    another.until_settled();
    let mut client = ebbtide_testkit::http2::Client::begin(wire, &ebbtide_testkit::http2::PREFACE[10..]);
    client.until_settled();
    drop(drain.start());
    client.expect_fin();
    another.expect_fin();
    ended(server).await.expect("no error");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forced_close_ends_every_connection_and_the_server() {
    let (addr, drain, server, _gate) = start(bounds()).await;
    let mut stream = client(addr).await.count(Number::of(ENDLESS)).await.expect("begun").into_inner();
    next(&mut stream).await.expect("open");
    let overdue = ebbtide_tokio::within(drain.start(), Duration::ZERO).await.expect_err("it was cut").to_string();
    assert!(overdue.contains("127.0.0.1:"), "{overdue}");
    next(&mut stream).await.expect_err("it was cut");
    ended(server).await.expect("no error");
}
