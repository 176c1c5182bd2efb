//! The worker on tokio: `queue_tokio PATH` works on the queue in the SQLite database at `PATH` until a signal comes.

use std::time::Duration;

use ebbtide_queue::{Queue, work};
use ebbtide_tokio::{Outcome, Service, Tokio};

#[tokio::main]
async fn main() -> Outcome {
    let path = std::env::args().nth(1).unwrap_or_else(|| "queue.sqlite".to_owned());
    Service::new()
        .deadline(Duration::from_secs(1))
        .last_call(Duration::from_millis(500))
        .on_event(|event| println!("{event}"))
        .task("worker", |part| async { work::<Tokio>(Queue::open(path)?, part).await })
        .reserve(Duration::from_millis(500)) // to give jobs back after a forced close, too
        .run()
        .await
}
