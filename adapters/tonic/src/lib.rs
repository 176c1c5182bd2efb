//! tonic servers that end well: no call is lost when the service stops, streams are told, and nothing holds it up for ever.
//!
//! ```no_run
//! use ebbtide_tonic::Health;
//! use tonic::service::Routes;
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let health = Health::new();
//!     let routes = Routes::new(health.server()); // .add_service(GreeterServer::new(MyGreeter))
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:50051").await?;
//!     ebbtide_tonic::serve(listener, routes).await?; // until a signal, and until the last call is over
//!     Ok(())
//! }
//! ```
//!
//! What such a program has:
//!
//! - The process's signals, `SIGTERM`, `SIGINT` and `SIGHUP`: the first drains, the second closes by force, the third kills.
//! - Calls that complete, of all four kinds. Clients are told by GOAWAY, in two steps (RFC 9113, section 6.8), so that what
//!   they have sent meanwhile is served. Connections in the kernel's queue are served too.
//! - Bounds for all that could hold it up: half a preface, a PING that nobody answers, a client that does not read.
//! - A deadline of 30 s, after which what is left is cut.
//! - An outcome: nothing, or an [`Error`] that says which calls were cut. Return it from `main`: then the exit code is 1.
//!
//! [`Serve`] has the methods that change any of it: a lame duck time, a drain of your own, TLS, limits. The server is that of
//! [`ebbtide-axum`](https://docs.rs/ebbtide-axum), since tonic's routes are an axum router.
//!
//! # Streams
//!
//! The drain waits for streams as for all calls, and one that never ends is cut at the deadline. Three things end it before:
//!
//! - In a handler of yours, [`ending`](ending()): after what is ready the stream ends with `UNAVAILABLE`, by which clients go
//!   to another server. [`RequestExt`] says when, and has a guard for work that goes on after the response.
//! - For services that are not yours, the layer [`EndBodies`]: the same, so long after the drain has begun. Put it below that
//!   of gRPC-Web.
//! - For health checks, this crate's [`Health`], of the feature `health`. tonic-health's own never ends its streams.
//!
//! ```
//! use ebbtide_tonic::{Ending, RequestExt, ending};
//! use tokio_stream::wrappers::ReceiverStream;
//! use tonic::{Request, Response, Status};
//!
//! # struct Feed;
//! # impl Feed {
//! async fn watch(&self, request: Request<()>) -> Result<Response<Ending<ReceiverStream<Result<u64, Status>>>>, Status> {
//!     let draining = request.draining()?;
//!     let (news, stream) = tokio::sync::mpsc::channel(16);
//!     tokio::spawn(async move { while news.send(Ok(7)).await.is_ok() {} }); // ends with the stream
//!     Ok(Response::new(ending(ReceiverStream::new(stream), draining)))
//! }
//! # }
//! ```
//!
//! # Rolling restarts
//!
//! Clients lose no call, without a retry policy, if they balance by health and if there is a lame duck time: [`Health`] has
//! the program. `tests/grpc.sh` of the repository restarts three servers under tonic's client and Go's, and counts.
//!
//! Go's client, which takes back by itself what a server has not begun, needs no lame duck time. tonic's does: a call that it
//! gives to a connection in the instant in which a GOAWAY arrives is `CANCELLED`, though it was not sent. And its balancer
//! (`Channel::balance_list`) goes on calling a server that is gone; the example `client_tonic` takes it out by its health.
//!
//! # Coming from `tonic::transport::Server`
//!
//! | there | here |
//! |---|---|
//! | `.add_service(a).add_service(b)` | `Routes::new(a).add_service(b)` |
//! | `.serve(addr)`, `.serve_with_shutdown(addr, signal)` | [`serve(listener, routes)`](serve()), `.with_graceful_shutdown(signal)` |
//! | `.layer(layer)`, `.timeout(time)`, `.concurrency_limit_per_connection(n)` | tower's layers, on `routes.into_axum_router()`: `.layer(layer)` |
//! | `.tls_config(config)`, `request.peer_certs()` | `.rustls(config)`, `request.extensions().get::<Session>()`, with the feature `rustls` |
//! | `.max_connection_age(time)` | `.bounds(bounds().age(time))`; it is told by GOAWAY, and varied by a tenth |
//! | `.http2_keepalive_interval(..)`, `.max_concurrent_streams(..)`, windows | `server.builder().http2()`, which is hyper's |
//! | `.accept_http1(true)` | always |
//! | `request.remote_addr()`, `grpc-timeout` | the same |
//!
//! A server that is to stay as it is can be given [`Incoming`]: its connections are waited for then, and some more.
//!
//! # Features
//!
//! `health`, which is a default, has [`Health`]; `rustls` adds TLS.

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod connection;
mod ending;
mod guarded;
#[cfg(feature = "health")]
mod health;
mod incoming;
mod request;
mod serve;
mod timeout;

pub use connection::{ConnectionService, MakeService};
pub use ebbtide_accept::Failure;
#[cfg(feature = "rustls")]
pub use ebbtide_axum::Session;
pub use ebbtide_axum::{Connections, EndBodies, Error};
pub use ebbtide_hyper::Bounds;
pub use ending::{Ending, ending};
pub use guarded::Guarded;
#[cfg(feature = "health")]
pub use health::{Health, ServingStatus, WatchStream};
pub use incoming::Incoming;
pub use request::RequestExt;
pub use serve::{Serve, bounds, serve};
pub use timeout::Timed;
