//! A whole server with graceful shutdown, on axum and tokio: a main listener, TLS, diagnostics, signals and a deadline.
//!
//! `cargo run --example server_axum`, then `curl '127.0.0.1:8080/slow?ms=5000'`, and Ctrl-C in the middle.
//!
//! `server_axum_smol.rs` is the same on smol: compare the two to see what changes.

use std::io;
use std::process::ExitCode;

use ebbtide_axum::{Bounds, Connections, serve};
use ebbtide_example_servers::routes::{routes, status};
use ebbtide_examples::application::Application;
use ebbtide_examples::options::Options;
use ebbtide_examples::report::{end, failed, listening, report};
use ebbtide_examples::work::Work;
use ebbtide_examples::{life, tls};
use ebbtide_tokio::{Service, Tokio, bind};
use tokio::net::TcpListener;

fn main() -> ExitCode {
    life::run(|options, inherited| ebbtide_tokio::run(service(options, inherited)))
}

async fn service(options: Options, inherited: Option<std::net::TcpListener>) -> Result<ExitCode, String> {
    let service = Service::new().lame_duck(options.ready_delay).deadline(options.drain_timeout);
    let (application, connections) = (Application::<Tokio>::new(), Connections::new());
    let work = Work::new(service.readiness(), &connections, application.tasks());
    let app = routes(application);

    // A prober's connection is nothing to wait for.
    let listener = listened("diagnostics", bind(options.diag_addr).await)?;
    let probes = serve(listener, status(work.clone())).bounds(Bounds::NONE);
    let mut service = service.on_event(report(&work, options.drain_timeout));
    if let Some(tls) = &options.tls {
        let listener = listened("https", bind(tls.addr).await)?;
        let server = serve(listener, app.clone()).rustls(tls::config(tls, tls::HTTP)?).connections(&connections);
        service = service.task("https", |part| server.guard(part.guard()).on_error(|it| failed(it)));
    }
    let has_others = inherited.is_some();
    let listener = match inherited {
        Some(listener) => life::adopted(listener, TcpListener::from_std),
        None => bind(options.addr).await,
    };
    let main = serve(listened("http", listener)?, app).connections(&connections).on_error(|it| failed(it));
    let main = if has_others { main.shared() } else { main.sole_owner() };
    let service = service.task("http", |part| main.guard(part.guard()));
    let outcome = service.then().task("diagnostics", |part| probes.guard(part.guard())).run().await;
    Ok(end(&outcome, &work))
}

/// Says where it listens; or, for the start to fail with, why it does not.
fn listened(part: &str, listener: io::Result<TcpListener>) -> Result<TcpListener, String> {
    let listener = listener.map_err(|error| error.to_string())?;
    listening(part, &listener.local_addr().map_err(|error| error.to_string())?.to_string());
    Ok(listener)
}
