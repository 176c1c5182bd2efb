// Requests that are in flight at a signal are answered, as in axum's example `graceful-shutdown`.

use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::signal;
use tokio::time::sleep;
use tower_http::timeout::TimeoutLayer;

#[tokio::main]
pub async fn main() {
    let app = Router::new()
        .route("/slow", get(|| sleep(Duration::from_secs(1))))
        .route("/forever", get(std::future::pending::<()>))
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, Duration::from_secs(2)));

    let listener = TcpListener::bind(std::env::args().next_back().unwrap()).await.unwrap();
    println!("listening on {}", listener.local_addr().unwrap());
    axum::serve(listener, app).with_graceful_shutdown(shutdown_signal()).await.unwrap();
}

async fn shutdown_signal() {
    let mut terminate = signal::unix::signal(signal::unix::SignalKind::terminate()).unwrap();
    tokio::select! {
        interrupted = signal::ctrl_c() => interrupted.unwrap(),
        _ = terminate.recv() => {}
    }
}
