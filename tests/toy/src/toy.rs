//! The runtime: one thread, one queue, one reactor.
//!
//! It is small in scope and in nothing else. Its tasks stay on the thread that spawned them and need not be `Send`; what
//! wakes them, and its sockets and sleeps, may go to any thread.

mod executor;
pub mod net;
mod reactor;
mod sleep;
mod timer;

pub use executor::{JoinHandle, Panicked, block_on, spawn};
pub use sleep::{Sleep, sleep};
