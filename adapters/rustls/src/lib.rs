//! TLS by rustls for connections that shut down gracefully, with their handshake. It works below any HTTP adapter of ebbtide, on
//! streams of tokio and of futures-io.
//!
//! Compared with HTTP without TLS, [`tokio::handshake`] and [`futures_io::handshake`] are one more line:
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
//!     let (stream, guard) = handshake(stream, guard, |io| acceptor.accept(io)); // this line
//!     let _ = http.serve(TokioIo::new(stream), service_fn(hello), guard).await;
//! }
//! ```
//!
//! The handshake runs when the HTTP engine reads for the first time; if it fails, that read does. Meanwhile the connection is
//! like any other: it has a guard, is listed in the `Connections`, and has its [`Bounds`](ebbtide_connection::Bounds).
//!
//! | the client | while the service runs | while it drains |
//! |---|---|---|
//! | has sent nothing | `Bounds::request`, the handshake and the first head together | `Bounds::silent` |
//! | stops in its handshake | the same | `Bounds::head` |
//! | has completed it | the same | the limits of a connection without TLS |
//!
//! A forced close ends the connection at once, in the middle of a handshake too. A session ends with a `close_notify`
//! (RFC 8446, section 6.1), written before our direction is closed. Then the HTTP adapter lingers, as without TLS. It is also
//! sent if the stream is dropped before the server has written anything. A connection that is cut in the middle of a response
//! sends none, so that its client notices.
//!
//! # What was negotiated
//!
//! A [`Session`] has the protocol, the client's certificates and the server name that it asked for. Take it from the stream
//! before you pass that to the HTTP adapter; it is filled by the time of the first request. The protocols to choose from are
//! the `alpn_protocols` of rustls's `ServerConfig`: `h2` and `http/1.1` for hyper, `http/1.1` for async-h1.
//!
//! # Why a stream that does the handshake itself
//!
//! - A handshake before HTTP is commonly a stage of its own. It needs a clock and three time limits. Its time adds to that for
//!   the first head, and the connection is not listed meanwhile.
//! - A function that does the handshake and then calls the HTTP adapter would hide these, and still have them.
//! - A stream that does the handshake itself needs none of them. The HTTP adapter polls it, and has the timers and the guard.
//!
//! Such a stream must only report that bytes came which are not HTTP yet. For that, [`Http::serve`] takes the guard that
//! `handshake` returns in place of a plain one. Code that reads something else before HTTP, such as a PROXY header, can do the
//! same: see [`Handshake`](ebbtide_connection::Handshake).
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
