//! What is told: a killed drain that was found, and trouble with files.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::killed::Killed;
use crate::recorder::PATIENCE;

/// What a [`PostMortem`](crate::PostMortem) tells. Its `Display` is a line for a log.
///
/// # Examples
///
/// A counter beside the log:
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use ebbtide_post_mortem::{Event, PostMortem};
///
/// static KILLED_DRAINS: AtomicU64 = AtomicU64::new(0);
///
/// let post_mortem = PostMortem::in_folder("/var/lib/shop").on_event(|event| {
///     if let Event::Killed(_) = event {
///         KILLED_DRAINS.fetch_add(1, Ordering::Relaxed);
///     }
///     eprintln!("{event}");
/// });
/// # let _ = post_mortem;
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// An earlier process was killed while it drained. It is told once: afterwards the file is removed.
    Killed(Killed),
    /// A file could not be read, written or removed. The drain goes on as without it.
    Trouble(Trouble),
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Killed(killed) => killed.fmt(f),
            Self::Trouble(trouble) => trouble.fmt(f),
        }
    }
}

/// Why a file could not be read, written or removed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Trouble {
    /// The folder cannot be read, so it is not known whether an earlier process was killed.
    Folder {
        /// Which.
        folder: PathBuf,
        /// What went wrong.
        error: io::Error,
    },
    /// There is a file with such a name that is not of this kind. It is left as it is.
    Odd {
        /// Which.
        file: PathBuf,
        /// What it is.
        oddity: Oddity,
    },
    /// What is held cannot be written. It is tried again each second, and told once.
    Write {
        /// Which file.
        file: PathBuf,
        /// What went wrong.
        error: io::Error,
    },
    /// A file cannot be removed. The next start will tell of a kill that was told already, or that never was.
    Remove {
        /// Which.
        file: PathBuf,
        /// What went wrong.
        error: io::Error,
    },
    /// The disk took so long that the end did not wait for it. If the file stays, the next start tells of a kill that never
    /// was.
    Slow {
        /// The folder of the file.
        folder: PathBuf,
    },
    /// There is no thread to be had that could write files.
    Thread(io::Error),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder { folder, error } => {
                let folder = folder.display();
                write!(f, "post-mortem: cannot read {folder}, so a killed drain would not be told: {error}")
            }
            Self::Odd { file, oddity } => write!(f, "post-mortem: {} {oddity}", file.display()),
            Self::Write { file, error } => {
                let file = file.display();
                write!(
                    f,
                    "post-mortem: cannot write {file}, so the next start would not know what a kill has cut: {error}"
                )
            }
            Self::Remove { file, error } => {
                let file = file.display();
                write!(f, "post-mortem: cannot remove {file}, so the next start will tell of a kill again: {error}")
            }
            Self::Slow { folder } => {
                let folder = folder.display();
                write!(
                    f,
                    "post-mortem: {folder} has not answered for {PATIENCE:?}; remove what stays there, it is no kill"
                )
            }
            Self::Thread(error) => {
                write!(f, "post-mortem: no thread, so the next start would not know what a kill has cut: {error}")
            }
        }
    }
}

impl Error for Trouble {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Folder { error, .. }
            | Self::Write { error, .. }
            | Self::Remove { error, .. }
            | Self::Thread(error)
            | Self::Odd { oddity: Oddity::Unreadable(error), .. } => Some(error),
            Self::Odd { .. } | Self::Slow { .. } => None,
        }
    }
}

/// What a file is that has the name of a post-mortem and is none.
#[derive(Debug)]
#[non_exhaustive]
pub enum Oddity {
    /// A folder, a link, a named pipe or the like.
    NoFile,
    /// A file that is longer than any of this kind.
    TooLong,
    /// A file that was not written by this crate, or was changed or cut since.
    Garbage,
    /// A file that cannot be opened or read.
    Unreadable(io::Error),
}

impl fmt::Display for Oddity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFile => f.write_str("is not a file; remove it"),
            Self::TooLong => f.write_str("is too long to be a post-mortem; remove it"),
            Self::Garbage => f.write_str("is not a post-mortem, or was damaged; remove it"),
            Self::Unreadable(error) => write!(f, "cannot be read: {error}"),
        }
    }
}
