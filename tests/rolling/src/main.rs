//! Restarts replicas behind a proxy, under load that notices what it loses. `tests/rolling.sh` is the command.

mod grpc;
mod http;
mod load;
mod options;
mod process;
mod proxy;
mod replica;
mod rolling;
mod setup;
#[path = "../../../adapters/tonic/examples/talk/mod.rs"]
mod talk;
mod tally;
mod websocket;

use std::process::ExitCode;

use options::{HELP, Options};
use rolling::Noticed;
use setup::{Setup, Subject};

/// Why it could not be tried.
pub(crate) type Error = Box<dyn std::error::Error>;

/// How often a run is tried that the machine has spoilt.
const ATTEMPTS: u32 = 3;

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("rolling: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<ExitCode, Error> {
    let Some(options) = Options::from_args()? else {
        println!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    };
    // One thread: the servers and the proxy have the rest.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut is_content = true;
    for subject in &options.subjects {
        for &setup in subject.setups {
            if options.setups.is_empty() || options.setups.contains(&setup) {
                let local = tokio::task::LocalSet::new();
                let noticed = runtime.block_on(local.run_until(tried(subject, setup, &options)))?;
                is_content &= match (options.control, options.kill) {
                    (false, _) => noticed.wrong.is_empty(),
                    // That a replica was killed is seen without clients.
                    (true, true) => noticed.failures > 0,
                    (true, false) => !noticed.wrong.is_empty(),
                };
                for what in noticed.wrong {
                    println!("{}: {what}", if options.control { "noticed, as it must be" } else { "WRONG" });
                }
                println!();
            }
        }
    }
    Ok(if is_content { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Restarts the replicas. Does so again if the proxy was wrong about them: a machine that stood still, or is too slow for such
/// times, says nothing about the server.
async fn tried(subject: &Subject, setup: Setup, options: &Options) -> Result<Noticed, Error> {
    let is_meant = options.kill || options.lame_duck.is_zero();
    for _ in 1..ATTEMPTS {
        let noticed = rolling::run(subject, setup, options).await?;
        if is_meant || noticed.misjudged == 0 || noticed.wrong.is_empty() {
            return Ok(noticed);
        }
        println!("VOID, and again: the proxy misjudged replicas {} times: {:?}\n", noticed.misjudged, noticed.wrong);
    }
    rolling::run(subject, setup, options).await
}
