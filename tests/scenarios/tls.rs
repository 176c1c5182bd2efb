//! The same through TLS.

use std::net::TcpStream;
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use ebbtide_testkit::client::Client;
use ebbtide_testkit::http2::{self, PREFACE};
use ebbtide_testkit::tls::{Identity, Tls};
use ebbtide_testkit::wire::{End, Wire};
use ebbtide_tests::process::{Server, Signal};

fn identity() -> &'static Identity {
    static IDENTITY: OnceLock<Identity> = OnceLock::new();
    IDENTITY.get_or_init(Identity::new)
}

fn start() -> Server {
    let name = format!("{}-{:?}.pem", std::process::id(), std::thread::current().id());
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&file, identity().pem()).expect("a writable directory");
    let path = file.to_str().expect("UTF-8");
    let server = Server::start(&["--tls-addr", "127.0.0.1:0", "--tls-cert", path, "--tls-key", path]);
    std::fs::remove_file(&file).expect("no longer needed");
    server
}

/// A connection that has not begun its handshake: that comes with the first byte written.
fn connect(server: &Server, protocol: &str) -> Wire<Tls<TcpStream>> {
    let wire = Wire::connect(server.tls.expect("asked for")).expect("it listens");
    Wire::over(Tls::over(wire.into_stream(), identity().client(&[protocol])))
}

#[test]
fn a_request_in_flight_completes_and_the_session_ends_in_order() {
    let server = start();
    let mut client = Client::on(connect(&server, "http/1.1"));
    client.begin_upload(4);
    server.until_status("Running, 1 in flight");
    server.drain();
    client.send("four");
    let response = client.response();
    assert_eq!((response.text(), response.says_close()), ("4", true));
    assert_eq!(client.end(), End::Fin);
    server.drained();
}

#[test]
fn a_stream_of_http2_in_flight_completes() {
    let server = start();
    let mut client = http2::Client::begin(connect(&server, "h2"), PREFACE);
    let stream = client.begin_upload();
    server.until_status("Running, 1 in flight");
    server.drain();
    client.until_goaways(2);
    client.end_upload(stream, b"four");
    assert_eq!(client.response(stream), "4");
    assert_eq!(client.end(), End::Fin);
    server.drained();
}

#[test]
fn an_idle_session_ends_in_order() {
    let server = start();
    let mut client = Client::on(connect(&server, "http/1.1"));
    client.get("/hello");
    assert_eq!(client.response().text(), "hello");
    server.signal(Signal::TERM);
    assert_eq!(client.end(), End::Fin);
    server.drained();
}

#[test]
fn an_idle_connection_of_http2_is_told_and_its_session_ends_in_order() {
    let server = start();
    let mut client = http2::Client::begin(connect(&server, "h2"), PREFACE);
    let stream = client.get("/hello");
    assert_eq!(client.response(stream), "hello");
    server.signal(Signal::TERM);
    assert_eq!(client.end(), End::Fin);
    assert!(!client.goaways.is_empty());
    server.drained();
}

#[test]
fn a_handshake_that_crosses_the_signal_is_completed_and_its_request_answered() {
    let server = start();
    let mut client = Client::on(connect(&server, "http/1.1"));
    server.while_stopped(|| {
        server.signal(Signal::TERM);
        client.begin(usize::MAX);
    });
    client.get("/hello");
    assert_eq!(client.response().text(), "hello");
    assert_eq!(client.end(), End::Fin);
    server.drained();
}

#[test]
fn a_connection_without_a_handshake_does_not_hold_the_drain() {
    let server = start();
    let mut client = connect(&server, "http/1.1");
    client.begin(0);
    let begun = Instant::now();
    server.signal(Signal::TERM);
    assert_eq!(client.end(), End::Fin);
    // The grace of a silent connection is 150 ms, and what has begun its handshake has 5 s.
    assert!(begun.elapsed() < Duration::from_secs(2), "after {:?}", begun.elapsed());
    server.drained();
}

/// A connection on which some of what a client says first was sent.
fn half_a_handshake(server: &Server) -> Client<Tls<TcpStream>> {
    let mut client = Client::on(connect(server, "http/1.1"));
    client.begin(100);
    client
}

#[test]
fn half_a_handshake_is_waited_for() {
    let server = start();
    let mut client = half_a_handshake(&server);
    server.drain();
    client.get("/hello");
    assert_eq!(client.response().text(), "hello");
    server.drained();
}

/// Waits for the bound of 5 s on a handshake.
#[test]
fn half_a_handshake_that_never_ends_does_not_hold_the_drain_for_ever() {
    let server = start();
    let mut client = half_a_handshake(&server);
    server.drain();
    assert_eq!(client.end(), End::Fin);
    server.drained();
}
