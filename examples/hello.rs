//! The smallest server that waits for its slow request.
//!
//! `cargo run --example hello`, then `curl 127.0.0.1:8080` in another terminal, and Ctrl-C here before the answer is
//! there: the answer comes, and then the program ends.

use std::convert::Infallible;
use std::env;
use std::error::Error;
use std::time::Duration;

use ebbtide::{Drain, Draining};
use ebbtide_hyper::Http;
use ebbtide_signal::{Signals, escalate};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpListener;

async fn slow_hello(_: Request<Incoming>) -> Result<Response<String>, Infallible> {
    tokio::time::sleep(Duration::from_secs(2)).await;
    Ok(Response::new("hello\n".to_owned()))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());

    // SIGINT or SIGTERM starts the drain, a second one closes it by force.
    let drain = Drain::new();
    escalate(drain.clone(), Signals::new()?);

    // While a guard is held, the drain waits. Every connection gets a clone of this one.
    let guard = drain.guard().ok_or(Draining)?;
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);

    // Accepts until the drain has begun and no connection is left in the queue.
    let http = Http::new(TokioExecutor::new(), TokioTimer::new());
    let connection = move |stream, guard| http.serve(TokioIo::new(stream), service_fn(slow_hello), guard);
    let served = ebbtide_tokio::serve(listener, guard, connection).await;

    // And now waits for the connections: each ends behind the answers that it owes. An error is the forced close.
    drain.start().await?;
    println!("drained");
    // Why the listener failed, if it did: what was in flight has been waited for then, too.
    Ok(served?)
}
