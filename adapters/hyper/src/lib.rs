//! HTTP/1 and HTTP/2 connections of hyper 1 that lose no request when the service stops, on any runtime.
//!
//! [`Http::serve`] takes a connection, a service and a [`Guard`](ebbtide::Guard), and returns the future that serves
//! it and ends it well once the drain begins:
//!
//! ```no_run
//! # use std::convert::Infallible;
//! use ebbtide::Guard;
//! use ebbtide_hyper::Http;
//! use hyper::service::service_fn;
//! use hyper::{Request, Response, body::Incoming};
//! use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
//! # use http_body_util::Full;
//! # use hyper::body::Bytes;
//!
//! async fn hello(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
//!     Ok(Response::new(Full::from("hello")))
//! }
//!
//! async fn connection(stream: tokio::net::TcpStream, guard: Guard) {
//!     let http = Http::new(TokioExecutor::new(), TokioTimer::new());
//!     let _ = http.serve(TokioIo::new(stream), service_fn(hello), guard).await;
//! }
//! ```
//!
//! What happens to a connection in which state is the table of [`ebbtide::connection`]; how long it is waited for is
//! its [`Bounds`]. This crate's part is the wiring:
//!
//! - [`Io`] wraps the connection. It holds the guard, so that an upgraded connection is waited for wherever it goes; it
//!   tells the policy what is read and written; it fails once the drain is closed by force; and it reads on for a while
//!   after our end was written, so that no reset destroys a response.
//! - [`Service`] wraps yours. It counts what is in flight, says `Connection: close`, and puts a
//!   [`Watcher`](ebbtide::Watcher) and a [`Guard`](ebbtide::Guard) into the extensions of requests that may upgrade, or
//!   of [every request](Http::extend_every_request).
//! - [`Serving`] drives both by the policy.
//!
//! A connection built with hyper's own builders takes the same way: [`Http::serve_with`], for anything that implements
//! [`Engine`].
//!
//! One thing hyper does not show: a part of a head that came together with the request before it. Once that is answered the
//! connection counts as idle, so the rest of the head has [`Bounds::idle`] to come, and not [`Bounds::head`].

#![cfg_attr(docsrs, feature(doc_cfg))]

mod engine;
mod http;
mod io;
mod service;
mod serving;
mod tasks;

pub use ebbtide::connection::{Bounds, ConnectionState};
pub use ebbtide_connection::{Accepted, Connection, Connections, Counts, Error, Request};
pub use engine::Engine;
pub use http::Http;
pub use hyper_util::server::conn::auto;
pub use io::Io;
pub use service::{Body, Responding, Service, Unserved};
pub use serving::Serving;
pub use tasks::{Task, Tasks};
