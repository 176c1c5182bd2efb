//! What a probe shows, as it was at one moment.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ebbtide::{Overdue, State};
use ebbtide_connection::Connections;
use serde::{Serialize, Serializer};

use crate::history::Point;
use crate::page::Sections;
use crate::record::UNLABELLED;
use crate::text::clipped;
use crate::view::{PartSeen, StageSeen};

/// What a probe shows, as it was at one moment. It is what `/drain` is as JSON.
#[derive(Debug, Serialize)]
pub(crate) struct Snapshot {
    pub(crate) name: String,
    pub(crate) process: u32,
    pub(crate) phase: Phase,
    pub(crate) ready: bool,
    /// Why it is not ready.
    pub(crate) obstacle: Option<String>,
    /// Why the drain began.
    pub(crate) cause: Option<String>,
    /// The cause in one word, of which there are few.
    pub(crate) reason: Option<String>,
    pub(crate) lame_duck_left_seconds: Option<Seconds>,
    pub(crate) elapsed_seconds: Option<Seconds>,
    pub(crate) deadline_seconds: Option<Seconds>,
    pub(crate) left_seconds: Option<Seconds>,
    /// How much is held in all, by parts that are waited for: a connection counts as one. A part itself does so if it drains
    /// and holds nothing else.
    pub(crate) guards: usize,
    pub(crate) connections: Option<Counts>,
    pub(crate) stages: Vec<Stage>,
    /// What is held: the oldest first, and no more than [`ROWS`].
    pub(crate) held: Vec<Row>,
    /// How many more there are.
    pub(crate) held_more: usize,
    pub(crate) cut: Vec<Cut>,
    /// What former processes held when they were killed.
    pub(crate) killed: Vec<String>,
    /// The guards by label, of few labels.
    #[serde(skip)]
    pub(crate) labels: Vec<(String, usize)>,
    #[serde(skip)]
    pub(crate) cut_labels: Vec<(String, usize)>,
    #[serde(skip)]
    pub(crate) history: Vec<Point>,
    /// The page made of it, once somebody looks at that.
    #[serde(skip)]
    pub(crate) sections: OnceLock<Arc<Sections>>,
}

impl Snapshot {
    pub(crate) fn sections(&self) -> Arc<Sections> {
        self.sections.get_or_init(|| Arc::new(Sections::of(self))).clone()
    }
}

/// How many rows there are at most of what is held.
pub(crate) const ROWS: usize = 100;
/// How long a text is at most, in bytes.
const LONGEST: usize = 200;

/// What the service is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Phase {
    Starting,
    Ready,
    SwitchedOff,
    LameDuck,
    Draining,
    /// All has ended but what outlives the drain.
    Drained,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Counts {
    pub(crate) new: usize,
    pub(crate) active: usize,
    pub(crate) idle: usize,
    pub(crate) upgraded: usize,
    pub(crate) requests: usize,
    pub(crate) cut_by_bounds: u64,
}

impl Counts {
    pub(crate) fn of(connections: &Connections) -> Self {
        let counts = connections.counts();
        Self {
            new: counts.new,
            active: counts.active,
            idle: counts.idle,
            upgraded: counts.upgraded,
            requests: connections.list().iter().map(|it| it.requests().len()).sum(),
            cut_by_bounds: connections.cut_by_bounds(),
        }
    }

    pub(crate) fn by_state(&self) -> [(&'static str, usize); 4] {
        [("active", self.active), ("idle", self.idle), ("new", self.new), ("upgraded", self.upgraded)]
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct Stage {
    pub(crate) state: Progress,
    /// Whether it is a closing action.
    pub(crate) closing: bool,
    pub(crate) parts: Vec<Part>,
}

impl Stage {
    /// A stage as it was seen; `held` tells how much a part of it holds.
    pub(crate) fn of(stage: &StageSeen, outlives: bool, mut held: impl FnMut(&PartSeen) -> usize) -> Self {
        let mut parts = Vec::new();
        for part in &stage.parts {
            let held = held(part);
            // A drain alone is no part.
            let Some(name) = &part.name else { continue };
            parts.push(Part {
                name: clipped(name, LONGEST),
                address: part.address.clone(),
                state: Progress::of(part, stage.is_closing),
                held,
                cut: part.overdue.as_ref().map_or(0, Overdue::guards),
                outlives,
            });
        }
        Self { state: Progress::of_all(&parts), closing: stage.is_closing, parts }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) address: Option<String>,
    pub(crate) state: Progress,
    /// How much it holds, itself not counted.
    pub(crate) held: usize,
    /// How many guards were cut.
    pub(crate) cut: usize,
    /// Whether the drain counts as ended while it goes on.
    pub(crate) outlives: bool,
}

/// How far a stage or a part has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Progress {
    /// A closing action whose turn has not come.
    Waiting,
    Running,
    Draining,
    /// It has ended by itself, before its drain.
    Ended,
    Closed,
    Cut,
}

impl Progress {
    fn of(part: &PartSeen, is_closing: bool) -> Self {
        match part.state {
            State::Running if is_closing => Self::Waiting,
            State::Running if part.guards == 0 => Self::Ended,
            State::Running => Self::Running,
            State::Draining => Self::Draining,
            State::Closed if part.overdue.is_some() => Self::Cut,
            State::Closed => Self::Closed,
        }
    }

    fn of_all(parts: &[Part]) -> Self {
        let all = || parts.iter().map(|it| it.state);
        if all().any(|it| it == Self::Draining) {
            return Self::Draining;
        }
        let have_closed = all().all(|it| it >= Self::Closed);
        let one = if have_closed { all().max() } else { all().min() };
        one.unwrap_or(Self::Closed)
    }
}

/// Something that is held.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) kind: Kind,
    pub(crate) what: String,
    pub(crate) part: Option<String>,
    /// Of a connection.
    pub(crate) state: Option<String>,
    pub(crate) requests: Vec<String>,
    pub(crate) guards: usize,
    /// Of a connection: how long it has been in that state. Else: how long it has been seen.
    pub(crate) seconds: Seconds,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Connection,
    Label,
    /// A part that holds nothing else.
    Part,
    /// Guards without a label.
    Unlabelled,
}

#[derive(Debug, Serialize)]
pub(crate) struct Cut {
    pub(crate) part: Option<String>,
    pub(crate) what: String,
    pub(crate) guards: usize,
}

impl Cut {
    /// What was cut of a part.
    pub(crate) fn of(part: &PartSeen) -> Vec<Self> {
        let Some(overdue) = &part.overdue else { return Vec::new() };
        let name = part.name.as_ref().map(|it| clipped(it, LONGEST));
        let cut = |what: String, guards| Self { part: name.clone(), what, guards };
        let mut cuts: Vec<_> = overdue.held().iter().map(|it| cut(clipped(it.label(), LONGEST), it.guards())).collect();
        let labelled: usize = cuts.iter().map(|it| it.guards).sum();
        let others = overdue.guards().saturating_sub(labelled);
        if others > 0 {
            cuts.push(cut(UNLABELLED.to_owned(), others));
        }
        cuts
    }
}

/// A time, as JSON has it: in seconds, to the millisecond.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Seconds(pub(crate) Duration);

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64((self.0.as_secs_f64() * 1000.0).round() / 1000.0)
    }
}
