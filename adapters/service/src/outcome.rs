//! How a service ended.

use std::error::Error;
use std::fmt;
use std::process::{ExitCode, Termination};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use ebbtide::{Cause, Label, Overdue};
use ebbtide_signal::InstallError;

use crate::plan::Overbooked;

/// How a [`Service`](crate::Service) ended: why, what failed first, and what was cut in which part.
///
/// As text it is one line. A `main` may return it: then the line goes to stderr, and the exit code is
///
/// | code | if |
/// |---|---|
/// | 0 | nothing has failed and nothing was cut |
/// | 1 | something has failed or was cut |
/// | 2 | the service could not start |
#[derive(Clone)]
#[must_use = "it tells what was cut"]
pub struct Outcome {
    pub(crate) cause: Option<Cause>,
    pub(crate) elapsed: Duration,
    pub(crate) was_ready: bool,
    pub(crate) was_forced: bool,
    pub(crate) obstacle: Option<Arc<StartError>>,
    pub(crate) failure: Option<PartError>,
    pub(crate) cut: Vec<(Label, Overdue)>,
}

impl Outcome {
    /// Of a service that its runtime has dropped.
    pub(crate) fn unknown() -> Self {
        Self {
            cause: None,
            elapsed: Duration::ZERO,
            was_ready: false,
            was_forced: false,
            obstacle: None,
            failure: None,
            cut: Vec::new(),
        }
    }

    /// Why it ended: a signal, the failure of a part, or what was given to [`start_because`](ebbtide::Drain::start_because).
    /// `None` if it could not start.
    #[must_use]
    pub fn cause(&self) -> Option<&Cause> {
        self.cause.as_ref()
    }

    /// How long its drain took, a lame duck time not counted.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// Why it could not start, if it was not a part that failed.
    #[must_use]
    pub fn start_error(&self) -> Option<&StartError> {
        self.obstacle.as_deref()
    }

    /// What failed first, optional parts not counted.
    #[must_use]
    pub fn failure(&self) -> Option<&PartError> {
        self.failure.as_ref()
    }

    /// What was cut: the parts, in the order of their stages, with what they held.
    #[must_use]
    pub fn cut(&self) -> &[(Label, Overdue)] {
        &self.cut
    }

    /// Whether nothing has failed and nothing was cut.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.obstacle.is_none() && self.failure.is_none() && self.cut.is_empty() && self.cause.is_some()
    }

    /// Itself as an error, unless it [is clean](Self::is_clean).
    ///
    /// # Errors
    ///
    /// The same outcome, for `?`.
    pub fn into_result(self) -> Result<(), Self> {
        if self.is_clean() { Ok(()) } else { Err(self) }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(obstacle) = &self.obstacle {
            write!(f, "did not start: {obstacle}")?;
            // Its closing actions.
            self.failure.iter().try_for_each(|it| write!(f, "; {it}"))?;
            return self.cut.iter().try_for_each(|(part, overdue)| write!(f, "; {part}: {overdue}"));
        }
        let Some(cause) = &self.cause else { return f.write_str("the runtime ended before the service") };
        if let Some(failure) = &self.failure {
            write!(f, "{}{failure}; ", if self.was_ready { "" } else { "did not start: " })?;
        }
        let how = match (self.was_forced, self.cut.is_empty()) {
            (true, _) => "closed by force after",
            (false, false) => "drained, but not well, in",
            (false, true) => "drained in",
        };
        write!(f, "{how} {:.3} s", self.elapsed.as_secs_f64())?;
        if self.failure.is_none() {
            write!(f, " ({cause})")?;
        }
        for (at, (part, overdue)) in self.cut.iter().enumerate() {
            write!(f, "{}{part}: {overdue}", if at == 0 { ": " } else { "; " })?;
        }
        Ok(())
    }
}

// What a `main` prints that ends with it.
impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for Outcome {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match (&self.obstacle, &self.failure) {
            (Some(obstacle), _) => Some(&**obstacle),
            (None, Some(failure)) => Some(failure),
            (None, None) => None,
        }
    }
}

impl From<&Outcome> for ExitCode {
    fn from(outcome: &Outcome) -> Self {
        let could_start = outcome.obstacle.is_none() && (outcome.was_ready || outcome.failure.is_none());
        match (outcome.is_clean(), could_start) {
            (true, _) => Self::SUCCESS,
            (false, true) => Self::FAILURE,
            (false, false) => Self::from(2),
        }
    }
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(&outcome)
    }
}

impl Termination for Outcome {
    fn report(self) -> ExitCode {
        let code = ExitCode::from(&self);
        // Not behind a write that may never end: stderr can be a pipe that nobody reads.
        let (done, is_done) = channel();
        let say = move || {
            eprintln!("{self}");
            let _nobody_waits = done.send(());
        };
        if thread::Builder::new().spawn(say).is_ok() {
            let _or_not = is_done.recv_timeout(LAST_LINE);
        }
        code
    }
}

/// For how long the end of the process waits for its last line to be taken.
const LAST_LINE: Duration = Duration::from_millis(250);

/// A part of a service that has failed, and why.
#[derive(Clone)]
pub struct PartError(Arc<(Label, Box<dyn Error + Send + Sync>)>);

impl PartError {
    pub(crate) fn new(part: Label, error: Box<dyn Error + Send + Sync>) -> Self {
        Self(Arc::new((part, error)))
    }

    /// Which part.
    #[must_use]
    pub fn part(&self) -> &Label {
        &self.0.0
    }
}

impl fmt::Display for PartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed: {}", self.0.0, self.0.1)
    }
}

impl fmt::Debug for PartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for PartError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0.1)
    }
}

/// Why a service could not start at all.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// The process's signals cannot be listened to. A second service in the same process is
    /// [`without_signals`](crate::Service::without_signals).
    Signals(InstallError),
    /// A listener could not be bound.
    Listener(PartError),
    /// The stages [reserve](crate::Service::reserve) more time than the [deadline](crate::Service::deadline) has.
    Overbooked(Overbooked),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signals(error) => error.fmt(f),
            Self::Listener(error) => error.fmt(f),
            Self::Overbooked(error) => error.fmt(f),
        }
    }
}

impl Error for StartError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Signals(error) => Some(error),
            Self::Listener(error) => Some(error),
            Self::Overbooked(error) => Some(error),
        }
    }
}
