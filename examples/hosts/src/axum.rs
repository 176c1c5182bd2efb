//! axum 0.8.

use std::io;

use axum::Router;
use ebbtide::Guard;
use tokio::net::TcpListener;

/// Serves an application of axum until the drain begins, and then to its last request.
///
/// Promised: requests in flight are answered, and the deadline ends it. Not promised: WebSockets are not waited for, half a head
/// holds it to the deadline, and connections outlive that.
pub async fn serve(listener: TcpListener, app: Router, guard: Guard) -> Option<io::Result<()>> {
    let server = axum::serve(listener, app).with_graceful_shutdown(guard.watcher());
    guard.during(server.into_future()).await
}
