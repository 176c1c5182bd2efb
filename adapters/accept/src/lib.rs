//! The accept loop of ebbtide's runtime adapters. This crate is for authors of an adapter, and `ebbtide-testkit` has a guide
//! for them. Services use an adapter, such as `ebbtide-tokio`.
//!
//! [`Accept`] turns a [`Listener`] into connections with a guard each, and [`Serve`] spawns a task for each of them:
//!
//! - Every connection has a guard before it can be lost: a clone of the loop's own.
//! - When the drain begins, the kernel is told to begin no more handshakes. The loop waits for those that are under way,
//!   accepts what is queued, and only then closes the listener. An earlier close would reset them all.
//! - If the kernel cannot tell which handshakes are under way, the loop waits for 100 ms. If the kernel cannot refuse new
//!   connections, they are accepted until then.
//! - These settings are undone before the socket is closed or dropped, since other processes may have it too. A listener that
//!   is declared [shared](Serve::shared) is not changed at all.
//! - With a limit of connections, the others stay in the kernel's queue, and once the drain begins in the loop's own.
//! - An error of one connection ([`AcceptErrorKind::Connection`]) is skipped. A lack of descriptors or memory
//!   ([`AcceptErrorKind::Exhaustion`]) pauses the loop. Any other error ends the loop, but does not start the drain: that is
//!   for the caller to decide. [`Serve::on_error`] reports all three, and the errors of connections that were served.
//!
//! # Limits
//!
//! A TCP listener is opened for its other owners again just before it is closed. A client that connects between the two, about
//! a microsecond, is reset if there are no other owners. The kernel does not tell; [`Serve::sole_owner`] does.

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod accept;
mod emptying;
mod error_kind;
mod hook;
mod permits;
mod queue;
mod runtime;
mod serve;
mod task;

pub use accept::{Accept, Accepted};
pub use ebbtide_socket::Peer;
pub use error_kind::AcceptErrorKind;
pub use hook::Failure;
pub use queue::Socket;
pub use runtime::{Listener, Runtime, Spawn};
pub use serve::Serve;
pub use task::{Ended, Task};
