//! poem 3.1.

use std::io;

use ebbtide::Guard;
use poem::listener::TcpAcceptor;
use poem::{IntoEndpoint, Server};
use tokio::net::TcpListener;

/// Serves an endpoint of poem until the drain begins, and then to its last request.
///
/// Promised: requests in flight are answered, and the deadline ends it. Not promised: WebSockets are not waited for, half a head
/// holds it to the deadline, and connections outlive that.
pub async fn serve<E>(listener: TcpListener, app: E, guard: Guard) -> io::Result<Option<()>>
where
    E: IntoEndpoint<Endpoint: 'static>,
{
    let server = Server::new_with_acceptor(TcpAcceptor::from_tokio(listener)?);
    let server = server.run_with_graceful_shutdown(app, guard.watcher(), None);
    guard.during(server).await.transpose()
}
