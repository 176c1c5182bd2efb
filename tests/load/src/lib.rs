//! The servers that are measured: ebbtide on each pair of a runtime and an HTTP engine, the engines alone, and the peer
//! that is written in Rust. Each is a process of its own, which says where it listens and drains at SIGTERM.

mod async_std_h1;
mod graceful;
mod heap;
mod life;
mod pair;
mod query;
mod serve;
mod smol_h1;
mod smol_hyper;
mod tokio_axum;
mod tokio_hyper;

pub use heap::Heap;
pub use pair::Pair;
pub use serve::Serve;

/// What a measurement can fail of. A miss is none: it is what was asked for.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
