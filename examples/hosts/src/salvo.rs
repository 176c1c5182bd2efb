//! salvo 1.1.

use std::io;

use ebbtide::Guard;
use salvo::conn::tcp::TcpAcceptor;
use salvo::{Router, Server};
use tokio::net::TcpListener;

/// Serves a router of salvo until the drain begins, and then to its last request.
///
/// Promised: requests in flight are answered, and the deadline ends it with its connections. Not promised: WebSockets are not
/// waited for, and half a head holds it for 30 s.
pub async fn serve(listener: TcpListener, app: Router, guard: Guard) -> io::Result<Option<()>> {
    let server = Server::new(TcpAcceptor::try_from(listener)?);
    let (handle, told) = (server.handle(), guard.watcher());
    tokio::spawn(async move {
        told.await;
        handle.stop_graceful(None);
    });
    guard.during(server.try_serve(app)).await.transpose()
}
