//! A WebSocket's goodbye: a handler that reads and writes as ever leaves well, and in bounded time, when the drain begins.
//!
//! [`Goodbye`] wraps the socket, and is one itself. It works with every socket that is a stream and a sink of messages: those of
//! axum, tokio-tungstenite and async-tungstenite, and other types, too. It needs only the sleep of a runtime.
//!
//! ```
//! # use std::convert::Infallible;
//! # use std::pin::Pin;
//! # use futures_util::{Sink, Stream, StreamExt};
//! use ebbtide::Watcher;
//! use ebbtide_goodbye::Goodbye;
//! # mod ws {
//! #     pub struct CloseFrame { pub code: u16, pub reason: &'static str }
//! #     pub enum Message { Text(String), Close(Option<CloseFrame>) }
//! # }
//! use ws::{CloseFrame, Message};
//!
//! async fn chat<Socket>(socket: Socket, draining: Watcher)
//! # where Socket: Stream<Item = Result<Message, Infallible>> + Sink<Message, Error = Infallible> + Unpin,
//! {
//!     let going_away = Message::Close(Some(CloseFrame { code: 1001, reason: "draining" }));
//!     let mut socket = Goodbye::new(socket, going_away, draining, tokio::time::sleep); // the line
//!
//!     while let Some(Ok(message)) = socket.recv().await {
//!         if socket.send(message).await.is_err() {
//!             break;
//!         }
//!     }
//! }
//! ```
//!
//! The drain waits for the socket without this crate too, for the guard is in its connection. But nobody tells its client, which
//! would go on for as long as it likes, or be cut at the deadline.

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod error;
mod goodbye;

pub use error::Error;
pub use goodbye::Goodbye;
