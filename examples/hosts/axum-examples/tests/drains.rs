//! Each of the programs as a process with its line changed, which is drained by `SIGTERM` in the middle of its work.
#![cfg(unix)]

#[path = "../../../tests/process/mod.rs"]
mod process;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use ebbtide_testkit::client::Client;
use ebbtide_testkit::tls::{Identity, Tls};
use process::Process;
use rustix::process::Signal;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Message, WebSocket};

fn run(form: &str, name: &str, arguments: &[&str]) -> (Process, String) {
    let program = env!("CARGO_BIN_EXE_ebbtide-axum-examples");
    let process = Process::run(program, &[&[form, name], arguments].concat());
    let address = process.says("listening on ");
    (process, address)
}

/// On a port of the system's choice.
fn on_a_port(form: &str, name: &str) -> (Process, SocketAddr) {
    let (process, address) = run(form, name, &["127.0.0.1:0"]);
    (process, address.parse().expect("an address"))
}

fn ends_well(mut process: Process) {
    let (status, errors) = process.end();
    assert!(status.success(), "{status}: {errors}");
}

/// Asks for what is not there: once that is said, the program listens to signals, too.
fn asks<S: Read + Write>(mut client: Client<S>) -> Client<S> {
    client.get("/nothing");
    assert_eq!(client.response().status, 404);
    client
}

/// Waits until the port refuses.
fn refused(addr: SocketAddr) {
    while Client::reach(addr).is_ok() {}
}

/// A directory of a test's own, which goes with it.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ebbtide-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

#[test]
fn each_program_differs_from_its_form_on_axum_in_one_line() {
    let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs");
    let mut count = 0;
    for program in fs::read_dir(programs).expect("it is there") {
        let path = program.expect("a file").path();
        let name = path.file_name().expect("a file");
        let [axum, ebbtide] =
            [&path, &Path::new(env!("OUT_DIR")).join(name)].map(|it| fs::read_to_string(it).expect("text"));
        assert_eq!(axum.lines().count(), ebbtide.lines().count(), "{name:?}");
        let changed: Vec<_> = axum.lines().zip(ebbtide.lines()).filter(|(axum, ebbtide)| axum != ebbtide).collect();
        let [(axum, ebbtide)] = *changed else { panic!("{name:?}: {changed:?}") };
        assert!(axum.contains("axum") && ebbtide.contains("ebbtide_axum"), "{name:?}: {axum}{ebbtide}");
        count += 1;
    }
    assert_eq!(count, 6);
}

#[test]
fn graceful_shutdown_answers_the_slow_request_and_waits_for_nobody_who_says_nothing() {
    let (process, addr) = on_a_port("ebbtide", "graceful_shutdown");
    let mut slow = asks(Client::connect(addr));
    slow.get("/slow");
    let mut half = ebbtide_testkit::wire::Wire::connect(addr).expect("it listens");
    half.send("GET / HTTP/1.1\r\nHos");
    let _silent = TcpStream::connect(addr).expect("it listens");
    process.send(Signal::TERM);
    refused(addr);
    slow.expect_last("");
    ends_well(process);
}

/// The messages that are left, and how it ends.
fn rest(socket: &mut WebSocket<TcpStream>) -> (usize, Option<Message>) {
    let mut count = 0;
    loop {
        match socket.read() {
            Ok(Message::Text(_)) => count += 1,
            Ok(close @ Message::Close(_)) => return (count, Some(close)),
            Ok(_) => {}
            Err(_) => return (count, None),
        }
    }
}

fn websocket(addr: SocketAddr) -> WebSocket<TcpStream> {
    let stream = Client::connect(addr).into_stream();
    tungstenite::client(format!("ws://{addr}/ws"), stream).expect("upgraded").0
}

#[test]
fn websockets_are_waited_for_to_their_close_frame() {
    let (process, addr) = on_a_port("ebbtide", "websockets");
    let mut socket = websocket(addr);
    assert!(socket.read().expect("open").is_text());
    process.send(Signal::TERM);
    refused(addr);
    let (count, end) = rest(&mut socket);
    let Some(Message::Close(Some(close))) = end else { panic!("after {count}: {end:?}") };
    assert_eq!((count, close.code, close.reason.as_str()), (9, CloseCode::Normal, "that was all"));
    drop(socket);
    ends_well(process);
}

#[test]
fn websockets_are_killed_in_the_form_on_axum() {
    let (mut process, addr) = on_a_port("axum", "websockets");
    let mut socket = websocket(addr);
    assert!(socket.read().expect("open").is_text());
    process.send(Signal::TERM);
    assert_eq!(rest(&mut socket).1, None);
    assert!(!process.end().0.success());
}

#[tokio::test]
async fn websockets_http2_are_waited_for() {
    use futures_util::{SinkExt, StreamExt};
    use http_body_util::Empty;
    use hyper::body::Bytes;
    use hyper::client::conn::http2;
    use hyper::ext::Protocol;
    use hyper::{Method, Request, StatusCode, Version};
    use hyper_tungstenite::HyperWebsocketStream;
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use tungstenite::protocol::Role;

    let (process, addr) = on_a_port("ebbtide", "websockets_http2");
    let stream = tokio::net::TcpStream::connect(addr).await.expect("it listens");
    let (mut client, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("HTTP/2");
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
    let mut socket = HyperWebsocketStream::from_raw_socket(upgraded, Role::Client, None).await;
    process.send(Signal::TERM);
    tokio::task::spawn_blocking(move || refused(addr)).await.expect("no panic");
    // The room goes on, until its last one leaves.
    socket.send("still there?".into()).await.expect("open");
    assert_eq!(socket.next().await.expect("open").expect("open"), "HTTP/2.0 still there?".into());
    socket.close(None).await.expect("open");
    while socket.next().await.is_some() {}
    drop((socket, client));
    ends_well(process);
}

#[test]
fn sse_ends_in_order_and_says_when_to_come_back() {
    let (process, addr) = on_a_port("ebbtide", "sse");
    let mut client = Client::connect(addr);
    client.get("/sse");
    client.see("data: hello\n\n");
    process.send(Signal::TERM);
    // Complete: its last chunk has come.
    let response = client.response();
    let last = response.text().trim_end().rsplit("\n\n").next().expect("an event");
    let retry: Option<u64> = last.strip_prefix("retry: ").and_then(|it| it.parse().ok());
    assert!(retry.is_some_and(|it| (1000..5000).contains(&it)), "{last:?}");
    client.expect_fin();
    ends_well(process);
}

#[test]
fn unix_domain_socket_answers_the_slow_request() {
    let directory = Directory::new("axum-examples-unix");
    let path = directory.0.join("socket");
    let (process, _) = run("ebbtide", "unix_domain_socket", &[path.to_str().expect("text")]);
    let mut client = asks(Client::over(UnixStream::connect(&path).expect("it listens")));
    client.get("/");
    process.send(Signal::TERM);
    client.expect_last(&format!("hello, process {}", std::process::id()));
    ends_well(process);
}

#[test]
fn tls_rustls_answers_the_slow_request_in_order() {
    let (identity, directory) = (Identity::new(), Directory::new("axum-examples-tls"));
    // The certificate and its key.
    let pem = directory.0.join("identity.pem");
    fs::write(&pem, identity.pem()).expect("written");
    let pem = pem.to_str().expect("text");
    let (process, address) = run("ebbtide", "tls_rustls", &[pem, pem, "127.0.0.1:0"]);
    let addr: SocketAddr = address.parse().expect("an address");
    let stream = TcpStream::connect(addr).expect("it listens");
    let mut client = asks(Client::over(Tls::over(stream, identity.client(&["http/1.1"]))));
    client.get("/slow");
    // In the middle of its handshake.
    let _silent = TcpStream::connect(addr).expect("it listens");
    process.send(Signal::TERM);
    client.expect_last("");
    ends_well(process);
}
