//! actix-web 4.12 or newer.

use std::io;

use actix_web::web::ServiceConfig;
use actix_web::{App, HttpServer};
use ebbtide::Guard;
use tokio::net::TcpListener;

/// Serves an application of actix-web until the drain begins, and then to its last request.
///
/// Promised: requests in flight are answered, and the deadline ends it with its connections. Not promised: what takes longer
/// than `shutdown_timeout` is cut, and the outcome does not say so.
pub async fn serve<F>(listener: TcpListener, routes: F, guard: Guard) -> io::Result<Option<()>>
where
    F: Fn(&mut ServiceConfig) + Clone + Send + 'static,
{
    let server = HttpServer::new(move || App::new().configure(routes.clone()))
        .listen(listener.into_std()?)?
        .shutdown_signal(guard.watcher())
        .shutdown_timeout(30)
        .run();
    guard.during(server).await.transpose()
}
