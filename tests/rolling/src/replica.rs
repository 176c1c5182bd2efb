//! A replica: a server on an address of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Error;
use crate::process::{PAUSE, Process};

#[derive(Debug)]
pub(crate) struct Replica {
    program: PathBuf,
    addr: Ipv4Addr,
    lame_duck: Duration,
    log: PathBuf,
    process: Process,
}

/// After the lame duck time. Nothing of the load takes so long.
const DEADLINE: Duration = Duration::from_secs(20);
const MARGIN: Duration = Duration::from_secs(5);
/// How long a start may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// The ports of examples/deploy.
const PORTS: (u16, u16) = (8080, 8081);

impl Replica {
    /// Starts it, and waits until it is ready.
    pub(crate) async fn start(
        program: PathBuf,
        addr: Ipv4Addr,
        lame_duck: Duration,
        log: PathBuf,
    ) -> Result<Self, Error> {
        let process = Process::start(&mut command(&program, addr, lame_duck), &log)?;
        let mut replica = Self { program, addr, lame_duck, log, process };
        replica.until_ready().await?;
        Ok(replica)
    }

    /// Ends it by a signal. Returns how it ended, and how long that took.
    pub(crate) async fn end(&mut self, signal: Signal) -> Result<(ExitStatus, Duration), Error> {
        let begun = Instant::now();
        self.process.signal(signal)?;
        loop {
            if let Some(status) = self.process.ended()? {
                return Ok((status, begun.elapsed()));
            }
            if begun.elapsed() > self.lame_duck + DEADLINE + MARGIN {
                return Err(format!("a replica has not ended: {}", self.log.display()).into());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Starts it again, and waits until it is ready.
    pub(crate) async fn start_again(&mut self) -> Result<(), Error> {
        self.process = Process::start(&mut command(&self.program, self.addr, self.lame_duck), &self.log)?;
        self.until_ready().await
    }

    async fn until_ready(&mut self) -> Result<(), Error> {
        let begun = Instant::now();
        while !self.is_ready().await {
            let log = self.log.display();
            if let Some(status) = self.process.ended()? {
                return Err(format!("a replica ended before it was ready, {status}: {log}").into());
            }
            if begun.elapsed() > PATIENCE {
                return Err(format!("a replica is not ready: {log}").into());
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    async fn is_ready(&self) -> bool {
        let asked = async {
            let mut stream = TcpStream::connect(SocketAddr::from((self.addr, PORTS.1))).await?;
            stream.write_all(b"GET /ready HTTP/1.0\r\n\r\n").await?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await?;
            Ok::<_, std::io::Error>(answer)
        };
        let answer = tokio::time::timeout(Duration::from_secs(1), asked).await;
        matches!(answer, Ok(Ok(answer)) if answer.get(8..13) == Some(b" 200 "))
    }
}

fn command(program: &PathBuf, addr: Ipv4Addr, lame_duck: Duration) -> Command {
    let mut command = Command::new(program);
    command.args(["--addr", &format!("{addr}:{}", PORTS.0), "--diag-addr", &format!("{addr}:{}", PORTS.1)]);
    command.args(["--ready-delay-ms", &lame_duck.as_millis().to_string()]);
    command.args(["--drain-timeout-ms", &DEADLINE.as_millis().to_string()]);
    command
}
