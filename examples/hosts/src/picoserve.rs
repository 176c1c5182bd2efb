//! picoserve 0.20 on embassy.

use ebbtide::{Guard, State};
use embassy_net::Stack;
use embassy_net::tcp::TcpSocket;
use embassy_time::Duration;
use picoserve::routing::PathRouter;
use picoserve::{Config, Router, Server};

/// Serves one client after the other until the drain begins, and the last one for 5 s more at most.
///
/// Returns whether it came to its own end. Promised: the request in flight has 5 s. Not promised: what takes longer is cut, and
/// nobody is told.
// A loop, and not picoserve's `listen_and_serve`: that of 0.20.1 polls its signal again if the last connection ends by an error,
// as one does whose client does not close it, and panics then.
pub async fn serve<P: PathRouter>(stack: Stack<'_>, port: u16, app: &Router<P>, config: &Config, guard: Guard) -> bool {
    let (told, time) = (guard.watcher(), Duration::from_secs(5));
    let (mut rx, mut tx, mut http) = ([0; 1024], [0; 1024], [0; 2048]);
    let server = async {
        while told.state() == State::Running {
            let mut socket = TcpSocket::new(stack, &mut rx, &mut tx);
            if let Some(Ok(())) = told.clone().until_draining(socket.accept(port)).await {
                let server = Server::new(app, config, &mut http).with_graceful_shutdown(told.clone(), time);
                let _error_of_its_client = server.serve(socket).await;
            }
        }
    };
    guard.during(server).await.is_some()
}
