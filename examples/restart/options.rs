//! The flags of the servers that are replaced by a new version of themselves.

use std::fmt::Display;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use ebbtide_handover::{Builder, Handover};
use lexopt::{Arg, Parser};

const HELP: &str = "\
A server that is replaced by a new version of itself, and no client notices.

  --addr HOST:PORT           main listener, HTTP/1.1 and HTTP/2 [127.0.0.1:8080]
  --diag-addr HOST:PORT      diagnostics listener: /ready, /live [127.0.0.1:8081]
  --handover PATH            control socket, by which a successor takes over [none]
  --drain-timeout-ms N       deadline of the drain; 0: none [10000]
  --ready-delay-ms N         after the signal: not ready, but go on accepting for so long [0]
  --check                    say whether the flags are right, and end
  --help                     this text

SIGHUP starts the program anew, which takes over. The first SIGTERM or SIGINT drains, the second forces, a third kills.";

/// The flags' values.
#[derive(Debug)]
pub(crate) struct Options {
    /// Main listener.
    pub(crate) addr: SocketAddr,
    /// Diagnostics listener.
    pub(crate) diag_addr: SocketAddr,
    /// Control socket.
    pub(crate) handover: Option<PathBuf>,
    /// Deadline of the drain; `None`: none.
    pub(crate) drain_timeout: Option<Duration>,
    /// Lame duck time.
    pub(crate) ready_delay: Duration,
}

impl Options {
    /// Reads the command line. If there is nothing to serve, it is how the program ends.
    pub(crate) fn from_args() -> Result<Self, ExitCode> {
        match Self::parse(Parser::from_env()) {
            Ok(Some(options)) => Ok(options),
            Ok(None) => Err(ExitCode::SUCCESS),
            Err(error) => {
                eprintln!("restart: {error}");
                Err(ExitCode::from(2))
            }
        }
    }

    fn parse(mut args: Parser) -> Result<Option<Self>, String> {
        let mut options = Self {
            addr: SocketAddr::from(([127, 0, 0, 1], 8080)),
            diag_addr: SocketAddr::from(([127, 0, 0, 1], 8081)),
            handover: None,
            drain_timeout: Some(Duration::from_secs(10)),
            ready_delay: Duration::ZERO,
        };
        let mut checks = false;
        while let Some(arg) = args.next().map_err(|error| error.to_string())? {
            match arg {
                Arg::Long("addr") => options.addr = value(&mut args)?,
                Arg::Long("diag-addr") => options.diag_addr = value(&mut args)?,
                Arg::Long("handover") => options.handover = Some(value(&mut args)?),
                Arg::Long("drain-timeout-ms") => {
                    let time = Duration::from_millis(value(&mut args)?);
                    options.drain_timeout = (!time.is_zero()).then_some(time);
                }
                Arg::Long("ready-delay-ms") => options.ready_delay = Duration::from_millis(value(&mut args)?),
                Arg::Long("check") => checks = true,
                Arg::Long("help") => {
                    println!("{HELP}");
                    return Ok(None);
                }
                other => return Err(format!("{}; --help lists the flags", other.unexpected())),
            }
        }
        Ok((!checks).then_some(options))
    }

    /// How the handover starts.
    pub(crate) fn handover(&self) -> Builder {
        let handover = self.handover.as_ref().map_or_else(Handover::from_environment, Handover::at);
        handover.on_event(|event| println!("handover: {event}"))
    }
}

fn value<T: FromStr<Err: Display>>(args: &mut Parser) -> Result<T, String> {
    let value = args.value().map_err(|error| error.to_string())?;
    let text = value.to_string_lossy();
    text.parse().map_err(|error| format!("{text}: {error}"))
}
