//! A WebSocket server that closes well: every client gets a close frame (1001), and its answer is awaited.
//!
//! `cargo run --example websocket`, connect any WebSocket client to `ws://127.0.0.1:8080`, and Ctrl-C here.

use std::env;
use std::error::Error;
use std::time::Duration;

use ebbtide::Watcher;
use ebbtide_goodbye::Goodbye;
use ebbtide_hyper::Http;
use ebbtide_tokio::{Outcome, Service, bind};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_tungstenite::tungstenite::protocol::{CloseFrame, frame::coding::CloseCode};
use hyper_tungstenite::tungstenite::{Message, error::ProtocolError};
use hyper_tungstenite::{HyperWebsocket, is_upgrade_request, upgrade};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};

/// For everything: requests, messages, goodbyes.
const DEADLINE: Duration = Duration::from_secs(10);
/// For a goodbye, the client's answer included, within that.
const FAREWELL: Duration = Duration::from_secs(3);

async fn answer(mut request: Request<Incoming>) -> Result<Response<Full<Bytes>>, ProtocolError> {
    if !is_upgrade_request(&request) {
        let mut response = Response::new(Full::from("this is a WebSocket\n"));
        *response.status_mut() = StatusCode::UPGRADE_REQUIRED;
        return Ok(response);
    }
    let watcher =
        request.extensions().get::<Watcher>().cloned().expect("`Http` puts one into every request that may upgrade");
    let (response, websocket) = upgrade(&mut request, None)?;
    // A task like any other: the guard that the drain waits for went into the connection itself.
    tokio::spawn(async move {
        if let Err(error) = echo(websocket, watcher).await {
            eprintln!("websocket: {error}");
        }
    });
    Ok(response)
}

/// Echoes until the client leaves, or until it was told that we do.
async fn echo(websocket: HyperWebsocket, watcher: Watcher) -> Result<(), Box<dyn Error + Send + Sync>> {
    let away = Message::Close(Some(CloseFrame { code: CloseCode::Away, reason: "draining".into() }));
    let mut socket = Goodbye::new(websocket.await?, away, watcher, tokio::time::sleep).bound(FAREWELL);
    while let Some(message) = socket.recv().await {
        // Pings and the client's own goodbye are answered by the protocol.
        if let message @ (Message::Text(_) | Message::Binary(_)) = message? {
            socket.send(message).await?;
        }
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Outcome {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let http = Http::new(TokioExecutor::new(), TokioTimer::new());
    Service::new()
        .deadline(DEADLINE)
        .on_event(|event| println!("{event}"))
        .serve("ws", bind(address).await, http.service(TokioIo::new, service_fn(answer)))
        .run()
        .await
}
