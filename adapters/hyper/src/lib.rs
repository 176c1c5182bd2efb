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
//! What happens to a connection in which state is the table of [`ebbtide_connection::policy`]; how long it is waited for is
//! its [`Bounds`]. This crate's part is the wiring:
//!
//! - [`Io`] wraps the connection. It holds the guard, so that an upgraded connection is waited for wherever it goes; it
//!   tells the policy what is read and written; it fails once the drain is closed by force; and it reads on for a while
//!   after our end was written, so that no reset destroys a response.
//! - [`DrainService`] wraps yours. It counts what is in flight, says `Connection: close`, and puts a
//!   [`Watcher`](ebbtide::Watcher) and a [`Guard`](ebbtide::Guard) into the extensions of requests that may upgrade, or
//!   of [every request](Http::extend_every_request). On HTTP/2 it leaves out the body of a response to HEAD, of a 204 and of
//!   a 304, as hyper does by itself on HTTP/1.
//! - [`ServeConnection`] drives both by the policy.
//!
//! A service of tower, such as an axum router, has [`Http::serve_tower`], with the feature `tower`. (For axum there is
//! `ebbtide-axum`, which does all the rest too.)
//!
//! A body that has no end of its own, and is not told of the drain, is ended from outside: by [`EndingBody`], or in a whole
//! service by its layer `EndBodies`, with the feature `tower`.
//!
//! A connection built with hyper's own builders takes the same way: [`Http::serve_with`], for anything that implements
//! [`Engine`].
//!
//! # Clients that end their direction, and those that are gone
//!
//! A client of HTTP/1 that closes its sending half behind its request (`printf ... | nc -N`, some proxies and SDKs) is
//! answered; RFC 9112 does not forbid it, and Go's server and curl take it so. hyper alone takes it for its departure. The
//! two look alike until something is written, so [`Http::serve`] writes a `100 Continue`, which every client of HTTP/1.1 has to
//! take (RFC 9110, section 15.2): the kernel of one that is gone answers it by a reset, and the handler is dropped 100 ms
//! later, or as soon as the reset is there. What cannot be told: a client of HTTP/1.0, which knows no interim responses, is
//! taken to be there until its response is written; one whose response has begun is taken to be gone when nothing of it was
//! written for [`Bounds::linger`]. Behind TLS an end is a departure.
//!
//! # Last words
//!
//! A request of HTTP/1 that a forced close cuts before its response has begun is answered with `503`, `Connection: close` and
//! `Retry-After: 1`, if the connection takes it at once. It is written when the connection's future is dropped or
//! polled, so a `main` that returns at once may be faster: see [`Drain::released`](ebbtide::Drain::released). What is cut on
//! HTTP/2, in the midst of a response or behind an upgrade gets nothing.
//!
//! # What hyper does not show
//!
//! A part of a head that came together with the request before it. Once that is answered the
//! connection counts as idle, so the rest of the head has [`Bounds::idle`] to come, and not [`Bounds::head`].

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "tower")]
mod end_bodies;
mod ending_body;
mod engine;
mod http;
mod io;
mod news;
mod serve_connection;
mod service;
mod tasks;
#[cfg(feature = "tower")]
mod tower;

pub use ebbtide_connection::{Accepted, ConnectionCounts, ConnectionInfo, Connections, Error, RequestInfo};
pub use ebbtide_connection::{Bounds, ConnectionState};
#[cfg(feature = "tower")]
pub use end_bodies::{EndBodies, EndBodiesFuture, EndBodiesService};
pub use ending_body::{BodyEnd, EndingBody};
pub use engine::Engine;
pub use http::Http;
pub use hyper_util::server::conn::auto;
pub use io::Io;
pub use news::News;
pub use serve_connection::ServeConnection;
pub use service::{DrainBody, DrainService, ResponseFuture, Unserved};
pub use tasks::{Task, Tasks};
#[cfg(feature = "tower")]
pub use tower::{Calling, Tower};
