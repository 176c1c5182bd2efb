//! Whether a service takes work.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ebbtide::{Cause, Drain, Label, State, Watcher};

/// Whether a service is ready for work: what a readiness probe asks for, and a switch beside it.
///
/// It is ready once all its parts have started, until its drain begins, while the switch is on. Turning the switch off
/// drains nothing, and it can be turned on again.
///
/// # Examples
///
/// ```
/// # use std::time::Duration;
/// use ebbtide_service::Readiness;
///
/// fn probe(readiness: &Readiness) -> (u16, String) {
///     match readiness.obstacle() {
///         None => (200, "ready".into()),
///         Some(obstacle) => (503, obstacle.to_string()),
///     }
/// }
/// ```
#[derive(Clone)]
pub struct Readiness(Arc<Shared>);

struct Shared {
    all: Watcher,
    /// What is waited for before the service is ready: each part that says when it is holds a guard.
    starting: Drain,
    is_started: AtomicBool,
    is_off: AtomicBool,
}

impl Readiness {
    pub(crate) fn new(all: Watcher) -> Self {
        let (is_started, is_off) = (AtomicBool::new(false), AtomicBool::new(false));
        Self(Arc::new(Shared { all, starting: Drain::new(), is_started, is_off }))
    }

    pub(crate) fn starting(&self) -> &Drain {
        &self.0.starting
    }

    pub(crate) fn start(&self) {
        self.0.is_started.store(true, Ordering::SeqCst);
    }

    /// Whether work may be sent here.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.obstacle().is_none()
    }

    /// Why work should not be sent here; `None` if it may be.
    #[must_use]
    pub fn obstacle(&self) -> Option<Obstacle> {
        let shared = &*self.0;
        if shared.all.state() != State::Running {
            return Some(Obstacle::Draining(shared.all.cause().unwrap_or(Cause::Dropped)));
        }
        if !shared.is_started.load(Ordering::SeqCst) {
            return Some(Obstacle::Starting(shared.starting.held().iter().map(|it| it.label().clone()).collect()));
        }
        shared.is_off.load(Ordering::SeqCst).then_some(Obstacle::SwitchedOff)
    }

    /// Turns the switch on or off. It is on at first.
    pub fn set(&self, is_on: bool) {
        self.0.is_off.store(!is_on, Ordering::SeqCst);
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.obstacle() {
            None => f.write_str("Readiness(ready)"),
            Some(obstacle) => write!(f, "Readiness({obstacle})"),
        }
    }
}

/// Why a service is not ready.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Obstacle {
    /// Not all of its parts have started. These have been begun and have not said that they are ready.
    Starting(Vec<Label>),
    /// Its [switch](Readiness::set) is off.
    SwitchedOff,
    /// Its drain has begun, for this reason.
    Draining(Cause),
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Starting(parts) => {
                f.write_str("starting")?;
                let mut parts = parts.iter().enumerate();
                parts.try_for_each(|(at, part)| write!(f, "{}{part}", if at == 0 { ": " } else { ", " }))
            }
            Self::SwitchedOff => f.write_str("switched off"),
            Self::Draining(cause) => write!(f, "draining: {cause}"),
        }
    }
}
