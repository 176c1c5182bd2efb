//! A tonic server that drains: calls of all four kinds, a health service, and a lame duck time.
//!
//! `cargo run -p ebbtide-tonic --example server_tonic`, and Ctrl-C. It listens on 127.0.0.1:50051; with `--help` it says what
//! else it can.

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use ebbtide::Drain;
use ebbtide_signal::{Signals, escalate};
use ebbtide_tonic::{Connections, Health, RequestExt, ending, serve};
use futures_util::{StreamExt, stream};
use lexopt::{Arg, Parser, ValueExt};
use tokio::net::TcpListener;
use tonic::service::Routes;
use tonic::{Request, Response, Streaming};

use crate::talk::{Answer, Number, Numbers, Talk, TalkServer};

mod talk;

/// Its calls take a while, so that some are always in flight.
struct Slow;

const WORK: Duration = Duration::from_millis(5);

impl Talk for Slow {
    async fn say(&self, request: Request<Number>) -> Answer<Number> {
        tokio::time::sleep(WORK).await;
        Ok(Response::new(request.into_inner()))
    }

    /// Counts for ever, so it ends with the drain.
    async fn count(&self, request: Request<Number>) -> Answer<Numbers> {
        let draining = request.draining()?;
        let numbers = stream::iter(request.get_ref().value..).then(|value| async move {
            tokio::time::sleep(WORK).await;
            Ok(Number { value })
        });
        Ok(Response::new(Box::pin(ending(numbers, draining))))
    }

    async fn sum(&self, request: Request<Streaming<Number>>) -> Answer<Number> {
        let mut numbers = request.into_inner();
        let mut sum = 0;
        while let Some(number) = numbers.message().await? {
            sum += number.value;
        }
        Ok(Response::new(Number { value: sum }))
    }

    async fn echo(&self, request: Request<Streaming<Number>>) -> Answer<Numbers> {
        Ok(Response::new(Box::pin(request.into_inner())))
    }
}

async fn run(options: Options) -> Result<(), Box<dyn Error>> {
    let drain = Drain::new();
    escalate(drain.clone(), Signals::new()?);
    let listener = TcpListener::bind(&options.addr).await?;
    println!("listening on {}", listener.local_addr()?);

    let health = Health::new().drain(&drain);
    health.set_serving::<TalkServer<Slow>>();
    let routes = Routes::new(TalkServer::new(Slow)).add_service(health.server());
    let server = serve(listener, routes)
        .drain(&drain)
        .lame_duck(options.lame_duck)
        .deadline(options.deadline)
        .connections(&Connections::new());
    Ok(server.await?)
}

struct Options {
    addr: String,
    lame_duck: Duration,
    deadline: Duration,
}

const HELP: &str = "\
A tonic server that drains.

  --addr HOST:PORT     where it listens [127.0.0.1:50051]
  --lame-duck-ms N     after the signal: not ready, but go on for so long [0]
  --deadline-ms N      deadline of the drain [10000]";

impl Options {
    fn from_args() -> Result<Option<Self>, lexopt::Error> {
        let mut options =
            Self { addr: "127.0.0.1:50051".into(), lame_duck: Duration::ZERO, deadline: Duration::from_secs(10) };
        let mut args = Parser::from_env();
        while let Some(arg) = args.next()? {
            match arg {
                Arg::Long("addr") => options.addr = args.value()?.string()?,
                Arg::Long("lame-duck-ms") => options.lame_duck = Duration::from_millis(args.value()?.parse()?),
                Arg::Long("deadline-ms") => options.deadline = Duration::from_millis(args.value()?.parse()?),
                Arg::Long("help") => return Ok(None),
                other => return Err(other.unexpected()),
            }
        }
        Ok(Some(options))
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let ended = match Options::from_args() {
        Ok(Some(options)) => run(options).await,
        Ok(None) => {
            println!("{HELP}");
            Ok(())
        }
        Err(error) => Err(error.into()),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("server_tonic: {error}");
            ExitCode::FAILURE
        }
    }
}
