//! A server that prints every change of its connections' states, and their counts.
//!
//! `cargo run --example connection_states`, then `curl 127.0.0.1:8080`, `nc 127.0.0.1 8080` with nonsense typed into it,
//! `curl -H 'Connection: upgrade' -H 'Upgrade: echo' 127.0.0.1:8080`; then Ctrl-C.

use std::convert::Infallible;
use std::env;
use std::error::Error;

use ebbtide::Drain;
use ebbtide_hyper::{Connections, Http};
use ebbtide_signal::{Signals, escalate};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue, UPGRADE};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpListener;

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
async fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let drain = Drain::new();
    let guard = drain.guard().ok_or("nothing has started it yet")?;
    escalate(drain.clone(), Signals::new()?);
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);

    // Counted from what there is, not by adding and taking away, so nothing can be missed.
    let all = Connections::new();
    let counted = all.clone();
    let connections = all.on_change(move |connection| println!("{connection}  {}", counted.counts()));

    let http = Http::new(TokioExecutor::new(), TokioTimer::new()).connections(&connections);
    let connection = move |stream, guard| http.serve(TokioIo::new(stream), service_fn(answer), guard);
    ebbtide_tokio::serve(listener, guard, connection).await?;

    // Each connection that is waited for has a line in `drain.held()`; what a forced close cuts is in the error.
    for held in drain.held() {
        println!("waiting for {held}");
    }
    drain.start().await?;
    println!("drained");
    Ok(())
}
