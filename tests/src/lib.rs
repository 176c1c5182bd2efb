//! What holds ebbtide to account beyond its testkit: a server as a child process.
//!
//! Nothing here sleeps for a guessed time. A test waits for what it needs: a status, a byte, an end; and gives up loudly
//! after [`PATIENCE`](ebbtide_testkit::PATIENCE).
#![cfg(unix)]
// Whatever is not as a test wants it panics: saying so at every function is noise.
#![allow(clippy::missing_panics_doc)]

pub mod process;
