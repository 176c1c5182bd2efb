//! The accept loop that ebbtide's runtime adapters share. Users of a runtime want its adapter, such as
//! `ebbtide-tokio`; this crate is for whoever writes one, and `ebbtide-testkit` has the guide to that.
//!
//! [`Accept`] turns a [`Listener`] into connections with a guard each, and [`Serve`] spawns a task for each of them:
//!
//! - Every connection has its guard before it can be lost: it is a clone of the one the loop holds.
//! - When the drain begins, the kernel is told to begin no more handshakes, those that are
//!   under way are waited for, and what is queued is accepted; only then the listener closes. A close before that
//!   would reset them all. If the kernel cannot say what is under way, 100 ms more are waited; if it cannot be told
//!   to refuse, newcomers are accepted until then.
//! - What the kernel was told is taken back before the socket is let go, in every way out: others may have it too. A
//!   listener that is said to be [shared](Serve::shared) is not touched at all.
//! - A limit of connections leaves the rest in the kernel's queue, and when the drain begins, in the loop's own.
//! - An error of one connection ([`AcceptErrorKind::Connection`]) is skipped; a lack of descriptors or memory
//!   ([`AcceptErrorKind::Exhaustion`]) pauses the loop; anything else ends it, and nothing else: whoever runs the loop decides
//!   whether to start the drain then. [`Serve::on_error`] tells of all three, and of the errors of
//!   connections that were served.
//!
//! # What cannot be had
//!
//! Between the moment in which a TCP listener is given back to its other owners and the close, about a microsecond, a
//! client may connect and is reset if there are none. The kernel does not say whether there are; [`Serve::sole_owner`]
//! does.

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod accept;
mod emptying;
mod error_kind;
mod hook;
mod permits;
mod queue;
mod serve;
mod task;

pub use accept::{Accept, Accepted, Listener, Runtime, Spawn};
pub use ebbtide_socket::Peer;
pub use error_kind::AcceptErrorKind;
pub use hook::Failure;
pub use queue::Socket;
pub use serve::Serve;
pub use task::{Ended, Task};
