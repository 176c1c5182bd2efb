// A WebSocket that sends and receives in two tasks, as in axum's example `websockets`.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::connect_info::ConnectInfo;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::response::IntoResponse;
use axum::routing::any;
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpListener;

#[tokio::main]
pub async fn main() {
    let app = Router::new().route("/ws", any(upgrade));

    let listener = TcpListener::bind(std::env::args().next_back().unwrap()).await.unwrap();
    println!("listening on {}", listener.local_addr().unwrap());
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await.unwrap();
}

async fn upgrade(upgrade: WebSocketUpgrade, ConnectInfo(who): ConnectInfo<SocketAddr>) -> impl IntoResponse {
    upgrade.on_upgrade(move |socket| talk(socket, who))
}

async fn talk(socket: WebSocket, who: SocketAddr) {
    let (mut sender, mut receiver) = socket.split();
    let mut sends = tokio::spawn(async move {
        for number in 0..10 {
            if sender.send(Message::text(format!("{number} for {who}"))).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let goodbye = CloseFrame { code: close_code::NORMAL, reason: "that was all".into() };
        let _gone = sender.send(Message::Close(Some(goodbye))).await;
    });
    let mut receives = tokio::spawn(async move { while let Some(Ok(_)) = receiver.next().await {} });

    tokio::select! {
        _ = &mut sends => receives.abort(),
        _ = &mut receives => sends.abort(),
    }
}
