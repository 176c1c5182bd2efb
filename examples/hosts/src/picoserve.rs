//! picoserve 0.20 on embassy.

use ebbtide::Guard;
use embassy_net::Stack;
use embassy_time::Duration;
use picoserve::routing::PathRouter;
use picoserve::{Config, Router, Server};

/// Serves one client after the other until the drain begins, and the last one for 5 s more at most.
///
/// Returns whether it came to its own end. Promised: the request in flight has 5 s. Not promised: what takes longer is cut, and
/// nobody is told.
pub async fn serve<P: PathRouter>(stack: Stack<'_>, port: u16, app: &Router<P>, config: &Config, guard: Guard) -> bool {
    let (mut rx, mut tx, mut http) = ([0; 1024], [0; 1024], [0; 2048]);
    let server = Server::new(app, config, &mut http).with_graceful_shutdown(guard.watcher(), Duration::from_secs(5));
    guard.during(server.listen_and_serve("http", stack, port, &mut rx, &mut tx)).await.is_some()
}
