//! `Failure`: the errors that `on_error` reports; the callback for them.

use std::error::Error;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ebbtide::Label;

use crate::error_kind::AcceptErrorKind;

/// An error of accepting or of a connection, as [`Serve::on_error`](crate::Serve::on_error) reports it.
///
/// `Display` is a line for an operator's log.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Failure<'a> {
    /// `accept` has failed.
    Accept {
        /// The kind of the error, which decides what the loop does about it.
        kind: AcceptErrorKind,
        /// The error of the system.
        error: &'a io::Error,
    },
    /// The future of a connection has returned an error, or has panicked.
    Connection {
        /// The label of its guard: the address of its peer.
        peer: Option<&'a Label>,
        /// The error of the future, or one with the message of the panic.
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

/// The callback of [`Serve::on_error`](crate::Serve::on_error), if there is one.
#[derive(Default)]
pub(crate) struct Hook {
    told: Option<Told>,
    exhausted: Option<Instant>,
}

/// The callback, shared with the tasks of the connections.
#[derive(Clone)]
pub(crate) struct Told(Arc<dyn Fn(&Failure<'_>) + Send + Sync>);

impl Told {
    pub(crate) fn tell(&self, failure: &Failure<'_>) {
        // A panic of the callback must not end the accept loop. Nor the process: it may be called while a panic unwinds, and
        // a second one would abort.
        drop(catch_unwind(AssertUnwindSafe(|| (self.0)(failure))));
    }
}

/// A lack of descriptors is found a hundred times a second while it lasts, and reported once in this time.
const INTERVAL: Duration = Duration::from_secs(1);

impl Hook {
    pub(crate) fn new(told: impl Fn(&Failure<'_>) + Send + Sync + 'static) -> Self {
        Self { told: Some(Told(Arc::new(told))), exhausted: None }
    }

    /// The callback, for the tasks of the connections.
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
    fn every_error_is_reported_with_its_kind_but_a_lack_of_descriptors_once_a_second() {
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
