//! The classic programs, each run as a process, with real sockets and signals.
#![cfg(unix)]

mod process;

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use hyper_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use hyper_tungstenite::tungstenite::{self, Message, WebSocket};
use process::{PATIENCE, Process};
use rustix::process::Signal;

/// A port of the system's choice.
const ANY: &str = "127.0.0.1:0";

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a duration that is not zero");
    stream
}

fn get(address: &str, path: &str, connection: &str) -> TcpStream {
    let mut stream = connect(address);
    write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: {connection}\r\n\r\n").expect("it reads");
    stream
}

/// The rest of the stream.
fn answer(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an end, not a reset");
    answer
}

fn has(answer: &str, status: &str, end: &str) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.ends_with(end), "{answer:?}");
}

/// What was cut has no response, or one that says so: whether that is said before the process is gone is a race here.
fn cut(mut stream: TcpStream) {
    let mut answer = String::new();
    let _or_a_reset = stream.read_to_string(&mut answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 503 "), "it was cut: {answer:?}");
}

/// Waits until the port refuses.
fn refused(address: &str) {
    let since = Instant::now();
    while TcpStream::connect(address).map_err(|error| error.kind()).err() != Some(ErrorKind::ConnectionRefused) {
        assert!(since.elapsed() < PATIENCE, "{address} still listens");
    }
}

fn ends_well(mut server: Process) {
    let (status, outcome) = server.end();
    assert!(status.success() && outcome.starts_with("drained in "), "{status}, {outcome}");
}

#[test]
fn hello_waits_for_its_slow_request() {
    let hello = Process::run("hello", &[ANY]);
    let address = hello.says("hello: listening on ");
    let request = get(&address, "/", "keep-alive");
    hello.send(Signal::TERM);
    refused(&address);
    let answer = answer(request);
    has(&answer, "200", "\r\n\r\nhello\n");
    assert!(answer.contains("connection: close\r\n"), "{answer:?}");
    ends_well(hello);
}

#[test]
fn hello_is_forced_by_the_second_signal_and_says_so() {
    let mut hello = Process::run("hello", &[ANY]);
    let address = hello.says("hello: listening on ");
    let request = get(&address, "/", "close");
    let client = request.local_addr().expect("connected").to_string();
    hello.send(Signal::INT);
    refused(&address);
    // Another one: the same within 100 ms would be a repeat.
    hello.send(Signal::TERM);
    let (status, errors) = hello.end();
    assert_eq!(status.code(), Some(1));
    // Beside it there may be connections by which it was asked whether it still listens.
    assert!(errors.starts_with("closed by force after ") && errors.contains(&client), "{errors}");
    cut(request);
}

#[test]
fn lines_that_were_sent_before_the_drain_are_answered() {
    let lines = Process::run("lines", &[ANY]);
    let address = lines.says("lines: listening on ");
    let mut client = connect(&address);
    writeln!(client, "hello").expect("it reads");
    let mut hello = [0; 6];
    client.read_exact(&mut hello).expect("it answers");
    let many = "line\n".repeat(10);
    client.write_all(many.as_bytes()).expect("it reads");
    lines.send(Signal::TERM);
    assert_eq!(answer(client), many.to_uppercase() + "goodbye\n");
    ends_well(lines);
}

#[test]
fn lines_of_a_client_that_goes_on_and_on_end_with_the_grace() {
    let mut lines = Process::run("lines", &[ANY]);
    let mut client = connect(&lines.says("lines: listening on "));
    let mut answers = client.try_clone().expect("a socket");
    let reads = std::thread::spawn(move || {
        let mut answer = Vec::new();
        // It ends with a goodbye, or with a reset, for there was more to read.
        let _ = answers.read_to_end(&mut answer);
        answer.len()
    });
    lines.send(Signal::TERM);
    while client.write_all(b"and on\n").is_ok() {}
    assert!(lines.end().0.success());
    assert!(reads.join().expect("no panic") > 0);
}

#[test]
fn deadline_answers_what_takes_less() {
    let mut server = Process::run("deadline", &[ANY]);
    let request = get(&server.says("listening on http://"), "/1", "close");
    server.send(Signal::TERM);
    has(&answer(request), "200", "worked for 1 s\n");
    server.says("drain: done");
    assert!(server.end().0.success());
}

#[test]
fn deadline_cuts_what_takes_more_and_says_so() {
    let mut server = Process::run("deadline", &[ANY]);
    let request = get(&server.says("listening on http://"), "/60", "close");
    let since = Instant::now();
    server.send(Signal::INT);
    let (status, errors) = server.end();
    assert!(since.elapsed() >= Duration::from_secs(3), "{:?}", since.elapsed());
    assert!(errors.starts_with("deadline: closed by force: "), "{errors}");
    assert_eq!(status.code(), Some(1));
    cut(request);
}

/// What a count by hand gets wrong: each of these would leave something to wait for until the deadline.
#[test]
fn deadline_waits_for_nobody_who_is_gone_or_says_nothing() {
    let mut server = Process::run("deadline", &[ANY]);
    let address = server.says("listening on http://");
    has(&answer(get(&address, "/0", "close")), "200", "worked for 0 s\n");
    let mut malformed = connect(&address);
    malformed.write_all(b"this is not HTTP\r\n\r\n").expect("it reads");
    has(&answer(malformed), "400", "\r\n\r\n");
    drop(get(&address, "/60", "close"));
    let _silent = connect(&address);
    let _idle = get(&address, "/0", "keep-alive");
    server.send(Signal::TERM);
    let (status, errors) = server.end();
    assert!(status.success(), "{errors}");
}

#[test]
fn deadline_refuses_a_second_start() {
    let mut server = Process::run("deadline", &[ANY, "start", "start"]);
    server.says("start: done");
    let (status, errors) = server.end();
    assert_eq!(status.code(), Some(1));
    assert!(errors.starts_with("deadline: Address already in use"), "{errors}");
}

#[test]
fn deadline_refuses_a_start_after_the_drain() {
    let mut server = Process::run("deadline", &[ANY, "start", "drain", "start"]);
    server.says("drain: done");
    let (status, errors) = server.end();
    assert_eq!(status.code(), Some(1));
    assert_eq!(errors, "deadline: the drain has begun, nothing starts any more\n");
}

#[test]
fn deadline_has_nothing_to_wait_for_before_the_start() {
    let mut server = Process::run("deadline", &[ANY, "drain", "drain"]);
    server.says("drain: done");
    server.says("drain: done");
    assert!(server.end().0.success());
}

fn two_servers() -> (Process, [String; 2]) {
    let servers = Process::run("two_servers", &[ANY, ANY]);
    // What is to end last starts first.
    let diagnostics = servers.says("diagnostics: listening on ");
    let addresses = [servers.says("main: listening on "), diagnostics];
    (servers, addresses)
}

#[test]
fn two_servers_drain_the_main_one_first_and_are_not_ready_meanwhile() {
    let (mut servers, [main, diagnostics]) = two_servers();
    has(&answer(get(&diagnostics, "/ready", "close")), "200", "ready\n");
    let request = get(&main, "/2", "keep-alive");
    servers.send(Signal::TERM);
    assert_eq!(servers.says("draining: "), "SIGTERM");
    refused(&main);
    has(&answer(get(&diagnostics, "/ready", "close")), "503", "draining: SIGTERM\n");
    has(&answer(get(&diagnostics, "/live", "close")), "200", "alive\n");
    has(&answer(request), "200", "worked for 2 s\n");
    assert!(servers.end().0.success());
}

#[test]
fn two_servers_have_one_deadline() {
    let (mut servers, [main, _]) = two_servers();
    let request = get(&main, "/60", "close");
    servers.send(Signal::INT);
    let (status, errors) = servers.end();
    assert_eq!(status.code(), Some(1));
    assert!(
        errors.starts_with("closed by force after 4.9")
            && errors.contains("main: closed by force: 1 guard was still held (127.0.0.1:"),
        "{errors}"
    );
    cut(request);
}

#[test]
fn two_servers_say_which_port_is_taken() {
    let taken = TcpListener::bind(ANY).and_then(|listener| Ok((listener.local_addr()?.to_string(), listener)));
    let (taken, _listener) = taken.expect("a port");
    for (arguments, who) in [([taken.as_str(), ANY], "main"), ([ANY, taken.as_str()], "diagnostics")] {
        let since = Instant::now();
        let (status, errors) = Process::run("two_servers", &arguments).end();
        assert_eq!(status.code(), Some(2));
        assert!(
            errors.starts_with(&format!("did not start: {who} failed: {taken}: Address already in use")),
            "{errors}"
        );
        assert!(since.elapsed() < Duration::from_secs(5), "nothing was to be waited for");
    }
}

/// A listener that fails in mid-life: its socket is taken out of the process and shut down.
#[cfg(target_os = "linux")]
#[test]
fn two_servers_end_together_when_either_fails() {
    for broken in [0, 1] {
        let (mut servers, addresses) = two_servers();
        let request = get(&addresses[0], "/1", "close");
        // Only once the request was accepted: what is in the queue goes down with the listener.
        has(&answer(get(&addresses[0], "/0", "close")), "200", "worked for 0 s\n");
        break_listener(&servers, &addresses[broken]);
        has(&answer(request), "200", "worked for 1 s\n");
        let (status, errors) = servers.end();
        assert_eq!(status.code(), Some(1));
        let who = ["main", "diagnostics"][broken];
        assert!(errors.starts_with(&format!("{who} failed: Invalid argument")), "{errors}");
    }
}

#[cfg(target_os = "linux")]
fn break_listener(process: &Process, address: &str) {
    use rustix::net::{Shutdown, getsockname, shutdown, sockopt::socket_acceptconn};
    use rustix::process::{ForeignRawFd, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
    let pidfd = pidfd_open(process.pid(), PidfdFlags::empty()).expect("a child");
    let theirs = (3..64).filter_map(|fd: ForeignRawFd| pidfd_getfd(&pidfd, fd, PidfdGetfdFlags::empty()).ok());
    let mut listeners = theirs.filter(|fd| socket_acceptconn(fd) == Ok(true));
    let at = |fd: &_| getsockname(fd).ok().and_then(|it| std::net::SocketAddr::try_from(it).ok());
    let listener = listeners.find(|fd| at(fd).is_some_and(|it| it.to_string() == address));
    shutdown(listener.expect("it listens"), Shutdown::Both).expect("it is a socket");
}

fn open_socket(server: &Process) -> WebSocket<TcpStream> {
    let address = server.says("ws: listening on ");
    let (mut socket, _) = tungstenite::client(format!("ws://{address}/"), connect(&address)).expect("it upgrades");
    socket.send("hello".into()).expect("it reads");
    assert_eq!(socket.read().expect("an echo"), Message::text("hello"));
    socket
}

fn told(socket: &mut WebSocket<TcpStream>) {
    let Message::Close(Some(goodbye)) = socket.read().expect("a goodbye") else { panic!("not a goodbye") };
    assert_eq!(goodbye.code, CloseCode::Away);
}

#[test]
fn websocket_is_told_and_its_answer_awaited() {
    let mut server = Process::run("websocket", &[ANY]);
    let mut socket = open_socket(&server);
    let since = Instant::now();
    server.send(Signal::TERM);
    told(&mut socket);
    assert!(server.is_running(), "our answer is still to come");
    assert!(matches!(socket.read(), Err(tungstenite::Error::ConnectionClosed)), "it closes well, once answered");
    ends_well(server);
    assert!(since.elapsed() < Duration::from_secs(3), "it waited for the answer, not for its bound");
}

#[test]
fn websocket_that_never_answers_is_waited_for_no_longer_than_its_bound() {
    let server = Process::run("websocket", &[ANY]);
    let socket = open_socket(&server);
    let since = Instant::now();
    server.send(Signal::TERM);
    ends_well(server);
    assert!(since.elapsed() >= Duration::from_secs(3), "{:?}", since.elapsed());
    drop(socket);
}

#[test]
fn websocket_server_answers_a_plain_request() {
    let mut server = Process::run("websocket", &[ANY]);
    has(&answer(get(&server.says("ws: listening on "), "/", "close")), "426", "this is a WebSocket\n");
    server.send(Signal::TERM);
    assert!(server.end().0.success());
}

/// The line of this client in this state, up to its counts.
fn stands(server: &Process, client: &TcpStream, state: &str) -> String {
    let address = client.local_addr().expect("connected").to_string();
    let line = server.says(&format!("{address}: {state}"));
    line.rsplit_once("  ").map_or(line.clone(), |(_, counts)| counts.to_owned())
}

#[test]
fn connection_states_are_all_told_and_the_counts_are_right_whatever_the_clients_do() {
    let mut server = Process::run("connection_states", &[ANY]);
    let address = server.says("server: listening on ");

    let mut nonsense = connect(&address);
    assert_eq!(stands(&server, &nonsense, "new"), "(1 new, 0 active, 0 idle, 0 upgraded)");
    nonsense.write_all(b"nonsense\r\n\r\n").expect("it reads");
    assert_eq!(stands(&server, &nonsense, "active"), "(0 new, 1 active, 0 idle, 0 upgraded)");
    assert_eq!(stands(&server, &nonsense, "closed"), "(0 new, 0 active, 0 idle, 0 upgraded)");

    let leaves = get(&address, "/", "close");
    assert_eq!(stands(&server, &leaves, "closed"), "(0 new, 0 active, 0 idle, 0 upgraded)");

    let stays = get(&address, "/", "keep-alive");
    assert_eq!(stands(&server, &stays, "idle"), "(0 new, 0 active, 1 idle, 0 upgraded)");

    let mut echo = connect(&address);
    echo.write_all(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n").expect("it reads");
    assert_eq!(stands(&server, &echo, "upgraded"), "(0 new, 0 active, 1 idle, 1 upgraded)");

    server.send(Signal::TERM);
    assert_eq!(stands(&server, &stays, "closed"), "(0 new, 0 active, 0 idle, 1 upgraded)");
    assert!(server.is_running(), "it waits for the upgraded one");
    drop(echo);
    ends_well(server);
}
