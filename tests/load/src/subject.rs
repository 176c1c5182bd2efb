//! What is measured.

use std::env;
use std::fmt;
use std::path::PathBuf;
use std::process::Command;

use ebbtide_load::{Error, Pair, Serve};

/// A server that can be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// The example: the whole of it, with diagnostics, signals and books.
    Ebbtide(Pair),
    /// Its application and books, with every allocation counted.
    Counted(Pair),
    /// ebbtide with the peers' service.
    Minimal(Pair),
    /// The engine alone, which cannot end; with axum its own `serve`, which can.
    Bare(Pair),
    /// hyper-util's `GracefulShutdown`.
    Graceful,
    /// Go's `http.Server.Shutdown`.
    Go,
}

impl Subject {
    /// The peers: what a pair is compared with.
    pub(crate) fn peers(pair: Pair, go: bool) -> Vec<Self> {
        match pair {
            Pair::TokioHyper if go => vec![Self::Graceful, Self::Go],
            Pair::TokioHyper => vec![Self::Graceful],
            Pair::TokioAxum => vec![Self::Bare(pair)],
            _ => vec![],
        }
    }

    /// The command that starts it on a port of its own.
    pub(crate) fn command(self) -> Result<Command, Error> {
        let serve = |name: &str, pair: Pair| -> Result<Command, Error> {
            let mut command = Command::new(env::current_exe()?);
            command.args(["serve", name, &pair.to_string()]);
            Ok(command)
        };
        match self {
            Self::Ebbtide(pair) => {
                let mut command = Command::new(beside("examples")?.join(pair.example()));
                command.args(["--addr", "127.0.0.1:0", "--diag-addr", "127.0.0.1:0", "--drain-timeout-ms", "0"]);
                Ok(command)
            }
            Self::Counted(pair) => {
                let mut command = Command::new(beside("counted")?);
                command.arg(pair.to_string());
                Ok(command)
            }
            Self::Minimal(pair) => serve("minimal", pair),
            Self::Bare(pair) => serve("bare", pair),
            Self::Graceful => serve("graceful", Pair::TokioHyper),
            Self::Go => Ok(Command::new(beside("load-go")?)),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ebbtide(pair) | Self::Counted(pair) => write!(f, "ebbtide, {pair}"),
            Self::Minimal(pair) => write!(f, "ebbtide, {pair}, peers' service"),
            Self::Bare(Pair::TokioAxum) => f.write_str("axum::serve"),
            Self::Bare(pair) => write!(f, "{pair} alone"),
            Self::Graceful => f.write_str("hyper-util"),
            Self::Go => f.write_str("Go"),
        }
    }
}

/// What `serve` is to be, by the name and the pair that [`Subject::command`] gives it.
pub(crate) fn served(name: &str, pair: Pair) -> Result<Serve, Error> {
    match name {
        "minimal" => Ok(Serve::Minimal(pair)),
        "bare" => Ok(Serve::Bare(pair)),
        "graceful" => Ok(Serve::Graceful),
        _ => Err(format!("there is no server {name}").into()),
    }
}

/// Builds what is not part of this program. Returns whether there is a Go.
pub(crate) fn build() -> Result<bool, Error> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut servers = Command::new(cargo);
    servers.args([
        "build",
        "--quiet",
        "--release",
        "--package",
        "ebbtide-examples",
        "--package",
        "ebbtide-example-servers",
    ]);
    servers.args(Pair::ALL.into_iter().flat_map(|pair| ["--example", pair.example()]));
    servers.args(["--package", "ebbtide-load", "--bin", "counted"]);
    if !servers.current_dir(env!("CARGO_MANIFEST_DIR")).status()?.success() {
        return Err("the servers do not build".into());
    }
    let mut go = Command::new("go");
    go.args(["build", "-o"]).arg(beside("load-go")?).arg("main.go");
    match go.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/go")).status() {
        Ok(status) if status.success() => Ok(true),
        Ok(_) => {
            println!("Go: skipped, its server does not build");
            Ok(false)
        }
        Err(error) => {
            println!("Go: skipped, no `go` here ({error})");
            Ok(false)
        }
    }
}

/// A file next to this program, where cargo has put it.
fn beside(name: &str) -> Result<PathBuf, Error> {
    let program = env::current_exe()?;
    Ok(program.parent().ok_or("this program is nowhere")?.join(name))
}
