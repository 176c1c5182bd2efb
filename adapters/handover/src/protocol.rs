//! The protocol: what each side does, without sockets, clock or threads.
//!
//! [`Generation`] is one process in the line. It is fed [`Event`]s, and returns [`Action`]s. It has two halves: to the process
//! before it, it is a [`Successor`], and to the one after it a [`Predecessor`].
//!
//! ```text
//! successor                          predecessor
//!     Hello            ------------>     if nobody else takes over, and it is ready itself; else Refused
//!     <------------    Welcome           with the control socket and the lock
//!     Received         ------------>
//!     <------------    Listeners         at most 253 at a time
//!     Received         ------------>
//!     ... starts ...                     serves as before
//!     Ready            ------------>
//!     <------------    Draining          once it is written, the predecessor stops accepting
//!     serves                             drains
//!     <------------    Connection        at most 64 without an answer
//!     Adopted          ------------>
//!     <------------    Report, Bye
//! ```
//!
//! Until `Draining` is written, the end of the successor changes nothing for the predecessor. From `Received` on, the end of the
//! predecessor puts the successor in charge. That end is told by the end of the stream: a predecessor that lives never closes
//! before it has written `Refused`. So the successor can tell "dead" from "does not want me".

mod generation;
mod message;
mod predecessor;
mod successor;

#[cfg(test)]
mod exploration;

pub(crate) use generation::Generation;
pub(crate) use message::{Entry, HEADER, Header, Kind, LONGEST_NAME, Message, Offer};
#[cfg(doc)]
use predecessor::Predecessor;
#[cfg(doc)]
use successor::Successor;

/// A connection of the control socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Link(pub(crate) u32);

impl Link {
    /// The connection to the predecessor.
    pub(crate) const BACK: Self = Self(0);
}

/// What a process hears.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// Somebody has connected to the control socket.
    Connected(Link),
    Received(Link, Message),
    /// Everything that was sent on this link is written.
    Written(Link),
    /// The other side has closed.
    Closed(Link),
    /// The link is of no use any more, though the other side has not closed: what it sends is no message.
    Failed(Link, String),
    /// The time of [`Action::Wait`] is over.
    Expired(Link),
    /// The process can serve, and has these listeners.
    Ready(Vec<Entry>),
    /// The process ends, and not for a successor.
    Stopping,
    /// A connection is to go to the successor.
    Give(Offer),
    /// The drain goes on.
    Report(String),
    /// The drain is over.
    Bye(String),
}

/// What a process has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Send(Link, Message),
    /// Close the link when everything is written.
    Dismiss(Link),
    /// Have [`Event::Expired`] come after a time, or not at all. It replaces the time before.
    Wait(Link, Option<Wait>),
    /// Keep the control socket and the lock, which have come.
    KeepControl,
    /// Keep the listeners, which have come.
    KeepListeners(Vec<Entry>),
    /// Everything has come.
    Whole,
    /// Be in charge: accept on the control socket, too.
    InCharge,
    /// The predecessor has gone before it gave anything: begin again.
    Retry,
    /// The predecessor refuses. The process must not serve.
    Refused(String),
    /// Stop accepting: the successor with this process number is in charge.
    Superseded(u32),
    /// Serve this connection, which has come.
    Serve(Offer),
    /// What has become of a connection that was given.
    Settle(u32, Fate),
    Tell(Notice),
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Wait {
    /// The next message, which the other side has to say at once.
    Answer,
    /// The successor's start.
    Start,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fate {
    /// The successor has it.
    Taken,
    /// It stays.
    Kept,
}

/// What is worth telling people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// A takeover has begun.
    Begun { pid: u32 },
    /// It has ended before the successor was ready. Nothing has changed.
    Failed { pid: u32, why: String },
    /// A process was told no.
    Rejected { pid: Option<u32>, why: String },
    /// The predecessor says how its drain goes.
    Predecessor { says: String },
    /// The predecessor has ended; its last words, if it had any.
    Ended { last_words: Option<String> },
}
