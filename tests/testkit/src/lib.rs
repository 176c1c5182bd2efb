//! One scenario suite for every server that drains with ebbtide, for the authors of adapters: give it a way to start
//! your server, and it says which promise breaks, and how.
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
//!         serve(listener, start.guard, connection).named().lame_duck(start.lame_duck).await?;
//!         closed.await; // until the drain is over
//!         Ok(())
//!     })
//! })
//! .without(Feature::MaxConnections, "left out for this page")
//! .run();
//!
//! println!("{report}"); // each promise: kept; BROKEN: how; not offered: why
//! report.expect_kept(); // panics with what is broken
//! ```
//!
//! # What your server is given
//!
//! A [`Start`]: where to listen, the guard of a drain that the suite keeps, bounds, and the [`Application`] to serve. The
//! application knows no HTTP library: translate a request into its [`Exchange`], and its [`Reply`] into a response. The
//! [`Body`] is a stream and a reader of `futures-io`. For hyper 1 all that is done: [`hyper::Service`], with the feature
//! `hyper`.
//!
//! What takes time takes it until the scenario says so, by a gate in the application, and a bound is either short or one
//! that no scenario waits for. So a machine that is slow makes the suite slow, and nothing else.
//!
//! # What it finds out
//!
//! A [`Report`]: every promise with its [`Verdict`]. A promise is a sentence and the name of the scenario that shows
//! it, under `src/scenarios`, by what it is about: requests and unread bodies, clients that leave, idle connections,
//! heads, the listener, upgrades, guards, forced closes, HTTP/2, and load. A scenario that panics or hangs is a broken
//! promise, and the others go on. What your server cannot have, [leave out](Suite::without) and say why.
//!
//! Every scenario has a server of its own, and several run at a time. All take some 3 s, and up to 1000 descriptors.
//!
//! # What else is here
//!
//! With the feature `hyper`, the `guide` for whoever writes an adapter for another runtime.
//!
//! The clients: [`client`] speaks HTTP/1 and [`http2`] HTTP/2, over anything that is `Read` and `Write`, and show what
//! was said word for word and how the connection [ended](wire::End).
//!
//! # What it does not do
//!
//! It sends no signals and runs no processes: those are a server's, not an adapter's. It speaks no TLS.

// Whatever is not as a test wants it panics: saying so at every function is noise.
#![allow(clippy::missing_panics_doc)]

mod application;
mod body;
pub mod client;
mod feature;
// Its servers are on hyper.
#[cfg(feature = "hyper")]
#[doc = include_str!("guide.md")]
pub mod guide {}
pub mod http2;
#[cfg(feature = "hyper")]
pub mod hyper;
mod promise;
mod report;
mod scenarios;
mod sockets;
mod start;
mod suite;
mod transport;
pub mod wire;
mod world;

pub use application::{Application, Exchange, Reply, Work};
pub use body::Body;
pub use feature::Feature;
pub use report::{Outcome, Report, Verdict};
pub use start::Start;
pub use suite::Suite;
pub use transport::Transport;

/// How long a client of its own is patient. No test is about this number: it is only there so that a hang becomes a
/// failure.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);
