//! `GracefulShutdown` of hyper-util.

use std::io;

use ebbtide::Guard;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::HttpService;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;

/// Serves a service of hyper until the drain begins, and then to its last request.
///
/// Promised: requests in flight are answered, and the deadline ends it. Not promised: there are no upgrades this way, half a head
/// holds it for 30 s, and connections outlive an earlier deadline.
pub async fn serve<S>(listener: TcpListener, service: S, guard: Guard) -> Option<io::Result<()>>
where
    S: HttpService<Incoming, ResBody: Send + 'static, Future: Send> + Clone + Send + 'static,
    <S::ResBody as hyper::body::Body>::Data: Send,
    <S::ResBody as hyper::body::Body>::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (graceful, told) = (GracefulShutdown::new(), guard.watcher());
    guard
        .during(async {
            while let Some(accepted) = told.clone().until_draining(listener.accept()).await {
                let io = TokioIo::new(accepted?.0);
                let connection = http1::Builder::new().timer(TokioTimer::new()).serve_connection(io, service.clone());
                tokio::spawn(graceful.watch(connection));
            }
            drop(listener);
            graceful.shutdown().await;
            Ok(())
        })
        .await
}
