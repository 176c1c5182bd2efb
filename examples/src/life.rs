//! From the flags to the exit code: what every server does, whatever it runs on.

use std::io;
use std::net::TcpListener;
use std::process::ExitCode;

use crate::options::{HELP, Options};
use crate::{inherited, output};

/// Runs a server with the flags it was given, and with the main listener if it inherited one. Its error is that it cannot
/// start.
pub fn run(server: impl FnOnce(Options, Option<TcpListener>) -> Result<ExitCode, String>) -> ExitCode {
    let started = match Options::from_args() {
        Ok(Some(options)) => inherited::main_listener().and_then(|listener| server(options, listener)),
        Ok(None) => {
            output::say(HELP);
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => Err(error),
    };
    let code = started.unwrap_or_else(|error| {
        output::complain(format!("server: {error}"));
        ExitCode::from(2)
    });
    output::finish();
    code
}

/// Makes an inherited listener the runtime's: `from_std` is the runtime's name for that.
///
/// # Errors
///
/// Those of the runtime.
pub fn adopted<L>(listener: TcpListener, from_std: impl FnOnce(TcpListener) -> io::Result<L>) -> io::Result<L> {
    listener.set_nonblocking(true)?;
    from_std(listener)
}
