//! A server that prints every change of its connections' states, and their counts.
//!
//! `cargo run --example connection_states`, then `curl 127.0.0.1:8080`, `nc 127.0.0.1 8080` with nonsense typed into it,
//! `curl -H 'Connection: upgrade' -H 'Upgrade: echo' 127.0.0.1:8080`; then Ctrl-C.

use std::convert::Infallible;
use std::env;

use ebbtide_hyper::{Connections, Http};
use ebbtide_tokio::{Outcome, Service, bind};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue, UPGRADE};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};

/// Says hello, or becomes an echo.
async fn answer(mut request: Request<Incoming>) -> Result<Response<String>, Infallible> {
    if !request.headers().contains_key(UPGRADE) {
        return Ok(Response::new("hello\n".to_owned()));
    }
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        if let Ok(connection) = upgrade.await {
            let (mut read, mut write) = tokio::io::split(TokioIo::new(connection));
            let _ = tokio::io::copy(&mut read, &mut write).await;
        }
    });
    let mut response = Response::new(String::new());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
    response.headers_mut().insert(UPGRADE, HeaderValue::from_static("echo"));
    Ok(response)
}

#[tokio::main]
async fn main() -> Outcome {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());

    // Counted from what there is, not by adding and taking away, so nothing can be missed.
    let all = Connections::new();
    let counted = all.clone();
    let connections = all.on_change(move |connection| println!("{connection}  {}", counted.counts()));

    let http = Http::new(TokioExecutor::new(), TokioTimer::new()).connections(&connections);
    Service::new()
        .on_event(|event| println!("{event}")) // once a second it says which connections are waited for
        .serve("server", bind(address).await, http.service(TokioIo::new, service_fn(answer)))
        .run()
        .await
}
