//! Building blocks for an HTTP adapter of ebbtide: how one connection ends, its time limits, and the list of all
//! connections. This crate is for authors of an adapter; services use an adapter, such as `ebbtide-hyper`.
//!
//! - [`Policy`](policy::Policy) is the state machine of one connection: what to do with it, and which timers to keep.
//! - [`Bounds`] are its time limits.
//! - [`Tracker`] is the state that the I/O, the requests and the driver of one connection share. It holds the connection's
//!   guard, and reports events to the policy.
//! - [`Drive`] polls the protocol engine and does what the policy says.
//! - [`Transport`] is the connection's byte stream, whichever I/O traits the engine has.
//! - [`Accepted`] is what serving begins with: a guard, and a [`Handshake`] if something precedes HTTP.
//! - [`Connections`] is the list of all connections.
//! - [`Departures`] are the streams of idle connections that leave for a successor.

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod bounds;
mod budget;
mod connections;
mod departures;
mod drive;
mod driver;
mod gate;
mod handshake;
mod leave;
mod permits;
pub mod policy;
mod state;
mod tracker;
mod transport;

pub use bounds::Bounds;
pub use budget::Budget;
pub use connections::{ConnectionCounts, ConnectionInfo, Connections, RequestInfo};
pub use departures::{Departed, Departing, Departures, Exit};
pub use drive::{Drive, Error};
pub use handshake::{Accepted, Handshake};
pub use state::ConnectionState;
pub use tracker::Tracker;
pub use transport::{Interim, Transport};
