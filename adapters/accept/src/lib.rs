//! The accept loop that ebbtide's runtime adapters share. Users of a runtime want its adapter, such as
//! `ebbtide-tokio`; this crate is for whoever writes one, and `ebbtide-testkit` has the guide to that.
//!
//! [`Accept`] turns a [`Listener`] into connections with a guard each, and [`Serve`] spawns a task for each of them:
//!
//! - Every connection has its guard before it can be lost: it is a clone of the one the loop holds.
//! - When the drain begins, and the lame duck time is over, the kernel is told to take no more handshakes, what it has
//!   queued is accepted and handed out, and only then the listener closes. A close with connections in the queue resets
//!   them all.
//! - A limit of connections leaves the rest in the queue.
//! - An error of one connection ([`Severity::Connection`]) is skipped; a lack of descriptors or memory
//!   ([`Severity::Exhaustion`]) pauses the loop; anything else ends it.

mod accept;
mod emptying;
#[cfg(target_os = "linux")]
mod half_open;
mod hook;
mod permits;
mod queue;
mod serve;
mod severity;

pub use accept::{Accept, Accepted, Listener, Runtime, Spawn};
pub use queue::Socket;
pub use serve::Serve;
pub use severity::Severity;
