//! The classic programs, each run as a process, with real sockets and signals.
#![cfg(unix)]

mod process;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

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

/// Waits until the port refuses.
fn refused(address: &str) {
    let since = Instant::now();
    while TcpStream::connect(address).map_err(|error| error.kind()).err() != Some(ErrorKind::ConnectionRefused) {
        assert!(since.elapsed() < PATIENCE, "{address} still listens");
    }
}

#[test]
fn hello_waits_for_its_slow_request() {
    let mut hello = Process::run("hello", &[ANY]);
    let address = hello.says("listening on http://");
    let request = get(&address, "/", "keep-alive");
    hello.send(Signal::TERM);
    refused(&address);
    let answer = answer(request);
    has(&answer, "200", "\r\n\r\nhello\n");
    assert!(answer.contains("connection: close\r\n"), "{answer:?}");
    hello.says("drained");
    assert!(hello.end().0.success());
}

#[test]
fn hello_is_forced_by_the_second_signal_and_says_so() {
    let mut hello = Process::run("hello", &[ANY]);
    let address = hello.says("listening on http://");
    let mut request = get(&address, "/", "close");
    hello.send(Signal::INT);
    refused(&address);
    hello.send(Signal::INT);
    let (status, errors) = hello.end();
    assert_eq!(status.code(), Some(1));
    assert!(errors.contains("Overdue"), "{errors}");
    assert_eq!(request.read(&mut [0; 16]).unwrap_or(0), 0, "it was cut");
}
