//! What ebbtide's HTTP adapters share. Users of a protocol engine want its adapter, such as `ebbtide-hyper`; this crate
//! is for whoever writes one.
//!
//! - [`Tracker`] is what the parts of one connection share. It holds the connection's guard, and tells its
//!   [`Policy`](policy::Policy) what the parts see.
//! - [`Drive`] polls the engine and does what the policy says. How long each state is waited for is in the [`Bounds`].
//! - [`Transport`] is the connection's bytes: what every engine's I/O does with them alike is written for that.
//! - [`Accepted`] is what a connection begins with: its guard, and its [`Handshake`] if HTTP is not the first thing on it.
//! - [`Connections`] is the list of all connections, for those who ask.

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod bounds;
mod budget;
mod connections;
mod drive;
mod driver;
mod gate;
mod handshake;
pub mod policy;
mod state;
mod tracker;
mod transport;

pub use bounds::Bounds;
pub use budget::Budget;
pub use connections::{ConnectionCounts, ConnectionInfo, Connections, RequestInfo};
pub use drive::{Drive, Error};
pub use handshake::{Accepted, Handshake};
pub use state::ConnectionState;
pub use tracker::Tracker;
pub use transport::{Interim, Transport};
