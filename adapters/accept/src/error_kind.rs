//! What an error of `accept` is an error of.

use std::fmt;
use std::io;

/// What failed when `accept` did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AcceptErrorKind {
    /// One connection, gone before it was accepted: the next one may be fine. (On Linux also the errors of its
    /// network, which `accept` passes on: accept(2), "Error handling".)
    Connection,
    /// The process or the machine has no descriptors, no watches or no memory left: worth another try a little later.
    /// (A reactor that cannot watch one more socket says that there is no space: `epoll_ctl(2)`, `ENOSPC`.)
    Exhaustion,
    /// The listener.
    Listener,
}

impl AcceptErrorKind {
    /// Tells which.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io;
    /// use ebbtide_accept::AcceptErrorKind;
    ///
    /// assert_eq!(AcceptErrorKind::of(&io::ErrorKind::ConnectionAborted.into()), AcceptErrorKind::Connection);
    /// assert_eq!(AcceptErrorKind::of(&io::ErrorKind::OutOfMemory.into()), AcceptErrorKind::Exhaustion);
    /// assert_eq!(AcceptErrorKind::of(&io::ErrorKind::InvalidInput.into()), AcceptErrorKind::Listener);
    /// ```
    #[must_use]
    pub fn of(error: &io::Error) -> Self {
        use io::ErrorKind as Kind;
        match error.kind() {
            Kind::ConnectionAborted
            | Kind::ConnectionReset
            | Kind::ConnectionRefused
            | Kind::Interrupted
            | Kind::TimedOut
            | Kind::HostUnreachable
            | Kind::NetworkUnreachable
            | Kind::NetworkDown
            // A firewall's verdict on this one.
            | Kind::PermissionDenied => Self::Connection,
            Kind::OutOfMemory => Self::Exhaustion,
            _ => error.raw_os_error().map_or(Self::Listener, of_code),
        }
    }
}

/// What the accept loop does about it.
impl fmt::Display for AcceptErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connection => "a connection was gone before it was accepted",
            Self::Exhaustion => "no descriptors or memory for a connection, accepting pauses",
            Self::Listener => "the listener failed, accepting ends",
        })
    }
}

#[cfg(unix)]
fn of_code(code: i32) -> AcceptErrorKind {
    match code {
        libc::EPROTO | libc::ENOPROTOOPT | libc::EHOSTDOWN => AcceptErrorKind::Connection,
        libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM | libc::ENOSPC => AcceptErrorKind::Exhaustion,
        _ => AcceptErrorKind::Listener,
    }
}

#[cfg(not(unix))]
fn of_code(code: i32) -> AcceptErrorKind {
    match code {
        // WSAEMFILE, WSAENOBUFS.
        10_024 | 10_055 => AcceptErrorKind::Exhaustion,
        _ => AcceptErrorKind::Listener,
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_full_table_of_descriptors_is_exhaustion() {
        for code in [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM, libc::ENOSPC] {
            assert_eq!(AcceptErrorKind::of(&io::Error::from_raw_os_error(code)), AcceptErrorKind::Exhaustion, "{code}");
        }
    }

    #[test]
    fn a_connection_that_went_away_is_its_own_affair() {
        for code in [libc::ECONNABORTED, libc::EPROTO, libc::EINTR, libc::EPERM, libc::EHOSTUNREACH, libc::ENETDOWN] {
            assert_eq!(AcceptErrorKind::of(&io::Error::from_raw_os_error(code)), AcceptErrorKind::Connection, "{code}");
        }
    }

    #[test]
    fn what_says_that_the_listener_is_none_ends_it() {
        for code in [libc::EBADF, libc::EINVAL, libc::ENOTSOCK] {
            assert_eq!(AcceptErrorKind::of(&io::Error::from_raw_os_error(code)), AcceptErrorKind::Listener, "{code}");
        }
    }
}
