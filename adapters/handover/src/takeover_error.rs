//! `TakeoverError`: why a process does not take over.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why this process did not take over, or must not serve.
#[non_exhaustive]
pub enum TakeoverError {
    /// The process in charge says no. It serves on.
    Refused {
        /// Its words.
        why: String,
    },
    /// A process holds the lock, and does not answer.
    Unresponsive {
        /// The path of the control socket.
        path: PathBuf,
        /// Which process it is, if that is known.
        holder: Option<u32>,
    },
    /// The operating system refuses.
    System(io::Error),
}

impl fmt::Display for TakeoverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { why } => write!(f, "cannot take over: {why}"),
            Self::Unresponsive { path, holder } => {
                let path = path.display();
                match holder {
                    Some(pid) => write!(f, "cannot take over: process {pid} holds {path}.lock, and does not answer"),
                    None => write!(f, "cannot take over: a process holds {path}.lock, and does not answer"),
                }
            }
            Self::System(error) => error.fmt(f),
        }
    }
}

// A `main` that returns an error prints its `Debug`.
impl fmt::Debug for TakeoverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for TakeoverError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::System(error) => Some(error),
            _ => None,
        }
    }
}

impl From<TakeoverError> for io::Error {
    fn from(error: TakeoverError) -> Self {
        match error {
            TakeoverError::System(error) => error,
            other => Self::other(other.to_string()),
        }
    }
}
