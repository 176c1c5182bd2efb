//! One scenario suite for every server that drains with ebbtide.

// Whatever is not as a test wants it panics: saying so at every function is noise.
#![allow(clippy::missing_panics_doc)]

mod application;
pub mod client;
mod clock;
mod driver;
mod executor;
pub mod http2;
#[cfg(feature = "hyper")]
mod hyper;
#[cfg(feature = "tokio")]
mod paused;
mod pipe;
pub mod rehearsal;
mod runtime;
mod simulation;
mod start;
#[cfg(feature = "tokio")]
mod tokio;
mod transport;
pub mod wire;
mod world;

pub use application::{Application, Body, Exchange, Reply};
pub use clock::Sleep;
pub use pipe::{Io, Stream};
pub use rehearsal::Rehearsal;
pub use runtime::Runtime;
pub use simulation::Simulation;
pub use start::Start;
pub use transport::Transport;

/// How long anything is waited for in real time. No test is about this number: it is only there so that a hang becomes
/// a failure.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);
