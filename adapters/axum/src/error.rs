//! Why a server did not end well.

use std::fmt;
use std::io;

use ebbtide::Overdue;
use ebbtide_signal::InstallError;

/// Why a server did not end well, or did not begin.
///
/// Its `Debug` is its `Display`, so that a `main` that returns it says what a person can read. The exit code is then 1. It
/// turns into an [`io::Error`] by `?`, for a `main` that returned axum's.
#[non_exhaustive]
pub enum Error {
    /// Time was up, or a second signal came, while something was held: what was cut.
    Overdue(Overdue),
    /// The listener can accept no more. What it had accepted was drained.
    Listener {
        /// What the system said.
        error: io::Error,
        /// What was cut in that drain, if anything was.
        overdue: Option<Overdue>,
    },
    /// The process's signals cannot be listened to. Nothing was served.
    Signals(InstallError),
}

impl Error {
    /// What was cut, if anything was.
    #[must_use]
    pub fn overdue(&self) -> Option<&Overdue> {
        match self {
            Self::Overdue(overdue) => Some(overdue),
            Self::Listener { overdue, .. } => overdue.as_ref(),
            Self::Signals(_) => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overdue(overdue) => overdue.fmt(f),
            Self::Listener { error, overdue } => {
                write!(f, "the listener failed: {error}")?;
                overdue.as_ref().map_or(Ok(()), |overdue| write!(f, "; {overdue}"))
            }
            Self::Signals(InstallError::Twice) => f.write_str(
                "signals are already listened to in this process: give the server the drain that they start",
            ),
            Self::Signals(error) => error.fmt(f),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            // It says all that these do.
            Self::Overdue(_) => None,
            Self::Listener { error, .. } => error.source(),
            Self::Signals(error) => error.source(),
        }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Overdue(_) => Self::new(io::ErrorKind::TimedOut, error),
            error => Self::other(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use ebbtide::Drain;

    use super::*;

    #[test]
    fn an_io_error_that_main_returns_says_what_was_cut() {
        let drain = Drain::new();
        let upload = drain.watcher().labelled("upload");
        drain.close();
        drop(upload);
        let overdue = futures_util::FutureExt::now_or_never(drain.start()).expect("closed").expect_err("it was held");
        let error = io::Error::from(Error::Overdue(overdue));
        assert!(format!("{error:?}").contains("(upload)"), "{error:?}");
        assert_eq!(error.to_string(), "closed by force: 1 guard was still held (upload)");
    }

    #[test]
    fn a_listener_that_failed_is_told_with_what_was_cut() {
        let error = Error::Listener { error: io::ErrorKind::InvalidInput.into(), overdue: None };
        assert_eq!(error.to_string(), "the listener failed: invalid input parameter");
    }
}
