//! HTTP/1 connections of async-h1 that lose no request when the service stops, on any runtime with futures-io streams.
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
//! async-h1 has had no release since 2023. A new service is better off with `ebbtide-hyper`, which runs on smol too.
//!
//! What happens to a connection in which state is the table of [`ebbtide::connection`]; how long it is waited for is
//! its [`Bounds`]. There is no HTTP/2. Of async-h1 this uses the decoder and the encoder of one request; the rest of its
//! server cannot be drained, and has traps that this crate keeps its users out of:
//!
//! | async-h1's server | here |
//! |---|---|
//! | loses what it has read of a head when it is cancelled | a head is read whole before async-h1 sees it |
//! | drops an endpoint's error, and what it cannot read, with the connection | answered with the error's status, by default 500, and with 400, 431, 501 or 505 |
//! | hangs up on HTTP/1.0, so on a load balancer's health check | translated; answered without chunks, then closed |
//! | loses a request that is pipelined, and what an upgraded client sent early | kept, and handed to whose it is |
//! | reads the rest of a request's body for as long as it takes | what is there is dropped; else the response says `Connection: close`, and the rest is read for no longer than [`Bounds::linger`] |
//! | hangs where the section behind the last chunk is read in two pieces | handed to it once it is whole |
//! | refuses chunks that have extensions | it does not see them |
//! | takes `Connection: close` only where it stands alone | among other options too |
//! | reads a body in a coding it does not know as the next request | answered with 501 |
//! | closes without having read everything, so that a reset may destroy the response | half-closes, and lingers |
//! | goes on with a request whose client is gone | the endpoint's future is dropped, or the response's body |
//! | sends an endpoint's `content-length` beside the chunks of a body that it does not know the length of | the chunks alone |
//! | waits 60 s for a head on a reactor of its own, and for a `100 Continue` on threads of its own | waits for [`Bounds::request`] by your clock; `100 Continue` is sent when the body is first read |
//! | sends a `content-length` with `101 Switching Protocols` | none |

mod exchange;
mod framing;
mod head;
mod http;
mod io;
mod send;

pub use ebbtide::connection::{Bounds, ConnectionState};
pub use ebbtide_connection::{Accepted, Connection, Connections, Counts, Error, Request};
pub use http::Http;
