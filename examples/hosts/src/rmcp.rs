//! rmcp 3, the Model Context Protocol.

use std::error::Error;

use ebbtide::Guard;
use rmcp::service::QuitReason;
use rmcp::{ServerHandler, ServiceExt};
use tokio::io::{AsyncRead, AsyncWrite};

/// Serves a client on `io` until the drain begins, and then its requests in flight for 2 s.
///
/// Promised: they are answered, if they take no longer. Not promised: a handler that does take longer is told to stop, and its
/// client gets no answer.
pub async fn serve<S, I>(service: S, io: I, guard: Guard) -> Result<Option<QuitReason>, Box<dyn Error>>
where
    S: ServerHandler,
    I: AsyncRead + AsyncWrite + Send + 'static,
{
    let running = service.serve(tokio::io::split(io)).await?;
    let (stop, told) = (running.cancellation_token(), guard.watcher());
    tokio::spawn(async move {
        told.await;
        stop.cancel();
    });
    Ok(guard.during(running.waiting()).await.transpose()?)
}
