//! What clients do on either runtime.

use std::net::{SocketAddr, TcpStream};

use ebbtide_testkit::client::Client;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Message, WebSocket};

/// A WebSocket that has been echoed.
pub(crate) fn echoed(addr: SocketAddr) -> WebSocket<TcpStream> {
    let stream = Client::connect(addr).into_stream();
    let (mut socket, _) = tungstenite::client(format!("ws://{addr}/ws"), stream).expect("upgraded");
    socket.send("hello".into()).expect("open");
    assert_eq!(socket.read().expect("open"), "hello".into());
    socket
}

/// Reads the server's goodbye, and does not answer it yet.
pub(crate) fn hear_goodbye(socket: &mut WebSocket<TcpStream>) {
    let Message::Close(Some(close)) = socket.read().expect("open") else { panic!("no goodbye") };
    assert_eq!(close.code, CloseCode::Away);
}

/// Answers it.
pub(crate) fn say_goodbye(mut socket: WebSocket<TcpStream>) {
    while socket.read().is_ok() {}
}

/// When the client of this event stream is told to come back, which is behind these events.
pub(crate) fn retry(body: &str, events: &str) -> u64 {
    let last = body.strip_prefix(events).unwrap_or_else(|| panic!("{body:?}"));
    let retry = last.strip_prefix("retry: ").and_then(|it| it.strip_suffix("\n\n"));
    retry.and_then(|it| it.parse().ok()).unwrap_or_else(|| panic!("no time to come back at: {last:?}"))
}
