//! A runtime of one's own, and hyper.

use std::io;

use ebbtide::Guard;
use ebbtide_hyper::Http;
use ebbtide_rustls::futures_io::handshake;
use ebbtide_testkit::hyper::Service;
use ebbtide_testkit::{Start, Suite};
use ebbtide_toy::toy::block_on;
use ebbtide_toy::toy::net::{TcpListener, TcpStream};
use ebbtide_toy::{Executor, Timer, serve};
use futures_rustls::TlsAcceptor;
use futures_util::FutureExt;
use futures_util::future::Either;
use smol_hyper::rt::FuturesIo;

/// The suite for the pair.
pub fn suite() -> Suite {
    Suite::new("toy + hyper", run)
}

/// Serves until the drain is over.
fn run(start: Start) -> io::Result<()> {
    block_on(async {
        let listener = TcpListener::try_from(start.listener)?;
        let closed = start.guard.watcher().closed();
        let http = Http::new(Executor, Timer).bounds(start.bounds);
        let tls = start.tls.map(TlsAcceptor::from);
        let connection = move |stream: TcpStream, guard: Guard| {
            let service = Service::new(start.application.clone(), guard.clone(), Executor);
            let Some(tls) = &tls else {
                return Either::Left(http.serve(stream, service, guard).map(drop));
            };
            let (stream, guard) = handshake(stream, guard, |io| tls.accept(io));
            Either::Right(http.serve(FuturesIo::new(stream), service, guard).map(drop))
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
