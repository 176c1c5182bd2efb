//! `Executor`: smol's global executor, for hyper.

/// An executor for hyper that spawns by [`smol::spawn`]. (`smol_hyper::rt::SmolExecutor` is for an executor of your own.)
#[derive(Clone, Copy, Debug, Default)]
pub struct Executor;

impl Executor {
    /// The executor, under the name by which hyper-util's for tokio is made.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl<F: Future<Output: Send + 'static> + Send + 'static> hyper::rt::Executor<F> for Executor {
    fn execute(&self, future: F) {
        smol::spawn(future).detach();
    }
}
