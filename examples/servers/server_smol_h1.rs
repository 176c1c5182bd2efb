//! A whole server with graceful shutdown, on smol and async-h1: a main listener, TLS, diagnostics, signals and a deadline.
//!
//! `cargo run --example server_smol_h1`, then `curl '127.0.0.1:8080/slow?ms=5000'`, and Ctrl-C in the middle.
//!
//! `server_async_std_h1.rs` is the same on async-std: compare the two to see what changes.

use std::convert::identity;
use std::future::ready;
use std::process::ExitCode;

use ebbtide_async_h1::{Bounds, Connections, Http};
use ebbtide_example_servers::h1::{endpoint, status};
use ebbtide_examples::application::Application;
use ebbtide_examples::options::Options;
use ebbtide_examples::report::{end, report};
use ebbtide_examples::work::Work;
use ebbtide_examples::{life, tls};
use ebbtide_rustls::futures_io::handshake;
use ebbtide_smol::{Service, Smol, bind};
use futures_rustls::TlsAcceptor;
use smol::net::TcpListener;

fn main() -> ExitCode {
    life::run(|options, inherited| ebbtide_smol::run(service(options, inherited)))
}

async fn service(options: Options, inherited: Option<std::net::TcpListener>) -> Result<ExitCode, String> {
    let service = Service::new().lame_duck(options.ready_delay).deadline(options.drain_timeout);
    let (application, connections) = (Application::<Smol>::new(), Connections::new());
    let work = Work::new(service.readiness(), &connections, application.tasks());
    let http = Http::new(smol::Timer::after).connections(&connections).extend_every_request();
    let answer = move |request| endpoint(application.clone(), request);

    let mut service = service.on_event(report(&work, options.drain_timeout));
    if let Some(tls) = &options.tls {
        let acceptor = TlsAcceptor::from(tls::config(tls, tls::HTTP1)?);
        let (http, answer) = (http.clone(), answer.clone());
        service = service.serve("https", bind(tls.addr).await, move |stream, guard| {
            let (stream, guard) = handshake(stream, guard, |io| acceptor.accept(io));
            http.serve(stream, answer.clone(), guard)
        });
    }
    let has_others = inherited.is_some();
    let listener = match inherited {
        Some(listener) => life::adopted(listener, TcpListener::try_from),
        None => bind(options.addr).await,
    };
    let service = service.serve("http", listener, http.service(identity, answer));
    let service = if has_others { service.shared() } else { service.sole_owner() };

    let diagnosed = work.clone();
    let answer = move |request| ready(status(&diagnosed, request));
    // A prober's connection is nothing to wait for.
    let probes = Http::new(smol::Timer::after).bounds(Bounds::NONE).service(identity, answer);
    let outcome = service.then().serve("diagnostics", bind(options.diag_addr).await, probes).run().await;
    Ok(end(&outcome, &work))
}
