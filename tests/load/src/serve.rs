//! What is served with.

use crate::heap::Heap;
use crate::pair::Pair;
use crate::{Error, async_std_h1, graceful, smol_h1, smol_hyper, tokio_axum, tokio_hyper};

/// A server.
#[derive(Clone, Copy, Debug)]
pub enum Serve {
    /// ebbtide with the peers' service.
    Minimal(Pair),
    /// ebbtide with the examples' application and books, and a path that tells of the heap.
    Counted(Pair, Heap),
    /// The engine alone, which cannot end: the speed limit. With axum its own `serve`.
    Bare(Pair),
    /// hyper-util's `GracefulShutdown`.
    Graceful,
}

/// What each pair has.
#[derive(Clone, Copy)]
pub(crate) enum With {
    Minimal,
    Counted(Heap),
    Nothing,
}

impl Serve {
    /// Serves until it is told to end.
    ///
    /// # Errors
    ///
    /// Those of its beginning.
    pub fn run(self) -> Result<(), Error> {
        let (pair, with) = match self {
            Self::Minimal(pair) => (pair, With::Minimal),
            Self::Counted(pair, heap) => (pair, With::Counted(heap)),
            Self::Bare(pair) => (pair, With::Nothing),
            Self::Graceful => return graceful::run(),
        };
        match pair {
            Pair::TokioHyper => tokio_hyper::run(with),
            Pair::TokioAxum => tokio_axum::run(with),
            Pair::SmolHyper => smol_hyper::run(with),
            Pair::SmolH1 => smol_h1::run(with),
            Pair::AsyncStdH1 => async_std_h1::run(with),
        }
    }
}
