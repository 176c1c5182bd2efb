//! Whether a server drains well: whether it loses no request when it stops, and never hangs.
//!
//! | you have | put it to | which takes |
//! |---|---|---|
//! | a service of your own | a [`Rehearsal`]: its drain after each byte of a request, at each step of the response | some 0.1 s |
//! | a test to write | a [`Simulation`]: tasks, clients and a drain, in memory and virtual time | no time |
//! | a connection function | a [`VirtualSuite`]: the scenarios of the suite, in virtual time | some 0.5 s |
//! | a server, or an adapter | a [`Suite`]: the scenarios over real sockets | some 3 s |
//!
//! A service of your own:
//!
//! ```
//! # use std::convert::Infallible;
//! # use std::time::Duration;
//! # use hyper::{Request, Response, body::Incoming, service::service_fn};
//! use ebbtide_hyper::Http;
//! use ebbtide_testkit::Rehearsal;
//!
//! # async fn hello(_: Request<Incoming>) -> Result<Response<String>, Infallible> { Ok(Response::new("hello".to_owned())) }
//! let rehearsal = Rehearsal::new(|runtime| {
//!     let http = Http::new(runtime.clone(), runtime.clone()); // the tasks and the clock of a simulation
//!     move |io, guard| http.serve(io, service_fn(hello), guard)
//! });
//! let report = rehearsal.run("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
//!
//! println!("{report}"); // each promise: kept; BROKEN: how, and at which byte; not offered: why
//! report.expect_kept(); // panics with what is broken
//! ```
//!
//! A router of axum, on tokio (with `ebbtide-axum`, its extractors find what they need there):
//!
//! ```
//! use axum::{Router, routing::get};
//! use ebbtide_hyper::Http;
//! use ebbtide_testkit::Rehearsal;
//! use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
//!
//! let rehearsal = Rehearsal::new(|_| {
//!     let app: Router = Router::new().route("/", get(|| async { "hello" }));
//!     let http = Http::new(TokioExecutor::new(), TokioTimer::new()).news_in_every_request();
//!     move |io, guard| http.serve_tower(TokioIo::new(io), app.clone(), guard)
//! });
//! rehearsal.on_tokio().run("GET / HTTP/1.1\r\nHost: test\r\n\r\n").expect_kept();
//! ```
//!
//! A stream of events has no end of its own: for that there is [`Rehearsal::run_endless`].
//!
//! A test of your own:
//!
//! ```
//! # use std::convert::Infallible;
//! # use std::time::Duration;
//! # use hyper::{Request, Response, body::Incoming, service::service_fn};
//! use ebbtide_hyper::Http;
//! use ebbtide_testkit::{Simulation, wire::End};
//!
//! # async fn hello(_: Request<Incoming>) -> Result<Response<String>, Infallible> { Ok(Response::new("hello".to_owned())) }
//! let simulation = Simulation::new();
//! let http = Http::new(simulation.runtime(), simulation.runtime());
//! let mut client = simulation.connect(|io, guard| http.serve(io, service_fn(hello), guard));
//!
//! client.send("GET / HTTP/1.1\r\nHo");
//! simulation.settle(); // the server has seen it
//! let _ = simulation.drain().start();
//! simulation.pass(Duration::from_secs(2));
//! client.send("st: test\r\n\r\n");
//!
//! assert_eq!(client.response().text(), "hello"); // runs the server, and time where need be, until it is there
//! assert_eq!(client.end(), End::Fin);
//! simulation.ended(Duration::from_secs(1)).expect("nothing was cut");
//! ```
//!
//! A server:
//!
//! ```
//! use ebbtide::Guard;
//! use ebbtide_hyper::Http;
//! use ebbtide_smol::{Executor, serve};
//! use ebbtide_testkit::{Feature, Start, Suite, hyper::Service};
//! use smol::net::{TcpListener, TcpStream};
//! use smol_hyper::rt::{FuturesIo, SmolTimer};
//!
//! let report = Suite::new("smol + hyper", |start: Start| {
//!     smol::block_on(async {
//!         let listener = TcpListener::try_from(start.listener)?;
//!         let closed = start.guard.watcher().closed();
//!         let http = Http::new(Executor, SmolTimer::new()).bounds(start.bounds);
//!         let connection = move |stream: TcpStream, guard: Guard| {
//!             let service = Service::new(start.application.clone(), guard.clone(), Executor);
//!             let served = http.serve(FuturesIo::new(stream), service, guard);
//!             async { drop(served.await) }
//!         };
//!         serve(listener, start.guard, connection).await?;
//!         closed.await; // until the drain is over
//!         Ok(())
//!     })
//! })
//! .without(Feature::MaxConnections, "left out for this page")
//! .without(Feature::Shared, "left out for this page")
//! .run();
//!
//! report.expect_kept();
//! ```
//!
//! # What your server is given
//!
//! A [`Start`]: where to listen, the guard of a drain that the suite keeps, bounds, and the [`Application`] to serve. The
//! application knows no HTTP library: translate a request into its [`Exchange`], and its [`Reply`] into a response. The
//! [`Body`] is a stream and a reader of `futures-io`. For hyper 1 all that is done: [`hyper::Service`], with the feature
//! `hyper`.
//!
//! Slow requests take until the scenario opens a gate in the application. A bound is either short, or one that no scenario
//! waits for. So a slow machine makes the suite slow, and nothing else.
//!
//! # What it finds out
//!
//! A [`Report`]: every promise with its [`Verdict`]. A promise is a sentence, and the name of the scenario that shows it. The
//! scenarios are in `src/scenarios`, in files by topic: requests, idle connections, upgrades, forced closes, and so on. A
//! scenario that panics or hangs is a broken promise, and the others go on. [Leave out](Suite::without) what your server cannot
//! have, and say why.
//!
//! Every scenario has a server of its own, and several run at a time. All take some 3 s, and up to 1000 descriptors.
//!
//! # In memory and in virtual time
//!
//! Time passes when no task can run, and then at once; what can never come fails at once, and says who waits for what. A
//! service takes its tasks and its clock from somewhere:
//!
//! - as a parameter: give it the simulation's [`Runtime`], which with the feature `hyper` is what hyper wants;
//! - from tokio: with the feature `tokio`, [`Simulation::tokio`], [`Rehearsal::on_tokio`] and [`VirtualSuite::on_tokio`] run it
//!   on a paused runtime of tokio. Then `tokio::spawn` and `tokio::time` are part of the simulation;
//! - from smol or async-std: their clocks and reactors are threads of their own, in real time. So the service must take its
//!   clock as a parameter. An executor, such as `smol::Executor`, may run as one of the simulation's tasks.
//!
//! It has one thread and no socket. So it does not show listeners and their queues, the buffers of the system, handlers
//! that block their thread, or races. For that there is the suite over sockets.
//!
//! # What else is here
//!
//! With the feature `hyper`, the `guide` for whoever writes an adapter for another runtime.
//!
//! The clients: [`client`] speaks HTTP/1 and [`http2`] HTTP/2, over anything that is `Read` and `Write`. They show every byte of a
//! response, and how the connection [ended](wire::End).
//!
//! # What it does not do
//!
//! It sends no signals and runs no processes: those are a server's, not an adapter's. With the feature `rustls` its clients come
//! through TLS where they are asked to ([`Suite::over_tls`], [`VirtualSuite::over_tls`]), and [`tls`] is theirs to use.

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]
// Whatever is not as a test wants it panics: saying so at every function is noise.
#![allow(clippy::missing_panics_doc)]

mod application;
mod body;
mod channel;
pub mod client;
mod clock;
mod driver;
mod executor;
mod feature;
// Its servers are on hyper.
#[cfg(feature = "hyper")]
#[doc = include_str!("guide.md")]
pub mod guide {}
pub mod http2;
#[cfg(feature = "hyper")]
pub mod hyper;
mod memory;
#[cfg(feature = "tokio")]
mod paused;
mod pipe;
mod promise;
mod rehearsal;
mod report;
mod runtime;
mod scenarios;
mod simulation;
mod sockets;
mod start;
mod suite;
#[cfg(feature = "rustls")]
pub mod tls;
mod transport;
mod virtual_suite;
pub mod wire;
mod world;

pub use application::{Application, Exchange, Reply, Work};
pub use body::Body;
pub use clock::Sleep;
pub use feature::Feature;
pub use pipe::{Io, Stream};
pub use rehearsal::Rehearsal;
pub use report::{Outcome, Report, Verdict};
pub use runtime::Runtime;
pub use simulation::Simulation;
pub use start::Start;
pub use suite::Suite;
pub use transport::Transport;
pub use virtual_suite::{VirtualStart, VirtualSuite};

/// How long a client of its own is patient. No test is about this number: it is only there so that a hang becomes a
/// failure.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
