//! smol and async-h1.

use std::io;

use ebbtide::Guard;
use ebbtide_async_h1::Http;
use ebbtide_rustls::futures_io::handshake;
use ebbtide_smol::serve;
use ebbtide_testkit::{Feature, Start, Suite};
use futures_rustls::TlsAcceptor;
use futures_util::FutureExt;
use futures_util::future::Either;
use smol::net::{TcpListener, TcpStream};

use crate::h1::{NO_HTTP2, endpoint};

/// The suite for the pair.
pub fn suite() -> Suite {
    Suite::new("smol + async-h1", run).without(Feature::Http2, NO_HTTP2)
}

/// Serves until the drain is over.
fn run(start: Start) -> io::Result<()> {
    smol::block_on(async {
        let listener = TcpListener::try_from(start.listener)?;
        let closed = start.guard.watcher().closed();
        let http = Http::new(smol::Timer::after).bounds(start.bounds);
        let tls = start.tls.map(TlsAcceptor::from);
        let connection = move |stream: TcpStream, guard: Guard| {
            let endpoint = endpoint(start.application.clone(), guard.clone(), |task| smol::spawn(task).detach());
            let Some(tls) = &tls else {
                return Either::Left(http.serve(stream, endpoint, guard).map(drop));
            };
            let (stream, guard) = handshake(stream, guard, |io| tls.accept(io));
            Either::Right(http.serve(stream, endpoint, guard).map(drop))
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
