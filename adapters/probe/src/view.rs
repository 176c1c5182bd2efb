//! What a probe looks at: a drain alone, or a service with its stages.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ebbtide::{Drain, Held, Label, Overdue, State};

/// What a probe looks at.
pub(crate) trait View: Send + Sync {
    /// What is to be seen now.
    fn look(&self) -> Look;

    /// Why the service is not ready, if it is not.
    fn obstacle(&self) -> Option<Obstacle>;

    /// Turns the readiness switch.
    fn set_ready(&self, is_on: bool);

    /// Whether a drain with this cause began because something failed. A drain alone has no parts that fail.
    fn is_failure(&self, _cause: &Label) -> bool {
        false
    }
}

/// What was to be seen at one moment.
#[derive(Debug)]
pub(crate) struct Look {
    /// How far the drain of the whole has come.
    pub(crate) state: State,
    /// What is left of the lame duck time, while it goes on.
    pub(crate) lame_duck: Option<Duration>,
    /// Since when it drains, a lame duck time not counted.
    pub(crate) elapsed: Option<Duration>,
    pub(crate) deadline: Option<Duration>,
    /// In the order in which they end. A drain alone is a stage with a part without a name.
    pub(crate) stages: Vec<StageSeen>,
}

#[derive(Debug)]
pub(crate) struct StageSeen {
    pub(crate) is_closing: bool,
    pub(crate) parts: Vec<PartSeen>,
}

impl StageSeen {
    /// Whether the drain waits for this part of it. A closing action whose turn has not come is not waited for yet.
    pub(crate) fn waits_for(&self, part: &PartSeen) -> bool {
        part.state != State::Closed && !(self.is_closing && part.state == State::Running)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.parts.iter().all(|it| it.state == State::Closed)
    }
}

#[derive(Debug)]
pub(crate) struct PartSeen {
    pub(crate) name: Option<Label>,
    pub(crate) address: Option<String>,
    pub(crate) state: State,
    pub(crate) guards: usize,
    pub(crate) held: Vec<Held>,
    pub(crate) overdue: Option<Overdue>,
}

/// Which stage has a part of this name.
pub(crate) fn position(stages: &[StageSeen], name: &str) -> Option<usize> {
    let is_it = |part: &PartSeen| part.name.as_ref().is_some_and(|it| it.to_string() == name);
    stages.iter().position(|it| it.parts.iter().any(is_it))
}

/// Why a service is not ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ObstacleKind {
    Starting,
    SwitchedOff,
    Draining,
}

/// Why a service is not ready, and as a text.
#[derive(Clone, Debug)]
pub(crate) struct Obstacle {
    pub(crate) kind: ObstacleKind,
    pub(crate) text: String,
}

/// A drain without a service around it.
#[derive(Debug)]
pub(crate) struct Alone {
    drain: Drain,
    /// When it was first seen to drain.
    begun: OnceLock<Instant>,
    is_off: AtomicBool,
}

impl Alone {
    pub(crate) fn new(drain: &Drain) -> Self {
        Self { drain: drain.clone(), begun: OnceLock::new(), is_off: AtomicBool::new(false) }
    }
}

impl View for Alone {
    fn look(&self) -> Look {
        let (guards, held) = (self.drain.guards(), self.drain.held());
        let (name, address, overdue) = (None, None, self.drain.watcher().outcome().and_then(Result::err));
        let part = PartSeen { name, address, state: self.drain.state(), guards, held, overdue };
        let has_begun = part.state != State::Running;
        let elapsed = has_begun.then(|| self.begun.get_or_init(Instant::now).elapsed());
        Look {
            state: part.state,
            lame_duck: None,
            elapsed,
            deadline: None,
            stages: vec![StageSeen { is_closing: false, parts: vec![part] }],
        }
    }

    fn obstacle(&self) -> Option<Obstacle> {
        if self.drain.state() != State::Running {
            let cause = self.drain.cause().map(|it| it.to_string()).unwrap_or_default();
            return Some(Obstacle { kind: ObstacleKind::Draining, text: format!("draining: {cause}") });
        }
        let obstacle = Obstacle { kind: ObstacleKind::SwitchedOff, text: "switched off".to_owned() };
        self.is_off.load(Ordering::SeqCst).then_some(obstacle)
    }

    fn set_ready(&self, is_on: bool) {
        self.is_off.store(!is_on, Ordering::SeqCst);
    }
}
