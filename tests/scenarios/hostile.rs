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

/// Sends this to a server on which an input is answered as it is in memory, and reads to the end. If the server `closes`
/// meanwhile, it may say so with a response, and answer no more behind it.
fn put(server: &Server, bytes: &[u8], seen: &Seen, closes: bool) {
    let (mut stream, mut answered, expected) = (connect(server), Vec::new(), seen.statuses.len());
    // A server that has refused it need not take all of it.
    let _ = stream.write_all(bytes);
    if seen.end == End::Open {
        assert!(read(&mut stream, &mut answered, &seen.requests, expected));
        let shut = stream.shutdown(Shutdown::Write);
        assert!(closes || shut.is_ok(), "it is open");
    }
    let ended = read(&mut stream, &mut answered, &seen.requests, usize::MAX);
    let name = bytes[..bytes.len().min(200)].escape_ascii().to_string();
    assert!(ended, "{name}: a reset, after {}", answered.escape_ascii());
    let statuses = statuses(&answered, &seen.requests);
    if closes && statuses.len() < expected && says_close(&answered) {
        return;
    }
    // What was unfinished is answered once its client has said that it remains so.
    let unfinished = usize::from(seen.end == End::Open && statuses.last() == Some(&400));
    assert!(statuses.len() == expected + unfinished, "{name}: {statuses:?} instead of {:?}", seen.statuses);
    if seen.statuses.len() > seen.requests.len() {
        assert_eq!(statuses.last(), seen.statuses.last(), "{name}");
    }
}

/// Whether the last of these responses is one behind which there is none.
fn says_close(answered: &[u8]) -> bool {
    let answered = String::from_utf8_lossy(answered).to_ascii_lowercase();
    answered.rsplit("http/1.").next().is_some_and(|last| last.contains("\r\nconnection: close\r\n"))
}

/// Waits for the end, which is to be a drain that cut nothing and a server that never panicked.
fn drained(server: Server) {
    let exit = server.exit();
    assert_eq!((exit.code, exit.stderr.contains("panicked")), (Some(0), false), "{exit:#?}");
}

#[test]
fn hostile_bytes_are_answered_on_a_socket_as_they_are_in_memory_and_nobody_else_notices() {
    let server = Server::start(&[]);
    let mut other = Client::idle(server.main);
    for (bytes, seen) in known() {
        put(&server, &bytes, &seen, false);
        other.get("/hello");
        assert_eq!(other.response().text(), "hello", "{}", bytes.escape_ascii());
    }
    server.drain();
    drained(server);
}

#[test]
fn hostile_bytes_in_the_lame_duck_time_are_answered_as_before_it_and_nobody_else_notices() {
    // Longer than it takes, and ended by the second signal.
    let server = Server::start(&["--ready-delay-ms", "600000"]);
    let (mut other, mut upload) = (Client::idle(server.main), server.upload());
    server.drain();
    for (bytes, seen) in known() {
        put(&server, &bytes, &seen, true);
        other.get("/hello");
        let response = other.response();
        assert_eq!(response.text(), "hello", "{}", bytes.escape_ascii());
        if response.says_close() {
            other = Client::connect(server.main);
        }
    }
    assert_eq!(server.ask("/ready").map(|it| it.status), Some(503), "the lame duck time is not over");
    server.signal(Signal::INT);
    // What is cut is told, and it is the upload alone: with a 503, if at all.
    upload.expect_cut();
    let exit = server.exit();
    let cut = exit.stdout.last().expect("a report");
    assert_eq!((exit.code, exit.stderr.contains("panicked")), (Some(1), false), "{exit:#?}");
    assert!(cut.contains("POST /upload"), "{cut}");
}

#[test]
fn hostile_bytes_in_the_lame_duck_time_do_not_hold_up_the_drain_behind_it() {
    // However much of it the server reads before that time is over.
    let server = Server::start(&["--ready-delay-ms", "500", "--drain-timeout-ms", "0"]);
    let mut upload = server.upload();
    let mut clients: Vec<_> = known().into_iter().map(|it| (connect(&server), it)).collect();
    drop(Client::idle(server.main));
    server.signal(Signal::TERM);
    for (stream, (bytes, _)) in &mut clients {
        stream.set_nonblocking(true).unwrap();
        let _ = stream.write(bytes);
        stream.set_nonblocking(false).unwrap();
        let _ = stream.shutdown(Shutdown::Write);
    }
    server.until_refused();
    ended(clients);
    upload.send("2");
    assert_eq!(upload.response().text(), "2");
    drained(server);
}

/// Reads each to its end, which comes in order. None has more answers than in memory.
fn ended(clients: Vec<(TcpStream, (Vec<u8>, Seen))>) {
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
    ended(clients);
    upload.send("2");
    assert_eq!(upload.response().text(), "2");
    drained(server);
}

/// Bytes of memory that a hostile client may leave behind: what the least of it would cost if any were kept is a connection's
/// buffer, some kilobytes.
#[cfg(target_os = "linux")]
const KEPT: usize = 1024;

#[cfg(target_os = "linux")]
#[test]
fn hostile_bytes_leave_no_descriptor_and_no_memory_behind() {
    let server = Server::start(&[]);
    let client = Client::idle(server.main);
    let (known, idle) = (known(), server.descriptors() - 1);
    drop(client);
    let rounds = |count: usize| {
        for _ in 0..count {
            // Those of one round at a time, so that what a crowd takes is there before as after.
            let streams: Vec<_> = known
                .iter()
                .map(|(bytes, _)| {
                    let mut stream = connect(&server);
                    let _ = stream.write_all(bytes);
                    let _ = stream.shutdown(Shutdown::Write);
                    stream
                })
                .collect();
            for mut stream in streams {
                let _ = stream.read_to_end(&mut Vec::new());
            }
        }
        (server.until_descriptors(idle), server.resident())
    };
    let (before, after) = (rounds(10), rounds(20));
    assert_eq!((before.0, after.0), (idle, idle));
    let grown = after.1.saturating_sub(before.1);
    assert!(grown < KEPT * 20 * known.len(), "{grown} bytes by {} clients", 20 * known.len());
    server.drain();
    drained(server);
}
