//! A whole server with graceful shutdown, on async-std and async-h1: a main listener, TLS, diagnostics, signals and a deadline.
//!
//! `cargo run --example server_async_std_h1`, then `curl '127.0.0.1:8080/slow?ms=5000'`, and Ctrl-C in the middle.
//!
//! `server_smol_h1.rs` is the same on smol: compare the two to see what changes.

use std::future::ready;
use std::process::ExitCode;

use async_std::net::TcpListener;
use ebbtide_async_h1::{Bounds, Connections, Http};
use ebbtide_async_std::{AsyncStd, HalfClose, Service, bind};
use ebbtide_example_servers::h1::{endpoint, status};
use ebbtide_examples::application::Application;
use ebbtide_examples::options::Options;
use ebbtide_examples::report::{end, report};
use ebbtide_examples::work::Work;
use ebbtide_examples::{life, tls};
use ebbtide_rustls::futures_io::handshake;
use futures_rustls::TlsAcceptor;

fn main() -> ExitCode {
    life::run(|options, inherited| ebbtide_async_std::run(service(options, inherited)))
}

async fn service(options: Options, inherited: Option<std::net::TcpListener>) -> Result<ExitCode, String> {
    let service = Service::new().lame_duck(options.ready_delay).deadline(options.drain_timeout);
    let (application, connections) = (Application::<AsyncStd>::new(), Connections::new());
    let work = Work::new(service.readiness(), &connections, application.tasks());
    let http = Http::new(async_std::task::sleep).connections(&connections).extend_every_request();
    let answer = move |request| endpoint(application.clone(), request);

    let mut service = service.on_event(report(&work, options.drain_timeout));
    if let Some(tls) = &options.tls {
        let acceptor = TlsAcceptor::from(tls::config(tls, tls::HTTP1)?);
        let (http, answer) = (http.clone(), answer.clone());
        service = service.serve("https", bind(tls.addr).await, move |stream, guard| {
            let (stream, guard) = handshake(HalfClose(stream), guard, |io| acceptor.accept(io));
            http.serve(stream, answer.clone(), guard)
        });
    }
    let has_others = inherited.is_some();
    let listener = match inherited {
        Some(listener) => life::adopted(listener, |it| Ok(TcpListener::from(it))),
        None => bind(options.addr).await,
    };
    let service = service.serve("http", listener, http.service(HalfClose, answer));
    let service = if has_others { service.shared() } else { service.sole_owner() };

    let diagnosed = work.clone();
    let answer = move |request| ready(status(&diagnosed, request));
    // A prober's connection is nothing to wait for.
    let probes = Http::new(async_std::task::sleep).bounds(Bounds::NONE).service(HalfClose, answer);
    let outcome = service.then().serve("diagnostics", bind(options.diag_addr).await, probes).run().await;
    Ok(end(&outcome, &work))
}
