//! The lock of a file, by which a process says that it lives. The system takes it back when the process ends, however.
//!
//! Unlike a process number it means the same in every container that shares the folder.

use std::fs::File;
use std::io;

/// Takes it until the file is closed. [`WouldBlock`](io::ErrorKind::WouldBlock) means that another has it; all other errors,
/// that there are no locks here.
#[cfg(unix)]
pub(crate) fn take(file: &File) -> io::Result<()> {
    use rustix::fs::{FlockOperation, flock};

    Ok(flock(file, FlockOperation::NonBlockingLockExclusive)?)
}

#[cfg(not(unix))]
pub(crate) fn take(_: &File) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
