//! The physical limit of an owning handle: one `Arc`, cloned and dropped.

use std::sync::Arc;

use crate::peer::Guards;

pub(crate) struct Limit;

impl Guards for Limit {
    type Source = Arc<u64>;
    type Guard = Arc<u64>;

    fn new() -> Self {
        Self
    }

    fn source(&self) -> Arc<u64> {
        Arc::new(0)
    }

    fn guard(source: &Arc<u64>) -> Arc<u64> {
        source.clone()
    }

    fn start(self) -> impl Sized {}
}
