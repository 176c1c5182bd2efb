//! A server with a deadline of 3 seconds, and what happens if it is started and drained in another order.
//!
//! `cargo run --example deadline`, then `curl 127.0.0.1:8080/1` (answered) or `/9` (cut), and Ctrl-C meanwhile.
//! Other orders are arguments after the address:
//!
//! - `-- 127.0.0.1:8080 start start`: the second start is an error, the address is in use.
//! - `-- 127.0.0.1:8080 start drain start`: a start after the drain is an error, and nothing listens.
//! - `-- 127.0.0.1:8080 drain drain`: without a start there is nothing to wait for, so a drain succeeds at once.

use std::convert::Infallible;
use std::env;
use std::error::Error;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use ebbtide::{Drain, Overdue};
use ebbtide_hyper::Http;
use ebbtide_signal::{Signals, escalate};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::task::spawn_blocking;

/// Takes as many seconds as its path says, of a thread that nobody can take back.
async fn work(request: Request<Incoming>) -> Result<Response<String>, Infallible> {
    let seconds = request.uri().path().trim_start_matches('/').parse().unwrap_or(0);
    spawn_blocking(move || thread::sleep(Duration::from_secs(seconds))).await.expect("sleep does not panic");
    Ok(Response::new(format!("worked for {seconds} s\n")))
}

/// Once this has returned, whoever connects is served.
async fn start(address: &mut String, drain: &Drain) -> Result<(), Box<dyn Error>> {
    let guard = drain.guard().ok_or("the drain has begun, nothing starts any more")?;
    let listener = TcpListener::bind(&*address).await?;
    *address = listener.local_addr()?.to_string();
    println!("listening on http://{address}");

    let http = Http::new(TokioExecutor::new(), TokioTimer::new());
    let connection = move |stream, guard| http.serve(TokioIo::new(stream), service_fn(work), guard);
    tokio::spawn(ebbtide_tokio::serve(listener, guard, connection));
    Ok(())
}

/// Waits for what is in flight, but no longer than 3 seconds: then cuts it. Every call tells of the same end.
async fn end(drain: &Drain) -> Result<(), Overdue> {
    ebbtide_tokio::within(drain.start(), Duration::from_secs(3)).await
}

async fn live(drain: &Drain) -> Result<(), Box<dyn Error>> {
    escalate(drain.clone(), Signals::new()?);
    let mut arguments = env::args().skip(1);
    let mut address = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let orders: Vec<String> = arguments.collect();
    let usual = vec!["start".to_owned(), "wait".to_owned(), "drain".to_owned()];
    for order in if orders.is_empty() { usual } else { orders } {
        match order.as_str() {
            "start" => start(&mut address, drain).await?,
            "wait" => drain.watcher().await,
            "drain" => end(drain).await?,
            _ => return Err(format!("{order} is none of: start, wait, drain").into()),
        }
        println!("{order}: done");
    }
    Ok(())
}

fn main() -> ExitCode {
    let runtime = Runtime::new().expect("a runtime");
    let code = runtime.block_on(run());
    // `#[tokio::main]` would wait here for the threads that still work, deadline or not.
    runtime.shutdown_background();
    code
}

async fn run() -> ExitCode {
    let drain = Drain::new();
    let lived = live(&drain).await;
    // After an error, too, what is in flight is waited for.
    let ended = end(&drain).await;
    let Err(error) = lived.and(ended.map_err(Into::into)) else { return ExitCode::SUCCESS };
    eprintln!("deadline: {error}");
    ExitCode::FAILURE
}
