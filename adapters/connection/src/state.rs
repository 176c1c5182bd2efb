//! How a connection stands.

use core::fmt;

/// How a connection stands, as its users see it. (Go calls it `ConnState`.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConnectionState {
    /// Accepted; nothing has been read that tells the protocol.
    New,
    /// A request is being read, or served.
    Active,
    /// Kept alive, between requests.
    Idle,
    /// No longer HTTP: its handler has it.
    Upgraded,
    /// Gone.
    Closed,
}

impl fmt::Display for ConnectionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::New => "new",
            Self::Active => "active",
            Self::Idle => "idle",
            Self::Upgraded => "upgraded",
            Self::Closed => "closed",
        })
    }
}
