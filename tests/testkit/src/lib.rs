//! One scenario suite for every server that drains with ebbtide.

// Whatever is not as a test wants it panics: saying so at every function is noise.
#![allow(clippy::missing_panics_doc)]

mod application;
pub mod client;
#[doc = include_str!("guide.md")]
pub mod guide {}
pub mod http2;
mod start;
mod transport;
pub mod wire;
mod world;

pub use application::{Application, Body, Exchange, Reply};
pub use start::Start;
pub use transport::Transport;

/// How long anything is waited for in real time. No test is about this number: it is only there so that a hang becomes
/// a failure.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);
