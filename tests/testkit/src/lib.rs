//! One scenario suite for every server that drains with ebbtide.

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
