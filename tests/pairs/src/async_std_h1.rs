//! async-std and async-h1.

use std::io;

use async_std::net::{TcpListener, TcpStream};
use async_std::task;
use ebbtide::Guard;
use ebbtide_async_h1::Http;
use ebbtide_async_std::{HalfClose, serve};
use ebbtide_rustls::futures_io::handshake;
use ebbtide_testkit::{Feature, Start, Suite};
use futures_rustls::TlsAcceptor;
use futures_util::FutureExt;
use futures_util::future::Either;

use crate::h1::{NO_HTTP2, endpoint};

/// The suite for the pair.
pub fn suite() -> Suite {
    Suite::new("async-std + async-h1", run).without(Feature::Http2, NO_HTTP2)
}

/// Serves until the drain is over.
fn run(start: Start) -> io::Result<()> {
    task::block_on(async {
        let listener = TcpListener::from(start.listener);
        let closed = start.guard.watcher().closed();
        let http = Http::new(task::sleep).bounds(start.bounds);
        let tls = start.tls.map(TlsAcceptor::from);
        let connection = move |stream: TcpStream, guard: Guard| {
            let endpoint = endpoint(start.application.clone(), guard.clone(), |task| drop(task::spawn(task)));
            let Some(tls) = &tls else {
                return Either::Left(http.serve(HalfClose(stream), endpoint, guard).map(drop));
            };
            let (stream, guard) = handshake(HalfClose(stream), guard, |io| tls.accept(io));
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
