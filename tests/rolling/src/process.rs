//! A child process that does not outlive its owner.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::Error;

#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
}

/// Between two looks at what has no event to wait for.
pub(crate) const PAUSE: Duration = Duration::from_millis(5);

impl Process {
    /// Starts it; what it says goes to a log.
    pub(crate) fn start(command: &mut Command, log: &Path) -> Result<Self, Error> {
        let log = File::options().create(true).append(true).open(log)?;
        let (out, err) = (log.try_clone()?, log);
        let child = command.stdin(Stdio::null()).stdout(out).stderr(err).spawn();
        let child = child.map_err(|error| format!("{}: {error}", command.get_program().to_string_lossy()))?;
        Ok(Self { child })
    }

    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }

    /// How it has ended, if it has.
    pub(crate) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }
}

impl Drop for Process {
    /// By SIGTERM first: the workers of nginx would outlive a master that is killed.
    fn drop(&mut self) {
        const PATIENCE: Duration = Duration::from_secs(2);
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        drop(self.signal(Signal::TERM));
        let end = Instant::now() + PATIENCE;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > end {
                drop(self.child.kill());
                drop(self.child.wait());
                return;
            }
            std::thread::sleep(PAUSE);
        }
    }
}
