//! Goodbyes: a WebSocket, or a stream without an end, that ends well and in bounded time when its server drains.
//!
//! [`Goodbye`] wraps a WebSocket, and is one itself: its handler reads and writes as before. It works with every socket that is a
//! stream and a sink of messages: those of axum, tokio-tungstenite and async-tungstenite, and other types, too. It needs only
//! the sleep of a runtime.
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
//! [`Ending`] wraps a stream that has no end of its own, such as server-sent events: it ends with the drain, by a last item.
//!
//! The drain waits for both without this crate too, for the guard is in their connections. But nobody tells their clients, which
//! would go on for as long as they like, or be cut at the deadline. Bodies of services that are not yours, which cannot be
//! told, are ended from outside by `EndBodies` of `ebbtide-hyper`, a layer of tower.

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod ending;
mod error;
mod goodbye;
mod leaving;

pub use ending::Ending;
pub use error::Error;
pub use goodbye::Goodbye;
