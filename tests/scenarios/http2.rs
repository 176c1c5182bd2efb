//! HTTP/2: GOAWAY in two steps, streams that complete, and what never comes.

use ebbtide_testkit::http2::{Client, EVERY_STREAM, Goaway, PREFACE};
use ebbtide_testkit::wire::{End, Wire};
use ebbtide_tests::process::{Server, Signal};

/// No deadline: what ends here, ends by itself.
const NO_DEADLINE: &[&str] = &["--drain-timeout-ms", "0"];

fn goodbye(last: u32) -> Goaway {
    Goaway { last, code: 0 }
}

/// A client with an upload in flight: its stream ends when the test says so.
fn uploading(server: &Server) -> (Client, u32) {
    let mut client = Client::connect(server.main);
    let stream = client.begin_upload();
    server.until_status("Running, 1 in flight");
    (client, stream)
}

#[test]
fn a_stream_in_flight_completes_and_the_connection_ends_behind_it() {
    let server = Server::start(&[]);
    let (mut client, stream) = uploading(&server);
    server.drain();
    client.until_goaways(2);
    assert_eq!(client.goaways, [goodbye(EVERY_STREAM), goodbye(stream)]);
    client.end_upload(stream, b"four");
    assert_eq!(client.response(stream), "4");
    assert_eq!(client.end(), End::Fin);
    server.drained();
}

#[test]
fn many_streams_in_flight_all_complete() {
    let server = Server::start(&[]);
    let mut client = Client::connect(server.main);
    let streams: Vec<_> = (0..20).map(|_| client.begin_upload()).collect();
    server.until_status("Running, 20 in flight");
    server.drain();
    client.until_goaways(2);
    for stream in streams {
        client.end_upload(stream, b"four");
        assert_eq!(client.response(stream), "4");
    }
    assert_eq!(client.end(), End::Fin);
    server.drained();
}

#[test]
fn an_idle_connection_is_told_and_ends_by_fin() {
    let server = Server::start(NO_DEADLINE);
    let mut client = Client::connect(server.main);
    let stream = client.get("/hello");
    assert_eq!(client.response(stream), "hello");
    server.signal(Signal::TERM);
    assert_eq!(client.end(), End::Fin);
    assert_eq!(client.goaways.first(), Some(&goodbye(EVERY_STREAM)));
    server.drained();
}

#[test]
fn a_connection_that_has_said_nothing_but_its_preface_is_told_and_ends_by_fin() {
    let server = Server::start(NO_DEADLINE);
    let mut client = Client::connect(server.main);
    client.until_settled();
    server.signal(Signal::TERM);
    assert_eq!(client.end(), End::Fin);
    assert_eq!(client.goaways.first(), Some(&goodbye(EVERY_STREAM)));
    server.drained();
}

#[test]
fn a_stream_opened_before_the_second_goaway_is_served() {
    let server = Server::start(&[]);
    let (mut client, first) = uploading(&server);
    client.ignore_pings();
    server.drain();
    client.until_goaways(1);
    let second = client.get("/hello");
    assert_eq!(client.response(second), "hello");

    client.answer_pings();
    client.until_goaways(2);
    assert_eq!(client.goaways, [goodbye(EVERY_STREAM), goodbye(second)]);
    client.end_upload(first, b"four");
    assert_eq!(client.response(first), "4");
    assert_eq!(client.end(), End::Fin);
    server.drained();
}

#[test]
fn a_stream_opened_after_the_second_goaway_is_not_served() {
    let server = Server::start(&[]);
    let (mut client, first) = uploading(&server);
    server.drain();
    client.until_goaways(2);
    let late = client.get("/hello");
    client.end_upload(first, b"four");
    assert_eq!(client.response(first), "4");
    assert_eq!(client.end(), End::Fin);
    assert!(!client.knows(late));
    server.drained();
}

#[test]
fn a_request_that_crosses_the_signal_is_answered() {
    let server = Server::start(&[]);
    let mut client = Client::connect(server.main);
    client.until_settled();
    let mut stream = 0;
    server.while_stopped(|| {
        server.signal(Signal::TERM);
        stream = client.get("/hello");
    });
    assert_eq!(client.response(stream), "hello");
    assert_eq!(client.end(), End::Fin);
    server.drained();
}

#[test]
fn half_a_preface_is_waited_for() {
    let server = Server::start(&[]);
    let mut wire = Wire::connect(server.main).expect("it listens");
    let (half, rest) = PREFACE.split_at(10);
    wire.send(half);
    server.drain();
    let mut client = Client::begin(wire, rest);
    let stream = client.get("/hello");
    assert_eq!(client.response(stream), "hello");
    assert_eq!(client.end(), End::Fin);
    server.drained();
}

/// Waits for the bounds of 5 s on half a preface, on a window that stays closed and on a PING without an answer.
#[test]
fn a_client_that_does_not_do_its_part_does_not_hold_the_drain_for_ever() {
    let server = Server::start(NO_DEADLINE);
    let mut wire = Wire::connect(server.main).expect("it listens");
    wire.send(&PREFACE[..10]);
    let mut closed = Client::connect(server.main);
    // More than the window that every stream begins with: RFC 9113, section 6.9.2.
    let _ = closed.get("/big?bytes=1000000");
    server.until_status("Running, 1 in flight");
    let mut client = Client::connect(server.main);
    client.ignore_pings();
    client.until_settled();
    server.drain();
    closed.until_goaways(2);
    client.until_goaways(1);
    let cut = server.cut();
    assert!(cut.ends_with("cut because its client took or sent nothing for too long: 1"), "{cut}");
}

#[test]
fn a_stream_that_its_client_gives_up_does_not_hold_the_drain() {
    let server = Server::start(NO_DEADLINE);
    let mut client = Client::connect(server.main);
    let stream = client.get("/slow?ms=600000");
    server.until_status("Running, 1 in flight");
    server.drain();
    client.until_goaways(2);
    client.reset(stream);
    assert_eq!(client.end(), End::Fin);
    server.drained();
}

#[test]
fn a_client_that_goes_away_does_not_hold_the_drain() {
    let server = Server::start(NO_DEADLINE);
    let mut client = Client::connect(server.main);
    let _ = client.get("/slow?ms=600000");
    server.until_status("Running, 1 in flight");
    server.drain();
    drop(client);
    server.drained();
}

#[test]
fn a_handler_that_panics_is_not_waited_for() {
    let server = Server::start(NO_DEADLINE);
    let mut client = Client::connect(server.main);
    let _ = client.get("/panic?ms=1000");
    server.until_status("Running, 1 in flight");
    server.drain();
    assert_eq!(client.end(), End::Fin);
    server.drained();
}

#[test]
fn the_deadline_cuts_a_stream_that_is_left() {
    let server = Server::start(&["--drain-timeout-ms", "300"]);
    let mut client = Client::connect(server.main);
    let stream = client.get("/slow?ms=600000");
    server.until_status("Running, 1 in flight");
    server.signal(Signal::TERM);
    let _ = client.end();
    assert!(!client.knows(stream));
    let report = server.cut();
    assert!(report.contains("GET /slow"), "{report}");
}
