//! Who is told of errors that end nothing.

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use crate::severity::Severity;

/// What was given to [`Serve::on_error`](crate::Serve::on_error), if anything was.
#[derive(Default)]
pub(crate) struct Hook {
    told: Option<Told>,
    exhausted: Option<Instant>,
}

type Told = Box<dyn FnMut(Severity, &io::Error) + Send>;

/// A lack of descriptors is met a hundred times a second while it lasts, and told once.
const INTERVAL: Duration = Duration::from_secs(1);

impl Hook {
    pub(crate) fn new(told: impl FnMut(Severity, &io::Error) + Send + 'static) -> Self {
        Self { told: Some(Box::new(told)), exhausted: None }
    }

    pub(crate) fn tell(&mut self, error: &io::Error) {
        let Some(told) = &mut self.told else { return };
        let severity = Severity::of(error);
        if severity == Severity::Exhaustion {
            if self.exhausted.is_some_and(|it| it.elapsed() < INTERVAL) {
                return;
            }
            self.exhausted = Some(Instant::now());
        }
        told(severity, error);
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
        let mut hook = Hook::new(move |severity, error| sender.send((severity, error.kind())).expect("it is heard"));
        let kinds = [io::ErrorKind::ConnectionAborted, io::ErrorKind::OutOfMemory, io::ErrorKind::InvalidInput];
        for kind in kinds.into_iter().chain(kinds) {
            hook.tell(&kind.into());
        }
        let severities = [Severity::Connection, Severity::Exhaustion, Severity::Listener];
        let mut expected: Vec<_> = severities.into_iter().zip(kinds).collect();
        expected.extend([expected[0], expected[2]]);
        drop(hook);
        assert_eq!(told.iter().collect::<Vec<_>>(), expected);
    }
}
