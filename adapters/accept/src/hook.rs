//! Who is told of errors that end nothing.

use std::error::Error;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ebbtide::Label;

use crate::error_kind::AcceptErrorKind;

/// What went wrong while a listener was served: what [`Serve::on_error`](crate::Serve::on_error) tells of.
///
/// Its `Display` is a line for an operator's log.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Failure<'a> {
    /// `accept` failed.
    Accept {
        /// What the error is one of, and so what is done about it.
        kind: AcceptErrorKind,
        /// What the system said.
        error: &'a io::Error,
    },
    /// A connection that was accepted ended with an error, or by a panic.
    Connection {
        /// The label of its guard: its peer's address.
        peer: Option<&'a Label>,
        /// What its future ended with. Of a panic it is what that said.
        error: &'a (dyn Error + Send + Sync + 'static),
    },
}

impl fmt::Display for Failure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accept { kind, error } => write!(f, "{kind}: {error}"),
            Self::Connection { peer: Some(peer), error } => write!(f, "{peer}: {error}"),
            Self::Connection { peer: None, error } => write!(f, "a connection: {error}"),
        }
    }
}

/// What was given to [`Serve::on_error`](crate::Serve::on_error), if anything was.
#[derive(Default)]
pub(crate) struct Hook {
    told: Option<Told>,
    exhausted: Option<Instant>,
}

/// Who is told, on whichever thread.
#[derive(Clone)]
pub(crate) struct Told(Arc<dyn Fn(&Failure<'_>) + Send + Sync>);

impl Told {
    pub(crate) fn tell(&self, failure: &Failure<'_>) {
        // Who is told is to end nothing: not the accept loop, and not the process, which a second panic does on the way
        // of the one that is told of.
        drop(catch_unwind(AssertUnwindSafe(|| (self.0)(failure))));
    }
}

/// A lack of descriptors is met a hundred times a second while it lasts, and told once.
const INTERVAL: Duration = Duration::from_secs(1);

impl Hook {
    pub(crate) fn new(told: impl Fn(&Failure<'_>) + Send + Sync + 'static) -> Self {
        Self { told: Some(Told(Arc::new(told))), exhausted: None }
    }

    /// For the connections.
    pub(crate) fn told(&self) -> Option<&Told> {
        self.told.as_ref()
    }

    pub(crate) fn tell(&mut self, error: &io::Error) {
        let Some(told) = &self.told else { return };
        let kind = AcceptErrorKind::of(error);
        if kind == AcceptErrorKind::Exhaustion {
            if self.exhausted.is_some_and(|it| it.elapsed() < INTERVAL) {
                return;
            }
            self.exhausted = Some(Instant::now());
        }
        told.tell(&Failure::Accept { kind, error });
    }
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hook").field("is_told", &self.told.is_some()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn every_error_is_told_with_its_kind_but_a_lack_of_descriptors_once_a_second() {
        let (sender, told) = mpsc::channel();
        let mut hook = Hook::new(move |failure| match failure {
            Failure::Accept { kind, error } => sender.send((*kind, error.kind())).expect("it is heard"),
            Failure::Connection { .. } => unreachable!("there is none"),
        });
        let kinds = [io::ErrorKind::ConnectionAborted, io::ErrorKind::OutOfMemory, io::ErrorKind::InvalidInput];
        for kind in kinds.into_iter().chain(kinds) {
            hook.tell(&kind.into());
        }
        let accept_kinds = [AcceptErrorKind::Connection, AcceptErrorKind::Exhaustion, AcceptErrorKind::Listener];
        let mut expected: Vec<_> = accept_kinds.into_iter().zip(kinds).collect();
        expected.extend([expected[0], expected[2]]);
        drop(hook);
        assert_eq!(told.iter().collect::<Vec<_>>(), expected);
    }
}
