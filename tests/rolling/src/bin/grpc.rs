//! A tonic server with a readiness port, and with the flags of the example servers that the rolling restarts need.

use std::error::Error;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use ebbtide::{Drain, State};
use ebbtide_signal::{Signals, escalate};
use ebbtide_tonic::{RequestExt, ending, serve};
use futures_util::{StreamExt, stream};
use lexopt::{Arg, Parser, ValueExt};
use talk::{Answer, Number, Numbers, Talk, TalkServer};
use tokio::net::TcpListener;
use tonic::service::Routes;
use tonic::{Request, Response, Streaming};

#[path = "../../../../adapters/tonic/examples/talk/mod.rs"]
mod talk;

/// Its calls take long enough for some to be in flight whenever a drain begins.
struct Slow;

const WORK: Duration = Duration::from_millis(5);

impl Talk for Slow {
    async fn say(&self, request: Request<Number>) -> Answer<Number> {
        tokio::time::sleep(WORK).await;
        Ok(Response::new(request.into_inner()))
    }

    async fn count(&self, request: Request<Number>) -> Answer<Numbers> {
        let draining = request.draining()?;
        let numbers = stream::iter(request.get_ref().value..).then(|value| async move {
            tokio::time::sleep(WORK).await;
            Ok(Number::of(value))
        });
        Ok(Response::new(Box::pin(ending(numbers, draining))))
    }

    async fn sum(&self, request: Request<Streaming<Number>>) -> Answer<Number> {
        let mut numbers = request.into_inner();
        let mut sum = 0;
        while let Some(number) = numbers.message().await? {
            sum += number.value;
        }
        Ok(Response::new(Number::of(sum)))
    }

    async fn echo(&self, request: Request<Streaming<Number>>) -> Answer<Numbers> {
        Ok(Response::new(Box::pin(request.into_inner())))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (mut addr, mut diagnostics) = (String::from("127.0.0.1:8080"), String::from("127.0.0.1:8081"));
    let (mut lame_duck, mut deadline) = (Duration::ZERO, Duration::from_secs(10));
    let mut args = Parser::from_env();
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Long("addr") => addr = args.value()?.string()?,
            Arg::Long("diag-addr") => diagnostics = args.value()?.string()?,
            Arg::Long("ready-delay-ms") => lame_duck = Duration::from_millis(args.value()?.parse()?),
            Arg::Long("drain-timeout-ms") => deadline = Duration::from_millis(args.value()?.parse()?),
            other => return Err(other.unexpected().into()),
        }
    }

    let drain = Drain::new();
    escalate(drain.clone(), Signals::new()?);
    let watcher = drain.watcher();
    let ready = move || async move {
        if watcher.state() == State::Running { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
    };
    // To the end of the process.
    let unending = Drain::new();
    let probe = ebbtide_axum::serve(TcpListener::bind(&diagnostics).await?, Router::new().route("/ready", get(ready)));
    tokio::spawn(probe.drain(&unending).into_future());

    let routes = Routes::new(TalkServer::new(Slow));
    let server = serve(TcpListener::bind(&addr).await?, routes);
    Ok(server.drain(&drain).lame_duck(lame_duck).deadline(deadline).await?)
}
