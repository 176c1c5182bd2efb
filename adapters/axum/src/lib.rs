//! `axum::serve` that ends well: an axum application that loses no request when it stops, on tokio and on smol.
//!
//! ```no_run
//! use axum::{Router, routing::get};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let app = Router::new().route("/", get(|| async { "hello" }));
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//!     ebbtide_axum::serve(listener, app).await?;
//!     Ok(())
//! }
//! ```
//!
//! In most programs that have `axum::serve(listener, app)` only the path changes. (The error is another type, which `?` turns into
//! an `io::Error`. Return it from `main`: then the exit code is 1.) What such a program has then:
//!
//! - The process's signals, `SIGTERM`, `SIGINT` and `SIGHUP`: the first drains, the second closes by force, the third kills. If
//!   yours reloads by `SIGHUP`, make `Signals::of(..)` without it, and see [`Server::drain`].
//! - Connections that end well: those in the kernel's queue are served, idle ones have a short grace, one that stalls is bounded.
//!   [`ebbtide_connection::policy`](https://docs.rs/ebbtide-connection/latest/ebbtide_connection/policy/) has the table.
//! - Upgraded connections are waited for, wherever the handler took them: each WebSocket, on HTTP/1 and on HTTP/2.
//! - A deadline of 30 s, after which what is left is cut.
//! - An outcome: nothing, or an [`Error`] that says what was cut.
//!
//! [`Server`] has the methods that change any of it. On smol it is [`smol::serve`].
//!
//! # Long-running handlers
//!
//! Most handlers need no change: the server waits for their responses. A handler that streams without an end must stop when the
//! drain begins, or the deadline cuts it. It asks for [`Draining`]. With that a WebSocket has a goodbye:
//!
//! ```
//! use axum::extract::ws::{CloseFrame, Message, WebSocketUpgrade, close_code};
//! use axum::response::Response;
//! use ebbtide_axum::Draining;
//! use ebbtide_goodbye::Goodbye;
//!
//! async fn chat(upgrade: WebSocketUpgrade, Draining(draining): Draining) -> Response {
//!     upgrade.on_upgrade(|socket| async {
//!         let away = Message::Close(Some(CloseFrame { code: close_code::RESTART, reason: "draining".into() }));
//!         let mut socket = Goodbye::new(socket, away, draining, tokio::time::sleep);
//!         while let Some(Ok(message)) = socket.recv().await {
//!             if socket.send(message).await.is_err() {
//!                 break;
//!             }
//!         }
//!     })
//! }
//! # let _: axum::Router = axum::Router::new().route("/chat", axum::routing::any(chat));
//! ```
//!
//! A stream of events ends, and tells its client when to come back. Each client has a time of its own, so that they do not
//! all come in one instant.
//!
//! ```
//! # use std::convert::Infallible;
//! use std::time::Duration;
//! use axum::response::sse::{Event, Sse};
//! use ebbtide_axum::Draining;
//! use ebbtide_goodbye::Ending;
//! # use futures_util::stream::{self, Stream};
//!
//! # fn events() -> impl Stream<Item = Result<Event, Infallible>> { stream::pending() }
//! async fn ticker(Draining(draining): Draining) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
//!     let span = Duration::from_secs(1)..Duration::from_secs(5);
//!     Sse::new(Ending::new(events(), draining, |it| Ok(Event::default().retry(it.spread(span)))))
//! }
//! # let _: axum::Router = axum::Router::new().route("/ticker", axum::routing::get(ticker));
//! ```
//!
//! A service that is not yours, and streams without an end, has its responses ended by a layer, [`EndBodies`]:
//!
//! ```
//! # use std::time::Duration;
//! # let app = axum::Router::new();
//! use ebbtide_axum::EndBodies;
//!
//! let app: axum::Router = app.layer(EndBodies::after(Duration::from_secs(1), tokio::time::sleep));
//! ```
//!
//! # A service that says whether it is ready
//!
//! Give the server a drain of your own by [`Server::drain`]. The state of that drain tells whether the service is ready:
//!
//! ```no_run
//! # use std::time::Duration;
//! use axum::{Router, http::StatusCode, routing::get};
//! use ebbtide::{Drain, State};
//! use ebbtide_signal::{Signals, escalate};
//!
//! # async fn run(listener: tokio::net::TcpListener) -> Result<(), Box<dyn std::error::Error>> {
//! let drain = Drain::new();
//! escalate(drain.clone(), Signals::new()?);
//! let watcher = drain.watcher();
//! let ready = move || async move {
//!     if watcher.state() == State::Running { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
//! };
//! let app = Router::new().route("/ready", get(ready));
//! ebbtide_axum::serve(listener, app).drain(&drain).lame_duck(Duration::from_secs(5)).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Differences from axum
//!
//! - It returns when the drain is over, and not before: with the last connection, be it a WebSocket, or at the deadline.
//! - Information on the connection (`ConnectInfo`) of a type of your own is made from this crate's
//!   [`IncomingStream`](serve::IncomingStream): axum's has no constructor.
//! - If the listener is not one of tokio's two (axum's `TapIo`, for example), its socket cannot be reached. It then goes on
//!   accepting for 100 ms after the drain begins. Instead of `listener.tap_io(f)`, use `serve(..).tap_io(f)`.
//! - A handler that blocks a thread (`spawn_blocking`) cannot be cut, and `#[tokio::main]` waits for it after the deadline. If the
//!   process must end in time, build the runtime yourself and call `shutdown_background()`: see `ebbtide-tokio`.
//! - Signals are listened to from the first poll of the server to the end of the process. After a server that ended without
//!   one, the first signal has no effect, and the next one kills.
//!
//! # Features
//!
//! `tokio`, which is the default, and `smol` add the runtimes, `rustls` adds TLS. Without `tokio` axum is built without it too,
//! and has no `ConnectInfo` and no `ws`: [`smol::IncomingStream`] knows the client's address, and `hyper-tungstenite` upgrades.

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod error;
mod extract;
mod incoming;
mod life;
mod listener;
mod part;
mod runtime;
mod server;
mod signals;
#[cfg(feature = "smol")]
pub mod smol;
#[cfg(feature = "tokio")]
pub mod tokio;
mod transport;

/// What `axum::serve` has beside the function, for programs that name it: its path is the only change.
#[cfg(feature = "tokio")]
pub mod serve {
    pub use axum::serve::{Listener, ListenerExt, TapIo};

    pub use crate::tokio::{IncomingStream, Serve};
}

pub use ebbtide_accept::Failure;
pub use ebbtide_hyper::{Bounds, Connections, EndBodies};
#[cfg(all(feature = "rustls", any(feature = "tokio", feature = "smol")))]
pub use ebbtide_rustls::Session;
pub use error::Error;
pub use extract::{Draining, InFlight};
pub use incoming::IncomingStream;
pub use listener::Listener;
pub use part::Part;
pub use runtime::{Connection, Executor, Runtime};
pub use server::{Server, Serving};
#[cfg(feature = "tokio")]
pub use tokio::serve;
pub use transport::Plain;
#[cfg(feature = "rustls")]
pub use transport::Rustls;
pub use transport::Transport;
