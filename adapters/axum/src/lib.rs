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
//! A program that has `axum::serve(listener, app)` changes that path and nothing else. What it has then:
//!
//! - The process's signals: the first drains, the second closes by force, the third kills.
//! - Connections that end well: those in the kernel's queue are served, idle ones have a short grace, one that stalls is bounded.
//!   [`ebbtide_connection::policy`](https://docs.rs/ebbtide-connection/latest/ebbtide_connection/policy/) has the table.
//! - Upgraded connections are waited for, wherever the handler took them: each WebSocket, on HTTP/1 and on HTTP/2.
//! - A deadline of 30 s, after which what is left is cut.
//! - An outcome: nothing, or an [`Error`] that says what was cut.
//!
//! [`Server`] has the methods that change any of it. On smol it is [`smol::serve`].
//!
//! # Handlers that are to hear of it
//!
//! Most need not: what they answer is waited for. One that answers for as long as its client likes is to end by itself, or the
//! deadline ends it. It asks for [`Draining`]. With that a stream of events ends by `events.take_until(draining)`, and a
//! WebSocket has a goodbye:
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
//! # A service that says whether it is ready
//!
//! A server is a part of a drain by [`Server::drain`]. The state of that says it:
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
//! # What is not axum's
//!
//! - It returns when the drain is over, and not before: with the last connection, be it a WebSocket, or at the deadline.
//! - Information on the connection (`ConnectInfo`) of a type of your own is made from this crate's
//!   [`IncomingStream`](serve::IncomingStream): axum's has no constructor.
//! - A listener other than tokio's two, such as axum's `TapIo`, hides its socket, so newcomers cannot be kept out while its queue
//!   is emptied: it accepts on for 100 ms. In the place of `listener.tap_io(f)` say `serve(..).tap_io(f)`.
//!
//! # Features
//!
//! `tokio`, which is the default, and `smol` add the runtimes, `rustls` adds TLS. Without `tokio` axum is built without it too,
//! and has no `ConnectInfo` and no `ws`: [`smol::IncomingStream`] knows the client's address, and `hyper-tungstenite` upgrades.

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
pub use ebbtide_hyper::{Bounds, Connections};
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
