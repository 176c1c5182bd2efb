//! Why a message was not sent.

use std::fmt;

/// Why a message was not sent.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error<E> {
    /// The goodbye was said.
    Over,
    /// The peer has not read in time what was to be sent before the end.
    Late,
    /// What the socket says.
    Socket(E),
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Over => f.write_str("the goodbye was said"),
            Self::Late => f.write_str("the peer did not read in time what was sent before the goodbye"),
            Self::Socket(error) => error.fmt(f),
        }
    }
}

impl<E: std::error::Error> std::error::Error for Error<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Over | Self::Late => None,
            Self::Socket(error) => error.source(),
        }
    }
}
