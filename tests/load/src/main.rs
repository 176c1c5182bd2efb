//! What ebbtide does under load, beside its peers, in one run: one command, a table for each question.
//!
//! `cargo run --release -p ebbtide-load -- --help`. Linux only: it reads `/proc`.

mod attack;
mod client;
mod exit;
mod hostile;
mod http2;
mod idle;
mod load;
mod lost;
mod server;
mod subject;
mod table;
mod tally;
mod throughput;

use std::process::ExitCode;

use ebbtide_load::{Error, Pair};
use lexopt::{Arg, Parser, ValueExt};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const HELP: &str = "\
Measures ebbtide under load, beside its peers, in one run.

  ebbtide-load [lost] [idle] [throughput] [exit] [hostile] [options]     nothing named: all

  lost         drains under full load: requests that were written and not answered
  idle         thousands of idle connections and WebSockets, drained: time and memory
  throughput   requests per second beside the same engine alone
  exit         last byte to process exit; processor time while draining
  hostile      thousands of hostile clients among honest ones

  --on PAIR    tokio+hyper, tokio+axum, smol+hyper, smol+h1 or async-std+h1; more than once for more than one
               [all; `idle` and `hostile`, which take minutes for each: tokio+hyper]
  --count N    drains of each kind, and runs of `exit` [100]
  --clients N  connections of `idle` and `hostile` [10000]
  --rounds N   rounds of `throughput` [21]
  --check      exit code 1 where a promise is missed

Other work on the machine shows in every figure: only those of one run compare.";

/// What to measure, and how much of it.
#[derive(Debug)]
struct Options {
    what: Vec<String>,
    on: Vec<Pair>,
    count: usize,
    clients: usize,
    rounds: usize,
    check: bool,
    go: bool,
}

impl Options {
    /// Where to measure what is quickly measured.
    fn pairs(&self) -> &[Pair] {
        if self.on.is_empty() { &Pair::ALL } else { &self.on }
    }

    /// Where to measure what takes minutes.
    fn few_pairs(&self) -> &[Pair] {
        if self.on.is_empty() { &[Pair::TokioHyper] } else { &self.on }
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<ExitCode, Error> {
    let mut args = Parser::from_env();
    let mut options =
        Options { what: vec![], on: vec![], count: 100, clients: 10_000, rounds: 21, check: false, go: false };
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Value(what) if what == "serve" => {
                let name = args.value()?.string()?;
                subject::served(&name, args.value()?.parse()?)?.run()?;
                return Ok(ExitCode::SUCCESS);
            }
            Arg::Value(what) => options.what.push(what.string()?),
            Arg::Long("on") => options.on.push(args.value()?.parse()?),
            Arg::Long("count") => options.count = args.value()?.parse()?,
            Arg::Long("clients") => options.clients = args.value()?.parse()?,
            Arg::Long("rounds") => options.rounds = args.value()?.parse()?,
            Arg::Long("check") => options.check = true,
            Arg::Long("help") => {
                println!("{HELP}");
                return Ok(ExitCode::SUCCESS);
            }
            _ => return Err(arg.unexpected().into()),
        }
    }
    raise_descriptors()?;
    options.go = subject::build()?;
    // One thread: the servers have the rest.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let missed = runtime.block_on(tokio::task::LocalSet::new().run_until(measure(&options)))?;
    for miss in &missed {
        println!("missed: {miss}");
    }
    Ok(ExitCode::from(u8::from(options.check && !missed.is_empty())))
}

/// Every measurement that was asked for. Returns the promises that were missed.
async fn measure(options: &Options) -> Result<Vec<String>, Error> {
    const ALL: [&str; 5] = ["lost", "idle", "throughput", "exit", "hostile"];
    let asked: Vec<&str> =
        if options.what.is_empty() { ALL.to_vec() } else { options.what.iter().map(String::as_str).collect() };
    let mut missed = Vec::new();
    for what in asked {
        missed.extend(match what {
            "lost" => lost::measure(options).await?,
            "idle" => idle::measure(options).await?,
            "throughput" => throughput::measure(options).await?,
            "exit" => exit::measure(options).await?,
            "hostile" => hostile::measure(options).await?,
            _ => return Err(format!("there is no {what}; --help lists what there is").into()),
        });
    }
    Ok(missed)
}

/// As many descriptors as this process may have without asking anybody; its children inherit it.
fn raise_descriptors() -> Result<(), Error> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
    Ok(())
}
