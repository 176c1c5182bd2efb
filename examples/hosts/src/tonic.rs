//! tonic 0.14.

use ebbtide::Guard;
use tokio::net::TcpListener;
use tonic::service::Routes;
use tonic::transport::Error;
use tonic::transport::server::{Server, TcpIncoming};

/// Serves routes of tonic until the drain begins, and then to its last call.
///
/// Promised: calls in flight are answered, and the deadline ends it. Not promised: streams without an end, among them a health
/// `Watch`, and clients that say nothing hold it to the deadline, and connections outlive that.
pub async fn serve(listener: TcpListener, routes: Routes, guard: Guard) -> Result<Option<()>, Error> {
    let server = Server::builder().add_routes(routes);
    let server = server.serve_with_incoming_shutdown(TcpIncoming::from(listener), guard.watcher());
    guard.during(server).await.transpose()
}
