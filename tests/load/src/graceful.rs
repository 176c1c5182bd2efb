//! hyper-util's own way to end, as its example has it.

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::Error;
use crate::life::listening;
use crate::tokio_hyper::{answer, builder};

pub(crate) fn run() -> Result<(), Error> {
    tokio::runtime::Runtime::new()?.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (builder, graceful) = (builder(), GracefulShutdown::new());
        let mut signals = signal(SignalKind::terminate())?;
        listening(listener.local_addr()?);
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let stream = TokioIo::new(accepted?.0);
                    let connection = builder.serve_connection_with_upgrades(stream, service_fn(answer));
                    tokio::spawn(graceful.watch(connection.into_owned()));
                }
                _ = signals.recv() => break,
            }
        }
        drop(listener);
        graceful.shutdown().await;
        Ok(())
    })
}
