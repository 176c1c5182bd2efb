//! `ConnectionState`: new, active, idle, upgraded or closed.

use core::fmt;

/// The state of a connection, as its users see it. (`ConnState` in Go.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConnectionState {
    /// Accepted; too little was read to tell the protocol.
    New,
    /// A request is being read, or served.
    Active,
    /// Kept alive, between requests.
    Idle,
    /// No longer HTTP, such as a WebSocket: its handler has it.
    Upgraded,
    /// Closed.
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
