//! A main server and a diagnostics server that ends after it, with one signal and one deadline.
//!
//! `cargo run --example two_servers`, then `curl 127.0.0.1:8080/5`, Ctrl-C here, and meanwhile
//! `curl 127.0.0.1:8081/ready` and `/live`: not ready from the first instant, alive to the end.

use std::env;
use std::error::Error;
use std::future::ready;
use std::process::ExitCode;
use std::time::Duration;

use ebbtide::{Drain, Guard, Order, State, Watcher};
use ebbtide_hyper::{Bounds, Http};
use ebbtide_signal::{Signals, escalate};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, http};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpListener;

/// The main server: takes as many seconds as its path says.
async fn work(request: Request<Incoming>) -> http::Result<Response<String>> {
    let seconds = request.uri().path().trim_start_matches('/').parse().unwrap_or(0);
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    Ok(Response::new(format!("worked for {seconds} s\n")))
}

/// The diagnostics: readiness ends when the drain of all begins.
fn diagnose(request: &Request<Incoming>, all: &Watcher) -> http::Result<Response<String>> {
    let (status, text) = match (request.uri().path(), all.state()) {
        ("/ready", State::Running) => (200, "ready\n"),
        ("/ready", _) => (503, "draining\n"),
        ("/live", _) => (200, "alive\n"),
        _ => (404, "there are /ready and /live\n"),
    };
    Response::builder().status(status).body(text.to_owned())
}

async fn bind(address: String) -> Result<TcpListener, Box<dyn Error + Send + Sync>> {
    let listener = TcpListener::bind(&address).await.map_err(|error| format!("{address}: {error}"))?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(listener)
}

/// Whatever fails as a part of the order starts the drain of all. The guard comes first: whoever finds the port open is
/// waited for.
async fn listen(order: &Order, part: &'static str, drain: &Drain, address: String) -> Option<(TcpListener, Guard)> {
    let guard = drain.guard()?;
    let listener = order.part(part, guard.clone(), bind(address)).await?;
    Some((listener, guard))
}

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let mut address = |default: &str| arguments.next().unwrap_or_else(|| default.to_owned());

    let (main, diagnostics) = (Drain::new(), Drain::new());
    let order = Order::new().then([("main", main.clone())]).then([("diagnostics", diagnostics.clone())]);
    escalate(order.drain().clone(), Signals::new()?);

    // Both listen before one of them says "ready".
    let main = listen(&order, "main", &main, address("127.0.0.1:8080")).await;
    let diagnostics = listen(&order, "diagnostics", &diagnostics, address("127.0.0.1:8081")).await;
    if let (Some((main, main_guard)), Some((diagnostics, diagnostics_guard))) = (main, diagnostics) {
        let http = Http::new(TokioExecutor::new(), TokioTimer::new());
        // Of the diagnostics only what is in flight is waited for.
        let (also_http, all) = (http.clone().bounds(Bounds::NONE), order.drain().watcher());
        let guards = (main_guard.clone(), diagnostics_guard.clone());
        let main = ebbtide_tokio::serve(main, main_guard, move |stream, guard| {
            http.serve(TokioIo::new(stream), service_fn(work), guard)
        });
        let diagnostics = ebbtide_tokio::serve(diagnostics, diagnostics_guard, move |stream, guard| {
            let all = all.clone();
            let diagnose = service_fn(move |request| ready(diagnose(&request, &all)));
            also_http.serve(TokioIo::new(stream), diagnose, guard)
        });
        tokio::spawn(order.part("main", guards.0, main));
        tokio::spawn(order.part("diagnostics", guards.1, diagnostics));
    }

    order.drain().watcher().await; // a signal, or a failure
    println!("draining: {}", order.drain().cause().expect("it has begun"));
    let drained = ebbtide_tokio::within(order.drain().start(), Duration::from_secs(5)).await;
    let failed = order.failure().map(|failure| eprintln!("two_servers: {failure}"));
    let cut = drained.err().map(|overdue| eprintln!("two_servers: {overdue}"));
    Ok(if failed.or(cut).is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
