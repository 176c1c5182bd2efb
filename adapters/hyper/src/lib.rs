//! Graceful shutdown for HTTP/1 and HTTP/2 connections of hyper 1, on any runtime.
//!
//! [`Http::serve`] takes a connection, a service and a [`Guard`](ebbtide::Guard). It returns the future that serves the
//! connection, and shuts it down without losing a request once the drain begins:
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
//! What happens to a connection in each state is a table in [`ebbtide_connection::policy`]; the time limits are [`Bounds`].
//! This crate connects that policy to hyper:
//!
//! - [`Io`] wraps the connection's I/O. It holds the guard, so an upgraded connection is waited for wherever it goes. It
//!   reports reads and writes to the policy, and fails once the drain is closed by force. After our direction was closed it
//!   reads on for a while, so that no reset destroys a response.
//! - [`DrainService`] wraps your service. It counts requests in flight and says `Connection: close`. It puts a
//!   [`Watcher`](ebbtide::Watcher) and a [`Guard`](ebbtide::Guard) into the extensions of requests that may upgrade, or of
//!   [every request](Http::extend_every_request). On HTTP/2 it omits the body of a response to HEAD, of a 204 and of a 304, as
//!   hyper does by itself on HTTP/1.
//! - [`ServeConnection`] is the future that drives both.
//!
//! For a tower service there is [`Http::serve_tower`], with the feature `tower`. For axum use `ebbtide-axum`, and for tonic
//! `ebbtide-tonic`: they need no other code.
//!
//! A body that has no end of its own, and is not told of the drain, is ended by [`EndingBody`]. With the feature `tower`, the
//! layer `EndBodies` does so in a whole service.
//!
//! A connection that is built with hyper's own builders is served by [`Http::serve_with`], and so is any other [`Engine`].
//!
//! # Clients that close their direction
//!
//! Some clients of HTTP/1 close their sending half after the request (`printf ... | nc -N`, some proxies and SDKs). They are
//! answered: RFC 9112 does not forbid it, and Go's server does the same. hyper alone takes it for a disconnect.
//!
//! Such a client and one that has disconnected look alike until something is written. So [`Http::serve`] writes a
//! `100 Continue`, which every client of HTTP/1.1 accepts (RFC 9110, section 15.2). If the client has disconnected, its kernel
//! answers by a reset. Then the handler is dropped, at once or 100 ms later.
//!
//! Two cases cannot be told apart. HTTP/1.0 has no interim responses, so such a client is taken to be there until its response
//! is written. If a response has begun, the client is taken to have disconnected when nothing was written for
//! [`Bounds::linger`]. With TLS, a closed direction counts as a disconnect.
//!
//! # A forced close
//!
//! If a forced close cuts a request of HTTP/1 before its response has begun, it is answered with `503`, `Connection: close`
//! and `Retry-After: 1`. That is written if the socket takes it at once, when the connection's future is dropped or polled. A
//! `main` that returns at once may end the process before: see [`Drain::released`](ebbtide::Drain::released). There is no such
//! answer on HTTP/2, in the middle of a response, or after an upgrade.
//!
//! # Connections that outlive the process
//!
//! A successor can take over idle connections of HTTP/1 with their open sockets, so that their clients notice nothing.
//! [`Leaving`] wraps the I/O of a connection for that, and [`Departures`] has the streams. Its page says which connections
//! leave, and when.
//!
//! ```no_run
//! use ebbtide::{Drain, Guard};
//! use ebbtide_hyper::{Departed, Departures, Exit, Http, Leaving};
//! use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
//! use tokio::net::TcpStream;
//! # use std::convert::Infallible;
//! # use hyper::{Request, Response, body::Incoming, service::service_fn};
//! # async fn hello(_: Request<Incoming>) -> Result<Response<String>, Infallible> { unimplemented!() }
//! # async fn give(_: &std::net::TcpStream) -> std::io::Result<()> { Ok(()) }
//!
//! type Stream = TokioIo<TcpStream>;
//!
//! async fn connection(http: Http<TokioExecutor>, stream: TcpStream, guard: Guard, exit: Exit<Stream>) {
//!     let (io, guard) = Leaving::new(TokioIo::new(stream), guard, &exit);
//!     let _ = http.serve(io, service_fn(hello), guard).await;
//! }
//!
//! /// The successor is ready, and has the listener.
//! async fn hand_over(drain: Drain, mut departures: Departures<Stream>) {
//!     departures.begin();
//!     let drained = drain.start();
//!     // It ends with the last connection and the accept loop, if that has the only other `Exit`.
//!     while let Some(departed) = departures.next().await {
//!         tokio::spawn(give_one(departed));
//!     }
//!     let _ = drained.await;
//! }
//!
//! async fn give_one(departed: Departed<Stream>) -> std::io::Result<()> {
//!     let departed = departed.try_map(|io| io.into_inner().into_std())?;
//!     if give(departed.io()).await.is_ok() {
//!         return Ok(()); // the successor has it: ours is closed here, and the drain waits no longer
//!     }
//!     let (socket, guard) = departed.into_parts(); // it drains here, like a connection that was just accepted
//!     let io = TokioIo::new(TcpStream::from_std(socket)?);
//!     let http = Http::new(TokioExecutor::new(), TokioTimer::new());
//!     http.serve(io, service_fn(hello), guard).await.map_err(std::io::Error::other)
//! }
//! ```
//!
//! # Limits
//!
//! hyper does not show the beginning of a request head that came together with the request before it. Once that one is
//! answered, the connection counts as idle. So the rest of the head has [`Bounds::idle`] to come, and not [`Bounds::head`].

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod auto;
mod boundary;
#[cfg(feature = "tower")]
mod end_bodies;
mod ending_body;
mod engine;
mod http;
mod io;
mod leaving;
mod news;
mod serve_connection;
mod service;
mod tasks;
#[cfg(feature = "tower")]
mod tower;

pub use ebbtide_connection::{Accepted, ConnectionCounts, ConnectionInfo, Connections, Error, RequestInfo};
pub use ebbtide_connection::{Bounds, ConnectionState};
pub use ebbtide_connection::{Departed, Departures, Exit};
#[cfg(feature = "tower")]
pub use end_bodies::{EndBodies, EndBodiesFuture, EndBodiesService};
pub use ending_body::{BodyEnd, EndingBody};
pub use engine::Engine;
pub use http::Http;
pub use io::Io;
pub use leaving::Leaving;
pub use news::News;
pub use serve_connection::ServeConnection;
pub use service::{DrainBody, DrainService, ResponseFuture, Unserved};
pub use tasks::{Task, Tasks};
#[cfg(feature = "tower")]
pub use tower::{Calling, Tower};
