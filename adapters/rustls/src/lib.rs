//! TLS connections whose handshake is part of what drains: rustls, below any HTTP adapter of ebbtide, on tokio's streams
//! and on those of futures-io.
//!
//! [`tokio::handshake`] and [`futures_io::handshake`] are one line more than HTTP without TLS:
//!
//! ```no_run
//! # use std::convert::Infallible;
//! # use std::sync::Arc;
//! use ebbtide::Guard;
//! use ebbtide_hyper::Http;
//! use ebbtide_rustls::tokio::handshake;
//! use hyper::service::service_fn;
//! use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
//! use tokio_rustls::TlsAcceptor;
//! # use http_body_util::Full;
//! # use hyper::{Request, Response, body::{Bytes, Incoming}};
//! # async fn hello(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
//! #     Ok(Response::new(Full::from("hello")))
//! # }
//!
//! async fn connection(acceptor: TlsAcceptor, stream: tokio::net::TcpStream, guard: Guard) {
//!     let http = Http::new(TokioExecutor::new(), TokioTimer::new());
//!     let (stream, guard) = handshake(stream, guard, |io| acceptor.accept(io)); // the line
//!     let _ = http.serve(TokioIo::new(stream), service_fn(hello), guard).await;
//! }
//! ```
//!
//! The handshake is done when the HTTP engine reads for the first time, and fails if that does. While it goes on the
//! connection is one like any other: it has a guard and a place among the `Connections`, and
//! [`Bounds`](ebbtide_connection::Bounds) hold for it.
//!
//! | the client | while the service runs | while it drains |
//! |---|---|---|
//! | has sent nothing | `Bounds::request`, the handshake and the first head together | `Bounds::silent` |
//! | stops in its handshake | the same | `Bounds::head` |
//! | is done with it | the same | what the connection would have without TLS |
//!
//! A forced close ends it at once, in the middle of a handshake too. The session ends by its `close_notify` (RFC 8446,
//! section 6.1), written before the connection's own end, behind which the HTTP adapter lingers as it does without TLS; a
//! session on which the server has said nothing yet is ended so even if it is just dropped. One that is cut in the middle
//! of a response has none, which is how its client knows.
//!
//! # What was negotiated
//!
//! [`Session`] has the protocol, the client's certificates and the name it asked for. Take it from the stream before the
//! HTTP adapter has that; it is filled by the time of the first request. The protocols to choose from are the
//! `alpn_protocols` of rustls's `ServerConfig`: `h2` and `http/1.1` for hyper, `http/1.1` for async-h1.
//!
//! # Why in this form
//!
//! - A handshake before HTTP, as a stage with timers of its own, is what everybody writes by hand. It needs a clock and
//!   three bounds, its time comes on top of that for the first head, and a connection in it is on no list.
//! - A function around both, which does the handshake and then calls the HTTP adapter, hides those but has them still.
//! - A stream that does it by itself has none of them: the HTTP adapter polls it, its timers bound it, its guard is held.
//!   All it has to tell is that bytes came which are not HTTP yet; that is what the guard brings along, which
//!   [`Http::serve`] takes in the place of a plain one. What precedes HTTP in other ways, such as a PROXY header, can do
//!   the same: see [`Handshake`](ebbtide_connection::Handshake).
//!
//! [`Http::serve`]: https://docs.rs/ebbtide-hyper/latest/ebbtide_hyper/struct.Http.html#method.serve
//!
//! # Features
//!
//! `tokio` for streams of tokio (with tokio-rustls), `futures-io` for those of smol and async-std (with futures-rustls).

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "futures-io")]
pub mod futures_io;
#[cfg(any(feature = "tokio", feature = "futures-io"))]
mod raw;
#[cfg(any(feature = "tokio", feature = "futures-io"))]
mod session;
#[cfg(feature = "tokio")]
pub mod tokio;

pub use ebbtide_connection::Accepted;
#[cfg(any(feature = "tokio", feature = "futures-io"))]
pub use raw::Raw;
#[cfg(any(feature = "tokio", feature = "futures-io"))]
pub use session::{Negotiated, Session};
