//! The servers' flags.

use std::fmt::Display;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use lexopt::{Arg, Parser};

/// What `--help` prints.
pub const HELP: &str = "\
A server that drains: it loses no request when it stops.

  --addr HOST:PORT           main listener, HTTP/1.1 and HTTP/2 [127.0.0.1:8080]
  --diag-addr HOST:PORT      diagnostics listener: /ready, /live [127.0.0.1:8081]
  --tls-addr HOST:PORT       the application over TLS; needs a certificate and its key
  --tls-cert FILE            certificate chain, PEM
  --tls-key FILE             private key, PEM
  --drain-timeout-ms N       deadline of the drain, counted from the end of the ready delay; 0: none [10000]
  --ready-delay-ms N         after the signal: not ready, but go on accepting for so long [0]
  --help                     this text

A main listener that the environment names is taken instead of --addr: LISTEN_FDS, as systemd passes it.

The first SIGTERM, SIGINT or SIGHUP drains, the second forces, a third kills.
Exit code: 0 drained, 1 work was cut or a listener failed, 2 could not start.";

/// The flags' values.
#[derive(Debug)]
pub struct Options {
    /// Main listener.
    pub addr: SocketAddr,
    /// Diagnostics listener.
    pub diag_addr: SocketAddr,
    /// The main listener's application over TLS.
    pub tls: Option<Tls>,
    /// Deadline of the drain; `None`: none.
    pub drain_timeout: Option<Duration>,
    /// Lame duck time.
    pub ready_delay: Duration,
}

/// Where to listen for TLS, and as whom.
#[derive(Debug)]
pub struct Tls {
    /// Listener.
    pub addr: SocketAddr,
    /// Certificate chain, PEM.
    pub cert: PathBuf,
    /// Private key, PEM.
    pub key: PathBuf,
}

impl Options {
    /// Reads the command line; `None` where the help was asked for.
    ///
    /// # Errors
    ///
    /// One line that says which flag is wrong and why.
    pub fn from_args() -> Result<Option<Self>, String> {
        Self::parse(Parser::from_env())
    }

    fn parse(mut args: Parser) -> Result<Option<Self>, String> {
        let mut options = Self {
            addr: SocketAddr::from(([127, 0, 0, 1], 8080)),
            diag_addr: SocketAddr::from(([127, 0, 0, 1], 8081)),
            tls: None,
            drain_timeout: Some(Duration::from_secs(10)),
            ready_delay: Duration::ZERO,
        };
        let (mut tls_addr, mut cert, mut key) = (None, None, None);
        while let Some(arg) = args.next().map_err(|e| e.to_string())? {
            let Arg::Long(flag) = arg else { return Err(format!("{}; --help lists the flags", arg.unexpected())) };
            let flag = flag.to_owned();
            match flag.as_str() {
                "addr" => options.addr = value(&mut args, &flag)?,
                "diag-addr" => options.diag_addr = value(&mut args, &flag)?,
                "tls-addr" => tls_addr = Some(value(&mut args, &flag)?),
                "tls-cert" => cert = Some(value(&mut args, &flag)?),
                "tls-key" => key = Some(value(&mut args, &flag)?),
                "drain-timeout-ms" => {
                    let time = Duration::from_millis(value(&mut args, &flag)?);
                    options.drain_timeout = (!time.is_zero()).then_some(time);
                }
                "ready-delay-ms" => options.ready_delay = Duration::from_millis(value(&mut args, &flag)?),
                "help" => return Ok(None),
                _ => return Err(format!("there is no flag --{flag}; --help lists them")),
            }
        }
        options.tls = match (tls_addr, cert, key) {
            (Some(addr), Some(cert), Some(key)) => Some(Tls { addr, cert, key }),
            (None, None, None) => None,
            _ => return Err("--tls-addr, --tls-cert and --tls-key go together".into()),
        };
        Ok(Some(options))
    }
}

fn value<T: FromStr<Err: Display>>(args: &mut Parser, flag: &str) -> Result<T, String> {
    let value = args.value().map_err(|e| e.to_string())?;
    let text = value.to_str().ok_or_else(|| format!("--{flag}: not UTF-8"))?;
    text.parse().map_err(|e| format!("--{flag} {text}: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &[&str]) -> Result<Option<Options>, String> {
        Options::parse(Parser::from_args(args))
    }

    #[test]
    fn no_flags_are_fine() {
        let options = parsed(&[]).unwrap().unwrap();
        assert_eq!((options.addr.port(), options.diag_addr.port()), (8080, 8081));
        assert_eq!(options.drain_timeout, Some(Duration::from_secs(10)));
    }

    #[test]
    fn a_timeout_of_zero_is_none() {
        assert_eq!(parsed(&["--drain-timeout-ms", "0"]).unwrap().unwrap().drain_timeout, None);
    }

    #[test]
    fn a_bad_flag_is_named() {
        for (args, named) in [
            (&["--adr", "x"][..], "--adr"),
            (&["--addr", "nonsense"], "--addr nonsense"),
            (&["--drain-timeout-ms", "-1"], "--drain-timeout-ms -1"),
            (&["--addr"], "--addr"),
            (&["--tls-cert", "x"], "--tls-addr"),
            (&["stray"], "stray"),
        ] {
            let error = parsed(args).unwrap_err();
            assert!(error.contains(named), "{args:?}: {error}");
        }
    }
}
