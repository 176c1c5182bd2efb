//! What ebbtide's HTTP adapters share. Users of a protocol engine want its adapter, such as `ebbtide-hyper`; this crate
//! is for whoever writes one.
//!
//! - [`Record`] is one connection's guard and [`Policy`]. The parts of the connection share
//!   it, and tell it what they see.
//! - [`Drive`] polls the engine and does what the policy says.
//! - [`Accepted`] is what a connection begins with: its guard, and its [`Handshake`] where HTTP is not the first thing on it.
//! - [`Connections`] are all the connections there are, for those who ask.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod bounds;
mod connections;
mod drive;
mod handshake;
mod notes;
pub mod policy;
mod record;
mod state;

pub use bounds::Bounds;
pub use connections::{Connection, Connections, Counts, Request};
pub use drive::{Drive, Error};
pub use handshake::{Accepted, Handshake};
pub use record::{CONTINUE, Ended, READS, Record, STEPS, WRITES, cut};
pub use state::ConnectionState;
