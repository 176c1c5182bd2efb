//! What is measured.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use crate::Error;

/// A server that can be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// The example: the whole of it, with diagnostics, signals and books.
    Ebbtide,
    /// ebbtide with the peers' service.
    Minimal,
    /// hyper-util's `GracefulShutdown`.
    Graceful,
    /// Go's `http.Server.Shutdown`.
    Go,
    /// hyper that cannot end.
    Bare,
}

impl Subject {
    /// What the tables call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ebbtide => "ebbtide",
            Self::Minimal => "ebbtide, peers' service",
            Self::Graceful => "hyper-util",
            Self::Go => "Go",
            Self::Bare => "bare hyper",
        }
    }

    /// The command that starts it on a port of its own.
    pub(crate) fn command(self) -> Result<Command, Error> {
        let peer = |name: &str| -> Result<Command, Error> {
            let mut command = Command::new(env::current_exe()?);
            command.args(["serve", name]);
            Ok(command)
        };
        match self {
            Self::Ebbtide => {
                let mut command = Command::new(beside("examples/server")?);
                command.args(["--addr", "127.0.0.1:0", "--diag-addr", "127.0.0.1:0", "--drain-timeout-ms", "0"]);
                Ok(command)
            }
            Self::Minimal => peer("ebbtide"),
            Self::Graceful => peer("graceful"),
            Self::Bare => peer("bare"),
            Self::Go => Ok(Command::new(beside("load-go")?)),
        }
    }
}

/// Builds what is not part of this program. Returns whether there is a Go.
pub(crate) fn build() -> Result<bool, Error> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut example = Command::new(cargo);
    example.args(["build", "--quiet", "--release", "--package", "ebbtide-examples", "--example", "server"]);
    if !example.current_dir(env!("CARGO_MANIFEST_DIR")).status()?.success() {
        return Err("the example server does not build".into());
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
