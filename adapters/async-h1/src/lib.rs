//! Graceful shutdown for the HTTP/1 connections of async-h1, on any runtime with futures-io streams.
//!
//! async-h1 has had no release since 2023, and its parser has known bugs. For a new service use `ebbtide-hyper`, which runs on
//! smol, too.
//!
//! [`Http::serve`] takes a connection, an endpoint and a [`Guard`](ebbtide::Guard). It returns the future that serves the
//! connection, and shuts it down without losing a request once the drain begins:
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
//! What happens to a connection in each state is a table in [`ebbtide_connection::policy`]; the time limits are [`Bounds`].
//! There is no HTTP/2.
//!
//! # Connections that outlive the process
//!
//! A successor can take over idle connections with their open sockets, so that their clients notice nothing. [`Leaving`]
//! wraps the I/O of a connection for that, and [`Departures`] has the streams. Its page says which connections leave, and
//! when.
//!
//! ```no_run
//! use ebbtide::{Drain, Guard};
//! use ebbtide_async_h1::{Departed, Departures, Exit, Http, Leaving};
//! use smol::net::TcpStream;
//! # use http_types::{Request, Response};
//! # async fn hello(_: Request) -> http_types::Result<Response> { unimplemented!() }
//! # async fn give(_: &TcpStream) -> std::io::Result<()> { Ok(()) }
//!
//! async fn connection(http: Http, stream: TcpStream, guard: Guard, exit: Exit<TcpStream>) {
//!     let (io, guard) = Leaving::new(stream, guard, &exit);
//!     let _ = http.serve(io, hello, guard).await;
//! }
//!
//! /// The successor is ready, and has the listener.
//! async fn hand_over(drain: Drain, mut departures: Departures<TcpStream>) {
//!     departures.begin();
//!     let drained = drain.start();
//!     // It ends with the last connection and the accept loop, if that has the only other `Exit`.
//!     while let Some(departed) = departures.next().await {
//!         smol::spawn(give_one(departed)).detach();
//!     }
//!     let _ = drained.await;
//! }
//!
//! async fn give_one(departed: Departed<TcpStream>) {
//!     if give(departed.io()).await.is_ok() {
//!         return; // the successor has it: ours is closed here, and the drain waits no longer
//!     }
//!     let (stream, guard) = departed.into_parts(); // it drains here, like a connection that was just accepted
//!     let _ = Http::new(smol::Timer::after).serve(stream, hello, guard).await;
//! }
//! ```
//!
//! # Differences from async-h1's own server
//!
//! Only the responses are written by async-h1. Requests are read here, by the strict grammar of RFC 9112. The rest of its
//! server is not used, since it cannot be drained. Its server has these faults:
//!
//! | async-h1's server | here |
//! |---|---|
//! | accepts malformed chunks, and reads what follows as a request | answered with 400, then closed, whatever the endpoint returns |
//! | panics if a field is not ASCII | answered with 400, since http-types cannot hold such a value; such a trailer is left out |
//! | accepts several Host fields, and lets one change the path of the URL | answered with 400 |
//! | reads `get` as `GET` | answered with 501, like every method that http-types does not have |
//! | does not accept `OPTIONS *` | its URL has the path `/` |
//! | loses what it has read of a head when it is cancelled | a request begins once its head is complete |
//! | closes the connection if an endpoint fails, or if it cannot parse a request | answered with the error's status, by default 500; or with 400, 414, 431, 501 or 505 |
//! | closes connections of HTTP/1.0, such as a load balancer's health check | served without chunks, then closed |
//! | loses a pipelined request, and what an upgraded client sent early | kept for the next request, or for the handler |
//! | reads the rest of a request body without a limit | what has come is dropped; otherwise the response says `Connection: close`, and the rest is read for at most [`Bounds::linger`] |
//! | hangs if the trailer section comes in two reads, and refuses chunk extensions | reads the section, and ignores extensions |
//! | sees `Connection: close` only if it is the only option | also among others |
//! | reads a body with an unknown transfer coding as the next request | answered with 501 |
//! | does not notice that a client which closed its direction has disconnected | writes a `100 Continue`, as `ebbtide-hyper` does, and notices the reset |
//! | closes without a response when it is cut | answers `503` and `Retry-After` if the response has not begun |
//! | closes with unread input, so that a reset may destroy the response | half-closes, and lingers |
//! | goes on with a request whose client has disconnected | drops the endpoint's future, or the response body |
//! | reads for as long as a client sends without a pause, so that other tasks of the thread starve | yields to them |
//! | sends fields with line ends in them (response splitting) | answered with 500, as is an interim response |
//! | sends a body with 204 and 304, and the endpoint's own framing fields | no body, and the right framing |
//! | goes on after a response body that is shorter than its length | closes the connection |
//! | sends an endpoint's `content-length` beside the chunks of a body of unknown length | chunks only |
//! | waits 60 s for a head on a reactor of its own, and for a `100 Continue` on threads of its own | waits for [`Bounds::request`] by your clock; `100 Continue` is sent when the body is first read |
//! | sends a `content-length` with `101 Switching Protocols` | none |
//!
//! # Differences from hyper
//!
//! It accepts no request that hyper does not accept, and refuses more. Examples are a lone LF, a missing or malformed Host, a
//! length beside chunks, and heads of more than 8 KiB. The tests generate a [table] of all differences, with their reasons.
//!
//! [table]: https://github.com/ebbtide/ebbtide/blob/main/tests/pairs/tests/hostile/table.md

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod exchange;
mod framing;
mod head;
mod http;
mod io;
mod leaving;
mod send;

pub use ebbtide_connection::{Accepted, ConnectionCounts, ConnectionInfo, Connections, Error, RequestInfo};
pub use ebbtide_connection::{Bounds, ConnectionState};
pub use ebbtide_connection::{Departed, Departures, Exit};
pub use http::Http;
pub use leaving::Leaving;
