//! One server at work: a child process, from its first line to its exit.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use ebbtide_load::Error;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use crate::subject::Subject;

/// A running server. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Server {
    /// Where it listens.
    pub(crate) addr: SocketAddr,
    pid: Pid,
    exit: oneshot::Receiver<Exit>,
    exited: bool,
    /// Kept, so that what it prints does not fail.
    _output: BufReader<ChildStdout>,
}

/// How a server ended.
#[derive(Debug)]
pub(crate) struct Exit {
    /// When.
    pub(crate) at: Instant,
    /// Its exit code, or the signal that it died of.
    pub(crate) status: ExitStatus,
}

impl Server {
    /// Starts it and waits until it listens.
    pub(crate) fn start(subject: Subject) -> Result<Self, Error> {
        Self::run(subject.command()?)
    }

    /// Starts what this command is.
    pub(crate) fn run(mut command: Command) -> Result<Self, Error> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let pid = Pid::from_child(&child);
        let mut output = BufReader::new(child.stdout.take().ok_or("no output")?);
        let (tell, exit) = oneshot::channel();
        // A thread of its own: a signal handler or a poll would be late.
        std::thread::spawn(move || {
            if let Ok(status) = child.wait() {
                drop(tell.send(Exit { at: Instant::now(), status }));
            }
        });
        let mut line = String::new();
        let addr = loop {
            line.clear();
            if output.read_line(&mut line)? == 0 {
                return Err("the server did not start".into());
            }
            if let Some(addr) = line.trim().strip_prefix("serving on http://") {
                break addr.parse()?;
            }
        };
        Ok(Self { addr, pid, exit, exited: false, _output: output })
    }

    /// Tells it to drain. Returns when.
    pub(crate) fn drain(&self) -> Result<Instant, Error> {
        let now = Instant::now();
        kill_process(self.pid, Signal::TERM)?;
        Ok(now)
    }

    /// Waits for its exit, at most so long; then it is an error, and killed when dropped.
    pub(crate) async fn exit(&mut self, limit: Duration) -> Result<Exit, Error> {
        let exit = tokio::time::timeout(limit, &mut self.exit).await;
        let exit = exit.map_err(|_| format!("not gone after {limit:?}"))??;
        self.exited = true;
        Ok(exit)
    }

    /// Resident memory in KiB.
    pub(crate) fn memory(&self) -> Result<u64, Error> {
        self.status("VmRSS:")
    }

    /// The most that it ever was.
    pub(crate) fn peak(&self) -> Result<u64, Error> {
        self.status("VmHWM:")
    }

    fn status(&self, key: &str) -> Result<u64, Error> {
        let status = fs::read_to_string(self.proc("status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix(key)).ok_or("no such line")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }

    /// What it has allocated and not freed, in bytes, where it counts that.
    pub(crate) async fn heap(&self) -> Result<u64, Error> {
        let mut stream = TcpStream::connect(self.addr).await?;
        stream.write_all(b"GET /heap HTTP/1.1\r\nHost: load\r\nConnection: close\r\n\r\n").await?;
        let mut response = String::new();
        stream.read_to_string(&mut response).await?;
        Ok(response.rsplit("\r\n").next().ok_or("no body")?.parse()?)
    }

    /// How many descriptors it has open.
    pub(crate) fn descriptors(&self) -> Result<u64, Error> {
        Ok(fs::read_dir(self.proc("fd"))?.count() as u64)
    }

    /// The processor time of all its threads.
    pub(crate) fn cpu(&self) -> Result<Duration, Error> {
        let mut sum = 0;
        for task in fs::read_dir(self.proc("task"))? {
            let schedstat = fs::read_to_string(task?.path().join("schedstat"))?;
            sum += schedstat.split(' ').next().ok_or("no such field")?.parse::<u64>()?;
        }
        Ok(Duration::from_nanos(sum))
    }

    fn proc(&self, file: &str) -> String {
        format!("/proc/{}/{file}", self.pid.as_raw_nonzero())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Whoever was waited for may be another process by now.
        if !self.exited && self.exit.try_recv().is_err() {
            let _ = kill_process(self.pid, Signal::KILL);
        }
    }
}
