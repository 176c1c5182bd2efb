//! What holds ebbtide to account: a server as a child process, and clients that see every byte.
//!
//! Nothing here sleeps for a guessed time. A test waits for what it needs: a status, a byte, an end; and gives up loudly
//! after [`PATIENCE`].
#![cfg(unix)]
// Whatever is not as a test wants it panics: saying so at every function is noise.
#![allow(clippy::missing_panics_doc)]

pub mod client;
pub mod http2;
pub mod process;
pub mod wire;

/// How long anything is waited for. No test is about this number: it is only there so that a hang becomes a failure.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);
