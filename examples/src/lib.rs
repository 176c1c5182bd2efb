//! What the example servers share: their flags, their application, their life, and how they tell of a drain.

pub mod application;
pub mod inherited;
pub mod life;
pub mod options;
pub mod output;
pub mod report;
pub mod tls;
pub mod work;

use std::future::Future;
use std::time::Duration;

/// What the application needs of a runtime.
pub trait Runtime: Clone + Send + Sync + 'static {
    /// Sleeps.
    fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send;

    /// Runs a task in the background.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static);
}
