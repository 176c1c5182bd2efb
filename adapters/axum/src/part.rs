//! A server as a part of a larger drain.

use std::fmt;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use ebbtide::{Drain, Held, Label, State};

/// A server, as the label of the guard by which it holds up the drain that it is [a part of](crate::Server::drain).
///
/// As text it says where the server listens, and what it waits for, or what was cut. So the error of the whole names the requests
/// that were cut in its parts.
///
/// # Examples
///
/// ```
/// use ebbtide::Drain;
/// use ebbtide_axum::Part;
///
/// /// Everything that is held, in the servers too.
/// fn held(drain: &Drain) -> Vec<ebbtide::Held> {
///     let inside = |it: ebbtide::Held| match it.label().downcast_ref::<Part>() {
///         Some(part) => part.held(),
///         None => vec![it],
///     };
///     drain.held().into_iter().flat_map(inside).collect()
/// }
/// # assert!(held(&Drain::new()).is_empty());
/// ```
pub struct Part {
    addr: Option<String>,
    drain: Drain,
}

impl Part {
    pub(crate) fn new(addr: Option<String>, drain: &Drain) -> Self {
        Self { addr, drain: drain.clone() }
    }

    pub(crate) fn into_label(self) -> Label {
        Label::live(self)
    }

    /// What the server waits for; once its drain was closed by force, what was cut.
    #[must_use]
    pub fn held(&self) -> Vec<Held> {
        if self.drain.state() < State::Closed {
            return self.drain.held();
        }
        match pin!(self.drain.start()).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Err(overdue)) => overdue.held().to_vec(),
            Poll::Ready(Ok(())) | Poll::Pending => Vec::new(),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.addr {
            Some(addr) => write!(f, "server on {addr}")?,
            None => f.write_str("server")?,
        }
        let held = self.held();
        for (at, held) in held.iter().enumerate() {
            write!(f, "{}{held}", if at == 0 { " (" } else { ", " })?;
        }
        f.write_str(if held.is_empty() { "" } else { ")" })
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Part({self})")
    }
}
