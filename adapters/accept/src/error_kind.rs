//! `AcceptErrorKind`: whether an error of `accept` concerns one connection, the process or the listener.

use std::fmt;
use std::io;

/// What an error of `accept` concerns, and so what the accept loop does about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AcceptErrorKind {
    /// One connection, which was closed before it was accepted. The loop goes on with the next.
    ///
    /// On Linux `accept` also returns network errors of the new socket (accept(2), "Error handling").
    Connection,
    /// The process or the machine: it has no descriptors, no memory or no epoll watches left. The loop pauses, and tries again.
    ///
    /// (If a reactor cannot watch one more socket, the error is `ENOSPC`: `epoll_ctl(2)`.)
    Exhaustion,
    /// The listener, which can accept no more. The loop ends.
    Listener,
}

impl AcceptErrorKind {
    /// The kind of this error.
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
            // Of a firewall, on this connection.
            | Kind::PermissionDenied => Self::Connection,
            Kind::OutOfMemory => Self::Exhaustion,
            _ => error.raw_os_error().map_or(Self::Listener, of_code),
        }
    }
}

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
    fn a_full_table_of_descriptors_is_of_kind_exhaustion() {
        for code in [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM, libc::ENOSPC] {
            assert_eq!(AcceptErrorKind::of(&io::Error::from_raw_os_error(code)), AcceptErrorKind::Exhaustion, "{code}");
        }
    }

    #[test]
    fn an_error_of_one_connection_is_of_kind_connection() {
        for code in [libc::ECONNABORTED, libc::EPROTO, libc::EINTR, libc::EPERM, libc::EHOSTUNREACH, libc::ENETDOWN] {
            assert_eq!(AcceptErrorKind::of(&io::Error::from_raw_os_error(code)), AcceptErrorKind::Connection, "{code}");
        }
    }

    #[test]
    fn an_error_of_the_listener_is_of_kind_listener() {
        for code in [libc::EBADF, libc::EINVAL, libc::ENOTSOCK] {
            assert_eq!(AcceptErrorKind::of(&io::Error::from_raw_os_error(code)), AcceptErrorKind::Listener, "{code}");
        }
    }
}
