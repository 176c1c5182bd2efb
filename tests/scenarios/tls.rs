//! The same through TLS.

use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use ebbtide_testkit::client::Client;
use ebbtide_testkit::http2::{self, PREFACE};
use ebbtide_testkit::wire::{End, Wire};
use ebbtide_tests::process::{Server, Signal};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

type Stream = StreamOwned<ClientConnection, TcpStream>;

/// A certificate for `localhost`, its own authority, with its key.
struct Identity {
    pem: String,
    root: CertificateDer<'static>,
}

fn identity() -> &'static Identity {
    static IDENTITY: OnceLock<Identity> = OnceLock::new();
    IDENTITY.get_or_init(|| {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        Identity { pem: made.cert.pem() + &made.signing_key.serialize_pem(), root: made.cert.into() }
    })
}

fn start() -> Server {
    let name = format!("{}-{:?}.pem", std::process::id(), std::thread::current().id());
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&file, &identity().pem).expect("a writable directory");
    let path = file.to_str().expect("UTF-8");
    let server = Server::start(&["--tls-addr", "127.0.0.1:0", "--tls-cert", path, "--tls-key", path]);
    std::fs::remove_file(&file).expect("no longer needed");
    server
}

/// A connection that has not begun its handshake: that comes with the first byte written.
fn connect(server: &Server, protocol: &str) -> Stream {
    let mut roots = RootCertStore::empty();
    roots.add(identity().root.clone()).expect("a certificate");
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![protocol.into()];
    let name = "localhost".try_into().expect("a name");
    let session = ClientConnection::new(Arc::new(config), name).expect("a session");
    let wire = Wire::connect(server.tls.expect("asked for")).expect("it listens");
    StreamOwned::new(session, wire.into_stream())
}

#[test]
fn a_request_in_flight_completes_and_the_session_ends_in_order() {
    let server = start();
    let mut client = Client::over(connect(&server, "http/1.1"));
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
    let mut client = http2::Client::begin(Wire::over(connect(&server, "h2")), PREFACE);
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
    let mut client = Client::over(connect(&server, "http/1.1"));
    client.get("/hello");
    assert_eq!(client.response().text(), "hello");
    server.signal(Signal::TERM);
    assert_eq!(client.end(), End::Fin);
    server.drained();
}

#[test]
fn an_idle_connection_of_http2_is_told_and_its_session_ends_in_order() {
    let server = start();
    let mut client = http2::Client::begin(Wire::over(connect(&server, "h2")), PREFACE);
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
    let mut stream = connect(&server, "http/1.1");
    server.while_stopped(|| {
        server.signal(Signal::TERM);
        stream.conn.write_tls(&mut stream.sock).expect("the first flight");
    });
    let mut client = Client::over(stream);
    client.get("/hello");
    assert_eq!(client.response().text(), "hello");
    assert_eq!(client.end(), End::Fin);
    server.drained();
}

#[test]
fn a_connection_without_a_handshake_does_not_hold_the_drain() {
    let server = start();
    let stream = connect(&server, "http/1.1");
    server.signal(Signal::TERM);
    assert_eq!(Wire::over(stream.sock).end(), End::Fin);
    server.drained();
}

/// A connection on which half of the first flight was sent, and the other half.
fn half_a_handshake(server: &Server) -> (Stream, Vec<u8>) {
    let mut stream = connect(server, "http/1.1");
    let mut hello = Vec::new();
    stream.conn.write_tls(&mut hello).expect("the first flight");
    let rest = hello.split_off(hello.len() / 2);
    stream.sock.write_all(&hello).expect("open");
    (stream, rest)
}

#[test]
fn half_a_handshake_is_waited_for() {
    let server = start();
    let (mut stream, rest) = half_a_handshake(&server);
    server.drain();
    stream.sock.write_all(&rest).expect("open");
    let mut client = Client::over(stream);
    client.get("/hello");
    assert_eq!(client.response().text(), "hello");
    server.drained();
}

/// Waits for the bound of 5 s on a handshake.
#[test]
fn half_a_handshake_that_never_ends_does_not_hold_the_drain_for_ever() {
    let server = start();
    let (stream, _) = half_a_handshake(&server);
    server.drain();
    assert_eq!(Wire::over(stream.sock).end(), End::Fin);
    server.drained();
}
