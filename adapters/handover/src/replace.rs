//! `Replacer`: a process starts its own successor.

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::{Child, Command, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

use async_channel::Receiver;

use crate::shared::Shared;
use crate::systemd;

/// The program that is to be the successor, with its arguments.
///
/// # Examples
///
/// ```
/// use ebbtide_handover::Program;
///
/// let this = Program::this()?.check("--check");
/// // By a link that is changed for a new version.
/// let current = Program::at("/opt/greeter/current/bin/greeter", std::env::args_os().skip(1));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
    check: Option<OsString>,
    check_within: Duration,
}

/// Starts the successor of this process: from [`Handover::replacer`](crate::Handover::replacer).
///
/// # Examples
///
/// ```no_run
/// use ebbtide_handover::{Handover, Program};
/// use ebbtide_signal::{Signal, Signals};
///
/// # async fn run(mut signals: Signals, handover: &Handover) -> std::io::Result<()> {
/// let replacer = handover.replacer(Program::this()?.check("--check"));
/// let mut hangups = signals.split_off(Signal::Hangup);
/// loop {
///     hangups.recv().await;
///     if let Err(error) = replacer.replace().await {
///         eprintln!("{error}"); // this process serves on
///     }
/// }
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Replacer {
    program: Program,
    shared: Arc<Shared>,
    patience: Duration,
    is_under_way: Arc<AtomicBool>,
}

/// Why a process was not replaced. It serves on.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReplaceError {
    /// A replacement is under way.
    UnderWay,
    /// This process has a successor already. That one can be replaced.
    Superseded {
        /// The successor.
        by: u32,
    },
    /// The program cannot be started.
    Start {
        /// Which.
        program: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The program says that it could not serve.
    Check {
        /// How the check ended; `None` if it took too long, and was killed.
        status: Option<ExitStatus>,
    },
    /// The successor has ended before it was in charge.
    Ended {
        /// How.
        status: ExitStatus,
    },
    /// The successor was not ready in time, and was killed.
    TooSlow {
        /// How long it had.
        patience: Duration,
    },
}

/// How long a check may take, unless it is said.
const CHECK: Duration = Duration::from_secs(10);
/// How often a child process is looked at. `std` has no wait with a limit.
const TICK: Duration = Duration::from_millis(5);

impl Program {
    /// The program of this process, with the same arguments.
    ///
    /// Call it early: once the file is replaced by a new version, the system does not tell its name any more. With a symbolic
    /// link that is changed for a new version, use [`at`](Self::at) with the link's path.
    ///
    /// # Errors
    ///
    /// The system does not tell the path.
    pub fn this() -> io::Result<Self> {
        Ok(Self::at(env::current_exe()?, env::args_os().skip(1)))
    }

    /// The program at this path.
    pub fn at(path: impl Into<PathBuf>, arguments: impl IntoIterator<Item = OsString>) -> Self {
        Self { path: path.into(), arguments: arguments.into_iter().collect(), check: None, check_within: CHECK }
    }

    /// Runs the program with this argument behind the others first. Only if that ends with exit code 0 is it started. So a
    /// program that does not start, or a configuration that is wrong, disturbs nothing. Default: no check.
    #[must_use]
    pub fn check(mut self, argument: impl Into<OsString>) -> Self {
        self.check = Some(argument.into());
        self
    }

    /// How long the check may take. Default: 10 s.
    #[must_use]
    pub fn check_within(mut self, time: Duration) -> Self {
        self.check_within = time;
        self
    }

    fn start(&self, check: Option<&OsString>) -> Result<Child, ReplaceError> {
        let mut command = Command::new(&self.path);
        command.args(&self.arguments).args(check);
        // They name sockets that this process has taken.
        for variable in ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "LISTEN_FDS_FIRST_FD"] {
            command.env_remove(variable);
        }
        command.spawn().map_err(|error| ReplaceError::Start { program: self.path.clone(), error })
    }

    fn checked(&self) -> Result<(), ReplaceError> {
        let Some(argument) = &self.check else { return Ok(()) };
        let mut child = self.start(Some(argument))?;
        let until = Instant::now() + self.check_within;
        loop {
            match child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => return Err(ReplaceError::Check { status: Some(status) }),
                Ok(None) | Err(_) if Instant::now() < until => thread::sleep(TICK),
                Ok(None) | Err(_) => {
                    end(&mut child);
                    return Err(ReplaceError::Check { status: None });
                }
            }
        }
    }
}

impl Replacer {
    pub(crate) fn new(program: Program, shared: Arc<Shared>, patience: Duration) -> Self {
        Self { program, shared, patience, is_under_way: Arc::default() }
    }

    /// Checks the program, starts it, and waits until it is in charge. Returns its process number.
    ///
    /// The work is done on a thread of its own. systemd is told: see the [crate's documentation](crate#systemd).
    pub fn replace(&self) -> Replacing {
        let (answer, answered) = async_channel::bounded(1);
        if self.is_under_way.swap(true, Ordering::SeqCst) {
            drop(answer.try_send(Err(ReplaceError::UnderWay)));
            return Replacing(Box::pin(answered));
        }
        let this = self.clone();
        let work = move || {
            let replaced = match this.shared.superseded_by() {
                Some(by) => Err(ReplaceError::Superseded { by }),
                None => this.run(),
            };
            this.is_under_way.store(false, Ordering::SeqCst);
            drop(answer.try_send(replaced));
        };
        if thread::Builder::new().name("ebbtide-replace".into()).spawn(work).is_err() {
            self.is_under_way.store(false, Ordering::SeqCst);
        }
        Replacing(Box::pin(answered))
    }

    fn run(&self) -> Result<u32, ReplaceError> {
        systemd::reloading();
        let replaced = self.program.checked().and_then(|()| self.start());
        if let Err(error) = &replaced {
            systemd::ready(&error.to_string());
        }
        replaced
    }

    fn start(&self) -> Result<u32, ReplaceError> {
        let mut child = self.program.start(None)?;
        let begun = Instant::now();
        loop {
            if let Some(by) = self.shared.superseded_by() {
                return Ok(by);
            }
            if let Ok(Some(status)) = child.try_wait() {
                return Err(ReplaceError::Ended { status });
            }
            if begun.elapsed() > self.patience {
                end(&mut child);
                return Err(ReplaceError::TooSlow { patience: self.patience });
            }
            thread::sleep(TICK);
        }
    }
}

/// Nobody is to be in the way of a next attempt.
fn end(child: &mut Child) {
    drop(child.kill());
    drop(child.wait());
}

/// The future of [`Replacer::replace`]: the process number of the successor that is in charge.
///
/// # Errors
///
/// [`ReplaceError`]. This process serves on.
///
/// # Cancel safety
///
/// If it is dropped, the replacement goes on.
#[derive(Debug)]
#[must_use = "the error is in it"]
pub struct Replacing(Pin<Box<Receiver<Result<u32, ReplaceError>>>>);

impl Future for Replacing {
    type Output = Result<u32, ReplaceError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        use futures_core::Stream;
        self.0.as_mut().poll_next(cx).map(|it| it.unwrap_or(Err(ReplaceError::UnderWay)))
    }
}

impl fmt::Display for ReplaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not replaced: ")?;
        match self {
            Self::UnderWay => f.write_str("a replacement is under way"),
            Self::Superseded { by } => write!(f, "process {by} is in charge already"),
            Self::Start { program, error } => write!(f, "cannot start {}: {error}", program.display()),
            Self::Check { status: Some(status) } => write!(f, "the check of the program failed ({status})"),
            Self::Check { status: None } => f.write_str("the check of the program took too long, and was killed"),
            Self::Ended { status } => write!(f, "the successor has ended before it was ready ({status})"),
            Self::TooSlow { patience } => {
                write!(f, "the successor was not ready within {:.0} s, and was killed", patience.as_secs_f64())
            }
        }
    }
}

impl Error for ReplaceError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Start { error, .. } => Some(error),
            _ => None,
        }
    }
}
