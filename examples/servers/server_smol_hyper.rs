//! A whole server with graceful shutdown, on smol and hyper: a main listener, TLS, diagnostics, signals and a deadline.
//!
//! `cargo run --example server_smol_hyper`, then `curl '127.0.0.1:8080/slow?ms=5000'`, and Ctrl-C in the middle.
//!
//! `server.rs` is the same on tokio: compare the two to see what changes.

use std::convert::Infallible;
use std::future::ready;
use std::process::ExitCode;

use ebbtide_examples::application::{Application, diagnostics};
use ebbtide_examples::options::Options;
use ebbtide_examples::report::{end, report};
use ebbtide_examples::work::Work;
use ebbtide_examples::{life, tls};
use ebbtide_hyper::{Bounds, Connections, Http};
use ebbtide_rustls::futures_io::handshake;
use ebbtide_smol::{Executor, Service, Smol, bind};
use futures_rustls::TlsAcceptor;
use hyper::service::service_fn;
use smol::net::TcpListener;
use smol_hyper::rt::{FuturesIo, SmolTimer};

fn main() -> ExitCode {
    life::run(|options, inherited| ebbtide_smol::run(service(options, inherited)))
}

async fn service(options: Options, inherited: Option<std::net::TcpListener>) -> Result<ExitCode, String> {
    let service = Service::new().lame_duck(options.ready_delay).deadline(options.drain_timeout);
    let (application, connections) = (Application::<Smol>::new(), Connections::new());
    let work = Work::new(service.readiness(), &connections, application.tasks());
    let http = Http::new(Executor::new(), SmolTimer::new()).connections(&connections).extend_every_request();

    let mut service = service.on_event(report(&work, options.drain_timeout));
    if let Some(tls) = &options.tls {
        let acceptor = TlsAcceptor::from(tls::config(tls, tls::HTTP)?);
        let (http, application) = (http.clone(), application.clone());
        service = service.serve("https", bind(tls.addr).await, move |stream, guard| {
            let (stream, guard) = handshake(stream, guard, |io| acceptor.accept(io));
            http.serve(FuturesIo::new(stream), application.clone(), guard)
        });
    }
    let has_others = inherited.is_some();
    let listener = match inherited {
        Some(listener) => life::adopted(listener, TcpListener::try_from),
        None => bind(options.addr).await,
    };
    let service = service.serve("http", listener, http.service(FuturesIo::new, application));
    let service = if has_others { service.shared() } else { service.sole_owner() };

    let status = work.clone();
    let answer = service_fn(move |request| ready(Ok::<_, Infallible>(diagnostics(&status, &request))));
    // A prober's connection is nothing to wait for.
    let probes = Http::new(Executor::new(), SmolTimer::new()).bounds(Bounds::NONE).service(FuturesIo::new, answer);
    let outcome = service.then().serve("diagnostics", bind(options.diag_addr).await, probes).run().await;
    Ok(end(&outcome, &work))
}
