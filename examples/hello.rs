//! The smallest server that waits for its slow request.
//!
//! `cargo run --example hello`, then `curl 127.0.0.1:8080` in another terminal, and Ctrl-C here before the answer is
//! there: the answer comes, and then the program ends.

use std::convert::Infallible;
use std::env;
use std::time::Duration;

use ebbtide_hyper::Http;
use ebbtide_tokio::{Outcome, Service, bind};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};

async fn slow_hello(_: Request<Incoming>) -> Result<Response<String>, Infallible> {
    tokio::time::sleep(Duration::from_secs(2)).await;
    Ok(Response::new("hello\n".to_owned()))
}

#[tokio::main]
async fn main() -> Outcome {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let http = Http::new(TokioExecutor::new(), TokioTimer::new());
    Service::new() // Ctrl-C or SIGTERM drains, a second one closes by force
        .on_event(|event| println!("{event}"))
        .serve("hello", bind(address).await, http.service(TokioIo::new, service_fn(slow_hello)))
        .run()
        .await // says how it ended, and what was cut
}
