//! rocket 0.5.

use ebbtide::Guard;
use rocket::{Build, Ignite, Rocket};

/// Serves a rocket until the drain begins, and then for the times of its own configuration.
///
/// Promised: requests in flight have 5 s (`grace` and `mercy`). Not promised: what takes longer is cut, and the outcome does not
/// say what; its connections outlive an earlier deadline.
pub async fn serve(app: Rocket<Build>, guard: Guard) -> Result<Option<Rocket<Ignite>>, rocket::Error> {
    let app = app.ignite().await?;
    let (shutdown, told) = (app.shutdown(), guard.watcher());
    tokio::spawn(async move {
        told.await;
        shutdown.notify();
    });
    guard.during(app.launch()).await.transpose()
}
