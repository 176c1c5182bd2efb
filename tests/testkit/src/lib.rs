//! One scenario suite for every server that drains with ebbtide.

// Whatever is not as a test wants it panics: saying so at every function is noise.
#![allow(clippy::missing_panics_doc)]

mod application;
mod body;
pub mod client;
mod clock;
mod driver;
mod executor;
mod feature;
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
