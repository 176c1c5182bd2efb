//! Hostile bytes to a real server, while it runs and when it drains: those that are known of every engine.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};

use ebbtide_pairs::hostile::{End, Engine, Seen, statuses};
use ebbtide_testkit::PATIENCE;
use ebbtide_testkit::client::Client;
use ebbtide_tests::process::{Server, Signal};

#[path = "../pairs/tests/hostile/cases.rs"]
#[allow(dead_code, reason = "why the engines differ over them is told where they are at home")]
mod cases;

const SECOND: &[u8] = b"GET /second HTTP/1.1\r\nhost: x\r\n\r\n";

/// What is known of the engine that the server is on: each input with a request behind it, and what comes of them.
fn known() -> Vec<(Vec<u8>, Seen)> {
    let server = std::env::var("EBBTIDE_SERVER").unwrap_or_default();
    let engine = if server.ends_with("h1") { Engine::H1 } else { Engine::Hyper };
    let mut known = Vec::new();
    for input in cases::all().into_iter().map(|it| it.input) {
        // The server has no tunnels, and reads the bodies of what is for `/upload`. Where more comes than there is room for at
        // a time, how much is too much depends on the pieces.
        if !input.starts_with(b"CONNECT") && input.len() < 50_000 {
            let seen = engine.sees(&[&input, SECOND].concat(), usize::MAX);
            let is_post = input.starts_with(b"POST / ");
            let input = if is_post { [b"POST /upload ", &input[7..]].concat() } else { input };
            known.push(([&input, SECOND].concat(), seen));
        }
    }
    known
}

/// Reads until there are so many responses to these requests, or to the end. Returns whether that came in order.
fn read(stream: &mut TcpStream, read: &mut Vec<u8>, requests: &[String], responses: usize) -> bool {
    let mut space = [0; 4096];
    while statuses(read, requests).len() < responses {
        match stream.read(&mut space) {
            Ok(0) => return true,
            Ok(more) => read.extend_from_slice(&space[..more]),
            Err(error) => {
                let name = read.escape_ascii();
                assert!(error.kind() == ErrorKind::ConnectionReset, "{error} after {name}, to {requests:?}");
                return false;
            }
        }
    }
    true
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect_timeout(&server.main, PATIENCE).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

#[test]
fn hostile_bytes_are_answered_on_a_socket_as_they_are_in_memory_and_nobody_else_notices() {
    let server = Server::start(&[]);
    let mut other = Client::idle(server.main);
    for (bytes, seen) in known() {
        let (mut stream, mut answered, expected) = (connect(&server), Vec::new(), seen.statuses.len());
        // A server that has refused it need not take all of it.
        let _ = stream.write_all(&bytes);
        if seen.end == End::Open {
            assert!(read(&mut stream, &mut answered, &seen.requests, expected));
            stream.shutdown(Shutdown::Write).expect("it is open");
        }
        let ended = read(&mut stream, &mut answered, &seen.requests, usize::MAX);
        let name = bytes[..bytes.len().min(200)].escape_ascii().to_string();
        assert!(ended, "{name}: a reset, after {}", answered.escape_ascii());
        let statuses = statuses(&answered, &seen.requests);
        // What was unfinished is answered once its client has said that it remains so.
        let unfinished = usize::from(seen.end == End::Open && statuses.last() == Some(&400));
        assert!(statuses.len() == expected + unfinished, "{name}: {statuses:?} instead of {:?}", seen.statuses);
        if seen.statuses.len() > seen.requests.len() {
            assert_eq!(statuses.last(), seen.statuses.last(), "{name}");
        }
        other.get("/hello");
        assert_eq!(other.response().text(), "hello", "{name}");
    }
    server.drain();
    let exit = server.exit();
    assert_eq!((exit.code, exit.stderr.contains("panicked")), (Some(0), false), "{exit:#?}");
}

#[test]
fn hostile_bytes_as_the_drain_begins_lose_nobodys_request_and_do_not_hold_it_up() {
    let server = Server::start(&[]);
    let mut upload = server.upload();
    let mut clients: Vec<_> = known().into_iter().map(|it| (connect(&server), it)).collect();
    // They are all accepted by now.
    drop(Client::idle(server.main));
    server.while_stopped(|| {
        for (stream, (bytes, _)) in &mut clients {
            // What there is no room for while it is stopped is not sent.
            stream.set_nonblocking(true).unwrap();
            let _ = stream.write(bytes);
            stream.set_nonblocking(false).unwrap();
            let _ = stream.shutdown(Shutdown::Write);
        }
        server.signal(Signal::TERM);
    });
    for (mut stream, (bytes, seen)) in clients {
        let mut answered = Vec::new();
        let name = bytes[..bytes.len().min(200)].escape_ascii().to_string();
        let ended = read(&mut stream, &mut answered, &seen.requests, usize::MAX);
        assert!(ended || bytes.len() > 4096, "{name}: a reset, after {}", answered.escape_ascii());
        let statuses = statuses(&answered, &seen.requests);
        let unfinished = usize::from(seen.end == End::Open && statuses.last() == Some(&400));
        assert!(
            statuses.len() <= seen.statuses.len() + unfinished,
            "{name}: {statuses:?} instead of {:?}",
            seen.statuses
        );
    }
    upload.send("2");
    assert_eq!(upload.response().text(), "2");
    let exit = server.exit();
    assert_eq!((exit.code, exit.stderr.contains("panicked")), (Some(0), false), "{exit:#?}");
}
