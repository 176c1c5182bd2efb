//! A page with a stream of events and two sockets, whose server says goodbye to each. The stream tells its client when to
//! come back. The sockets, WebSocket both, close with 1012 and 1001.
//!
//! `cargo run --example browser`, open `http://127.0.0.1:8080`, and restart the server. `tests/browser.sh` does so with Chromium.

use std::convert::Infallible;
use std::env;
use std::error::Error;
use std::ops::Range;
use std::time::Duration;

use axum::Router;
use axum::extract::ws::{CloseFrame, Message, WebSocketUpgrade, close_code};
use axum::response::sse::{Event, Sse};
use axum::response::{Html, Response};
use axum::routing::{any, get};
use ebbtide_axum::Draining;
use ebbtide_goodbye::{Ending, Goodbye};
use futures_util::{Stream, StreamExt, stream};
use tokio::net::TcpListener;
use tokio::time::sleep;

/// When the clients of the stream come back, each at a time of its own.
const RETRY: Range<Duration> = Duration::from_secs(1)..Duration::from_secs(4);
const TICK: Duration = Duration::from_millis(200);
const PAGE: &str = r#"<!doctype html>
<title>goodbye</title>
<pre id="log"></pre>
<script>
    const say = text => log.textContent += `${text}\n`;
    const events = new EventSource("/events");
    events.onopen = () => say("events: open");
    events.onmessage = event => say(`events: ${event.data}`);
    events.onerror = () => say("events: over, the browser comes back by itself");
    for (const path of ["/echo", "/ticks"]) {
        const socket = new WebSocket(`ws://${location.host}${path}`);
        socket.onmessage = event => say(`${path}: ${event.data}`);
        socket.onclose = event => say(`${path}: closed with ${event.code} ${event.reason}`);
    }
</script>
"#;

/// A stream without an end of its own.
async fn events(Draining(draining): Draining) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let ticks = stream::repeat(()).then(|()| async {
        sleep(TICK).await;
        Ok(Event::default().data("tick"))
    });
    Sse::new(Ending::new(ticks, draining, |it| Ok(Event::default().retry(it.spread(RETRY)))))
}

/// A handler that reads and answers.
async fn echo(upgrade: WebSocketUpgrade, Draining(draining): Draining) -> Response {
    upgrade.on_upgrade(|socket| async {
        let mut socket = Goodbye::new(socket, close(close_code::RESTART), draining, sleep);
        while let Some(Ok(message)) = socket.recv().await {
            if socket.send(message).await.is_err() {
                break;
            }
        }
    })
}

/// A handler that only writes.
async fn ticks(upgrade: WebSocketUpgrade, Draining(draining): Draining) -> Response {
    upgrade.on_upgrade(|socket| async {
        let mut socket = Goodbye::new(socket, close(close_code::AWAY), draining, sleep);
        while socket.send("tick".into()).await.is_ok() {
            sleep(TICK).await;
        }
    })
}

fn close(code: u16) -> Message {
    Message::Close(Some(CloseFrame { code, reason: "draining".into() }))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let app = Router::new().route("/", get(|| async { Html(PAGE) })).route("/events", get(events));
    let app = app.route("/echo", any(echo)).route("/ticks", any(ticks));
    let listener = TcpListener::bind(address).await?;
    println!("serving on http://{}", listener.local_addr()?);
    ebbtide_axum::serve(listener, app).await?;
    println!("drained");
    Ok(())
}
