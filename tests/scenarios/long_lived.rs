//! What does not end by itself: a WebSocket, a stream of events, background work.

use std::net::TcpStream;
use std::time::Duration;

use ebbtide_testkit::client::Client;
use ebbtide_tests::process::{Server, Signal};
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Message, WebSocket};

type Socket = WebSocket<TcpStream>;

/// A WebSocket that has echoed.
fn websocket(server: &Server) -> Socket {
    let mut socket = upgrade(Client::connect(server.main));
    socket.send(Message::text("first")).expect("open");
    assert_eq!(socket.read().expect("an echo"), Message::text("first"));
    socket
}

fn upgrade(client: Client) -> Socket {
    tungstenite::client("ws://test/ws", client.into_stream()).expect("a WebSocket").0
}

/// Reads the server's goodbye.
fn told(socket: &mut Socket) {
    let message = socket.read().expect("a close frame");
    let away = matches!(&message, Message::Close(Some(CloseFrame { code: CloseCode::Away, .. })));
    assert!(away, "{message:?}");
}

/// Answers it.
fn close(mut socket: Socket) {
    // The answer is queued by the read of the goodbye; this writes it, and waits for the connection's end.
    while socket.read().is_ok() {}
}

#[test]
fn a_websocket_is_told_and_its_goodbye_is_waited_for() {
    let server = Server::start(&[]);
    let mut socket = websocket(&server);
    server.drain();
    told(&mut socket);
    server.until_status("Draining, 1 in flight");
    close(socket);
    server.drained();
}

#[test]
fn a_message_that_crosses_the_signal_is_echoed_before_the_goodbye() {
    let server = Server::start(&[]);
    let mut socket = websocket(&server);
    server.while_stopped(|| {
        server.signal(Signal::TERM);
        socket.send(Message::text("last")).expect("open");
    });
    assert_eq!(socket.read().expect("an echo"), Message::text("last"));
    told(&mut socket);
    close(socket);
    server.drained();
}

#[test]
fn a_websocket_that_does_not_answer_is_cut_by_the_deadline() {
    let server = Server::start(&["--drain-timeout-ms", "500"]);
    let _socket = websocket(&server);
    server.drain();
    let report = server.cut();
    assert!(report.contains(": upgraded"), "{report}");
}

/// It waits for the bound of a goodbye, 5 s.
#[test]
fn a_websocket_that_reads_nothing_does_not_hold_a_drain_without_a_deadline() {
    let server = Server::start(&["--drain-timeout-ms", "0"]);
    let mut socket = websocket(&server);
    // Until the server's echo is stuck, and so is what it would be an echo of.
    let stuck = Some(Duration::from_millis(500));
    socket.get_ref().set_write_timeout(stuck).expect("a duration that is not zero");
    while socket.send(Message::binary(vec![0; 1 << 16])).is_ok() {}
    server.drain();
    server.drained();
}

#[test]
fn a_websocket_whose_client_goes_away_does_not_hold_the_drain() {
    let server = Server::start(&["--drain-timeout-ms", "0"]);
    let socket = websocket(&server);
    server.drain();
    drop(socket);
    server.drained();
}

#[test]
fn a_websocket_asked_for_after_the_signal_is_opened_and_told() {
    let server = Server::start(&[]);
    let (mut keep, client) = (server.upload(), server.silent());
    server.drain();
    let mut socket = upgrade(client);
    told(&mut socket);
    close(socket);
    keep.send("2");
    assert_eq!(keep.response().text(), "2");
    server.drained();
}

#[test]
fn a_stream_of_events_says_goodbye_and_ends() {
    let server = Server::start(&["--drain-timeout-ms", "0"]);
    let mut client = Client::connect(server.main);
    client.get("/events");
    client.see("tick\n");
    server.drain();
    let response = client.response();
    assert!(response.text().ends_with("tick\nbye\n"), "{response:?}");
    server.drained();
}

#[test]
fn background_work_is_waited_for() {
    let server = Server::start(&[]);
    let mut client = Client::connect(server.main);
    client.get("/task?ms=1000");
    assert_eq!(client.response().text(), "task");
    drop(client);
    server.drain();
    server.until_status("Draining, 1 in flight");
    server.drained();
}

#[test]
fn background_work_is_cut_by_the_deadline() {
    let server = Server::start(&["--drain-timeout-ms", "300"]);
    let mut client = Client::connect(server.main);
    client.get("/task?ms=600000");
    assert_eq!(client.response().text(), "task");
    server.signal(Signal::TERM);
    let report = server.cut();
    let cut = report.strip_prefix("closed by force after ").expect("something");
    assert!(cut.contains("(task)"), "{report}");
}
