//! HTTP/1 connections for services that are on async-h1: an engine without a release since 2023, whose parser nobody mends.
//! A new service is better off with `ebbtide-hyper`, which runs on smol too.
//!
//! They lose no request when the service stops, on any runtime with futures-io streams.
//!
//! [`Http::serve`] takes a connection, an endpoint and a [`Guard`](ebbtide::Guard), and returns the future that serves
//! it and ends it well once the drain begins:
//!
//! ```no_run
//! use ebbtide::Guard;
//! use ebbtide_async_h1::Http;
//! use http_types::{Request, Response};
//!
//! async fn hello(_: Request) -> http_types::Result<Response> {
//!     Ok("hello".into())
//! }
//!
//! async fn connection(stream: smol::net::TcpStream, guard: Guard) {
//!     let http = Http::new(smol::Timer::after);
//!     let _ = http.serve(stream, hello, guard).await;
//! }
//! ```
//!
//! What happens to a connection in which state is the table of [`ebbtide_connection::policy`]; how long it is waited for is
//! its [`Bounds`]. There is no HTTP/2.
//!
//! # What is left of async-h1
//!
//! It writes the responses. Requests are read here, by the grammar of RFC 9112 and no more loosely, and the rest of its
//! server is not used: it cannot be drained. These are its traps:
//!
//! | async-h1's server | here |
//! |---|---|
//! | takes for chunks what is none, and what follows it for a request | answered with 400, then closed, whatever the endpoint says |
//! | panics if a field is not ASCII | answered with 400; http-types has no room for such a value. A trailer of that kind is left out |
//! | takes several Hosts, and lets one change the path of the URL | answered with 400 |
//! | takes `get` for `GET` | answered with 501, like every method that http-types does not have |
//! | does not know `OPTIONS *` | its URL has the path `/` |
//! | loses what it has read of a head when it is cancelled | a request begins once its head is whole |
//! | drops an endpoint's error, and what it cannot read, with the connection | answered with the error's status, by default 500, and with 400, 414, 431, 501 or 505 |
//! | hangs up on HTTP/1.0, so on a load balancer's health check | served without chunks, then closed |
//! | loses a request that is pipelined, and what an upgraded client sent early | kept, and handed to whose it is |
//! | reads the rest of a request's body for as long as it takes | what is there is dropped; else the response says `Connection: close`, and the rest is read for no longer than [`Bounds::linger`] |
//! | hangs if the section behind the last chunk is read in two pieces, and refuses extensions of chunks | reads the one, and ignores the others |
//! | takes `Connection: close` only if it stands alone | among other options too |
//! | reads a body in a coding it does not know as the next request | answered with 501 |
//! | takes a client that ends its direction behind its request for one that waits, whether it is gone or not | answers it; asks it by a `100 Continue` whether it is gone, as `ebbtide-hyper` does |
//! | closes what is cut without a word | answers a request whose response has not begun with `503` and `Retry-After` |
//! | closes without having read everything, so that a reset may destroy the response | half-closes, and lingers |
//! | goes on with a request whose client is gone | the endpoint's future is dropped, or the response's body |
//! | reads for as long as a client sends without a pause, and lets the thread's other tasks wait | gives way to them again and again |
//! | sends a field with line ends in it, which is a response of the endpoint's making | answered with 500, as is an interim response |
//! | sends a body with 204 and 304, and what the endpoint says of its framing | none, and the framing it has |
//! | goes on behind a body that is shorter than its length | ends the connection |
//! | sends an endpoint's `content-length` beside the chunks of a body that it does not know the length of | the chunks alone |
//! | waits 60 s for a head on a reactor of its own, and for a `100 Continue` on threads of its own | waits for [`Bounds::request`] by your clock; `100 Continue` is sent when the body is first read |
//! | sends a `content-length` with `101 Switching Protocols` | none |
//!
//! # How it differs from hyper
//!
//! It sees no request that hyper does not see, and refuses more: a lone LF, a missing or malformed Host, a length beside
//! chunks, heads of more than 8 KiB, and so on. Each difference is in a [table], with its reason, that the tests make.
//!
//! [table]: https://github.com/ebbtide/ebbtide/blob/main/tests/pairs/tests/hostile/table.md

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod exchange;
mod framing;
mod head;
mod http;
mod io;
mod send;

pub use ebbtide_connection::{Accepted, ConnectionCounts, ConnectionInfo, Connections, Error, RequestInfo};
pub use ebbtide_connection::{Bounds, ConnectionState};
pub use http::Http;
