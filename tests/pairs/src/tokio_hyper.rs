//! tokio and hyper.

use std::io;
use std::sync::LazyLock;

use ebbtide::Guard;
use ebbtide_hyper::Http;
use ebbtide_rustls::tokio::handshake;
use ebbtide_testkit::hyper::Service;
use ebbtide_testkit::{Start, Suite};
use ebbtide_tokio::serve;
use futures_util::FutureExt;
use futures_util::future::Either;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

/// One for all servers, which go on when one of them has ended: what it left behind is seen then.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));

/// The suite for the pair.
pub fn suite() -> Suite {
    Suite::new("tokio + hyper", run)
}

/// Serves until the drain is over.
fn run(start: Start) -> io::Result<()> {
    RUNTIME.block_on(async {
        start.listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(start.listener)?;
        let closed = start.guard.watcher().closed();
        let http = Http::new(TokioExecutor::new(), TokioTimer::new()).bounds(start.bounds);
        let tls = start.tls.map(TlsAcceptor::from);
        let connection = move |stream: TcpStream, guard: Guard| {
            let service = Service::new(start.application.clone(), guard.clone(), TokioExecutor::new());
            let Some(tls) = &tls else {
                return Either::Left(http.serve(TokioIo::new(stream), service, guard).map(drop));
            };
            let (stream, guard) = handshake(stream, guard, |io| tls.accept(io));
            Either::Right(http.serve(TokioIo::new(stream), service, guard).map(drop))
        };
        let mut served = serve(listener, start.guard, connection);
        if let Some(most) = start.max_connections {
            served = served.max_connections(most);
        }
        if start.shared {
            served = served.shared();
        }
        served.await?;
        closed.await;
        Ok(())
    })
}
