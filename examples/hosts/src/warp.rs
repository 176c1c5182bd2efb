//! warp 0.4.

use ebbtide::Guard;
use tokio::net::TcpListener;
use warp::{Filter, Reply};

/// Serves a filter of warp until the drain begins, and then to its last request.
///
/// Promised: requests in flight are answered, and the deadline ends it. Not promised: WebSockets are not waited for, half a head
/// holds it to the deadline, and connections outlive that.
pub async fn serve<F>(listener: TcpListener, filter: F, guard: Guard) -> Option<()>
where
    F: Filter<Extract: Reply, Error = warp::Rejection> + Clone + Send + Sync + 'static,
{
    let server = warp::serve(filter).incoming(listener).graceful(guard.watcher());
    guard.during(server.run()).await
}
