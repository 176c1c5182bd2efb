//! graphile_worker 0.14.

use ebbtide::Guard;
use graphile_worker::WorkerOptions;

/// Runs jobs of a database until the drain begins, and then those that have begun.
///
/// Promised: those have 5 s (`shutdown_grace_period`). Not promised: a job that takes longer is aborted, and is tried again 30 s
/// later by default.
pub async fn run(worker: WorkerOptions, guard: Guard) -> Result<Option<()>, Box<dyn std::error::Error>> {
    let worker = worker.listen_os_shutdown_signals(false).shutdown_signal(guard.watcher());
    let worker = worker.init().await?;
    Ok(guard.during(worker.run()).await.transpose()?)
}
