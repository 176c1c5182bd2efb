//! A main server and a diagnostics server that ends after it, with one signal and one deadline.
//!
//! `cargo run --example two_servers`, then `curl 127.0.0.1:8080/5`, Ctrl-C here, and meanwhile
//! `curl 127.0.0.1:8081/ready` and `/live`: not ready from the first instant, alive to the end.

use std::{env, future::ready, time::Duration};

use ebbtide_hyper::{Bounds, Http};
use ebbtide_tokio::{Outcome, Readiness, Service, bind};
use hyper::{Request, Response, body::Incoming, http, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};

/// The main server: takes as many seconds as its path says.
async fn work(request: Request<Incoming>) -> http::Result<Response<String>> {
    let seconds = request.uri().path().trim_start_matches('/').parse().unwrap_or(0);
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    Ok(Response::new(format!("worked for {seconds} s\n")))
}

/// The diagnostics: readiness ends when the drain begins.
fn diagnose(request: &Request<Incoming>, readiness: &Readiness) -> http::Result<Response<String>> {
    let (status, text) = match (request.uri().path(), readiness.obstacle()) {
        ("/ready", None) => (200, "ready".to_owned()),
        ("/ready", Some(obstacle)) => (503, obstacle.to_string()),
        ("/live", _) => (200, "alive".to_owned()),
        _ => (404, "there are /ready and /live".to_owned()),
    };
    Response::builder().status(status).body(text + "\n")
}

#[tokio::main]
async fn main() -> Outcome {
    let address = |at, default: &str| env::args().nth(at).unwrap_or_else(|| default.to_owned());
    let http = Http::new(TokioExecutor::new(), TokioTimer::new());
    let probes = http.clone().bounds(Bounds::NONE); // of these only what is in flight is waited for
    let service = Service::new().deadline(Duration::from_secs(5)).on_event(|event| println!("{event}"));
    let readiness = service.readiness();
    let diagnosis = service_fn(move |request| ready(diagnose(&request, &readiness)));
    service
        .serve("main", bind(address(1, "127.0.0.1:8080")).await, http.service(TokioIo::new, service_fn(work)))
        .then()
        .serve("diagnostics", bind(address(2, "127.0.0.1:8081")).await, probes.service(TokioIo::new, diagnosis))
        .run()
        .await
}
