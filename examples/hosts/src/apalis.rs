//! apalis 1.

use apalis::prelude::{Monitor, MonitorError};
use ebbtide::Guard;

/// Runs the workers of a monitor until the drain begins, and then the jobs that have begun.
///
/// Promised: those complete, and no others begin. Not promised: the deadline drops them in the middle, and it is the storage
/// that decides whether they run again.
pub async fn run(monitor: Monitor, guard: Guard) -> Result<Option<()>, MonitorError> {
    let told = guard.watcher();
    let signal = async {
        told.await;
        Ok(())
    };
    guard.during(monitor.run_with_signal(signal)).await.transpose()
}
