//! axum-server 0.9.

use std::io;
use std::net::SocketAddr;

use axum::Router;
use axum_server::Handle;
use ebbtide::Guard;
use tokio::net::TcpListener;

/// Serves an application of axum until the drain begins, and then to its last request.
///
/// Promised: requests in flight are answered, and the deadline ends it. Not promised: WebSockets are not waited for, TLS
/// handshakes are cut, half a head holds it to the deadline, and connections outlive that.
pub async fn serve(listener: TcpListener, app: Router, guard: Guard) -> io::Result<Option<()>> {
    let handle = Handle::<SocketAddr>::new();
    let server = axum_server::from_tcp(listener.into_std()?)?.handle(handle.clone());
    let told = guard.watcher();
    tokio::spawn(async move {
        told.await;
        handle.graceful_shutdown(None);
    });
    guard.during(server.serve(app.into_make_service())).await.transpose()
}
