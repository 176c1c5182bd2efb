//! `axum::serve` that drains.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod error;
mod extract;
mod incoming;
mod life;
mod listener;
mod runtime;
mod server;
mod signals;
#[cfg(feature = "smol")]
pub mod smol;
#[cfg(feature = "tokio")]
pub mod tokio;
mod transport;

/// What `axum::serve` has beside the function, for programs that name it: its path is the only change.
#[cfg(feature = "tokio")]
pub mod serve {
    pub use axum::serve::{Listener, ListenerExt, TapIo};

    pub use crate::tokio::{IncomingStream, Serve};
}

pub use ebbtide_accept::Failure;
pub use ebbtide_hyper::{Bounds, Connections};
pub use error::Error;
pub use extract::{Draining, InFlight};
pub use incoming::IncomingStream;
pub use listener::Listener;
pub use runtime::{Connection, Executor, Runtime};
pub use server::{Server, Serving};
#[cfg(feature = "tokio")]
pub use tokio::serve;
pub use transport::Plain;
#[cfg(feature = "rustls")]
pub use transport::Rustls;
pub use transport::Transport;
