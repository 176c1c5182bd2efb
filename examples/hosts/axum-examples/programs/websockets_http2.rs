// A room to talk in, over WebSockets of HTTP/1 and of HTTP/2, as in axum's example `websockets-http2`. There it is behind
// TLS, as browsers want it; `tls_rustls` has that.

use axum::Router;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::http::Version;
use axum::response::Response;
use axum::routing::any;
use tokio::net::TcpListener;
use tokio::sync::broadcast::{Sender, channel};

#[tokio::main]
pub async fn main() {
    let app = Router::new().route("/ws", any(upgrade)).with_state(channel::<String>(16).0);

    let listener = TcpListener::bind(std::env::args().next_back().unwrap()).await.unwrap();
    println!("listening on {}", listener.local_addr().unwrap());
    axum::serve(listener, app).await.unwrap();
}

async fn upgrade(upgrade: WebSocketUpgrade, version: Version, State(room): State<Sender<String>>) -> Response {
    let mut heard = room.subscribe();
    upgrade.on_upgrade(move |mut socket| async move {
        loop {
            tokio::select! {
                said = socket.recv() => match said {
                    Some(Ok(Message::Text(text))) => drop(room.send(format!("{version:?} {text}"))),
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => break,
                },
                Ok(text) = heard.recv() => if socket.send(Message::text(text)).await.is_err() {
                    break;
                },
            }
        }
    })
}
