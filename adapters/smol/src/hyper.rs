//! What hyper wants of smol and `smol-hyper` does not have: tasks of [`smol::spawn`].

/// Runs hyper's tasks where [`smol::spawn`] puts them. (`smol_hyper::rt::SmolExecutor` is for an executor of your own.)
#[derive(Clone, Copy, Debug, Default)]
pub struct Executor;

impl<F: Future<Output: Send + 'static> + Send + 'static> hyper::rt::Executor<F> for Executor {
    fn execute(&self, future: F) {
        smol::spawn(future).detach();
    }
}
