// Events without an end, as in axum's example `sse`.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::get;
use futures_util::stream::{Stream, repeat_with};
use tokio::net::TcpListener;
use tokio_stream::StreamExt;

#[tokio::main]
pub async fn main() {
    let app = Router::new().route("/sse", get(events));

    let listener = TcpListener::bind(std::env::args().next_back().unwrap()).await.unwrap();
    println!("listening on {}", listener.local_addr().unwrap());
    axum::serve(listener, app).await.unwrap();
}

async fn events() -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let events = repeat_with(|| Ok(Event::default().data("hello"))).throttle(Duration::from_millis(100));
    Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(1)).text("still here"))
}
