//! jsonrpsee 0.26.

use std::io;

use ebbtide::Guard;
use jsonrpsee::Methods;
use jsonrpsee::server::Server;
use tokio::net::TcpListener;

/// Serves methods over HTTP and WebSockets until the drain begins, and then to the last call.
///
/// Promised: calls in flight are answered, and the deadline ends it. Not promised: subscriptions are closed, half a head
/// holds it to the deadline, and connections outlive that.
pub async fn serve(listener: TcpListener, methods: Methods, guard: Guard) -> io::Result<Option<()>> {
    let handle = Server::builder().build_from_tcp(listener.into_std()?)?.start(methods);
    let told = guard.watcher();
    let server = async {
        told.await;
        let stopped = handle.stop();
        debug_assert!(stopped.is_ok(), "nobody else has stopped it");
        handle.stopped().await;
    };
    Ok(guard.during(server).await)
}
