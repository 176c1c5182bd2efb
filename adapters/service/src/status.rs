//! What a service is doing, for whoever looks at it.

use std::fmt;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use ebbtide::{Drain, Held, Label, Overdue, State, Watcher};

use crate::planned::Planned;

/// What a service is doing: its stages, with their parts and what those hold, and its times. A clone is the same view. It
/// changes nothing.
///
/// # Examples
///
/// ```
/// use ebbtide_service::Status;
///
/// fn print(status: &Status) {
///     for (at, stage) in status.stages().iter().enumerate() {
///         for part in stage.parts() {
///             println!("stage {at}: {} is {:?} with {} guards", part.label(), part.state(), part.guards());
///         }
///     }
/// }
/// ```
#[derive(Clone, Default)]
pub struct Status(Arc<Shared>);

#[derive(Default)]
struct Shared {
    plan: OnceLock<Shown>,
    asked: OnceLock<Instant>,
    begun: OnceLock<Instant>,
}

/// What is known once the service runs.
struct Shown {
    lame_duck: Duration,
    deadline: Option<Duration>,
    stages: Vec<ShownStage>,
}

struct ShownStage {
    is_closing: bool,
    parts: Vec<ShownPart>,
}

struct ShownPart {
    label: Label,
    address: Option<String>,
    watcher: Watcher,
    /// Not the drain itself: it starts when the service drops it, whoever looks.
    drain: Weak<Drain>,
}

/// The service's own side of its status. While it lives, what the parts hold can be seen.
pub(crate) struct Showing {
    status: Status,
    _drains: Vec<Arc<Drain>>,
}

impl Status {
    pub(crate) fn show<'a>(
        &self,
        lame_duck: Duration,
        deadline: Option<Duration>,
        stages: impl Iterator<Item = (&'a [Planned], bool)>,
    ) -> Showing {
        let mut drains = Vec::new();
        let mut part = |it: &Planned| {
            let drain = Arc::new(it.drain.clone());
            let (label, address) = (it.label.clone(), it.address());
            let part = ShownPart { label, address, watcher: drain.watcher(), drain: Arc::downgrade(&drain) };
            drains.push(drain);
            part
        };
        let stages =
            stages.map(|(parts, is_closing)| ShownStage { is_closing, parts: parts.iter().map(&mut part).collect() });
        let stages = stages.collect();
        // A service runs once.
        let _ = self.0.plan.set(Shown { lame_duck, deadline, stages });
        Showing { status: self.clone(), _drains: drains }
    }

    /// How long the drain may take, a lame duck time not counted. `None` if it has no deadline or does not run yet.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        self.0.plan.get()?.deadline
    }

    /// How much is left of the lame duck time; `None` if it has not begun or is over.
    #[must_use]
    pub fn lame_duck(&self) -> Option<Duration> {
        let asked = self.0.asked.get().filter(|_| self.0.begun.get().is_none())?;
        self.0.plan.get()?.lame_duck.checked_sub(asked.elapsed())
    }

    /// For how long the drain has gone on, a lame duck time not counted. `None` if it has not begun. It does not stop with the
    /// drain.
    #[must_use]
    pub fn elapsed(&self) -> Option<Duration> {
        self.0.begun.get().map(Instant::elapsed)
    }

    /// The stages, in the order in which they end. None before the service runs.
    #[must_use]
    pub fn stages(&self) -> Vec<StageStatus> {
        self.0.plan.get().map(|it| it.stages.iter().map(ShownStage::now).collect()).unwrap_or_default()
    }
}

impl Showing {
    /// The drain was asked for: now, or the lame duck time begins.
    pub(crate) fn asked(&self) {
        self.status.0.asked.get_or_init(Instant::now);
    }

    /// The drain of the first stage begins.
    pub(crate) fn begun(&self) {
        self.status.0.begun.get_or_init(Instant::now);
    }
}

impl ShownStage {
    fn now(&self) -> StageStatus {
        StageStatus { is_closing: self.is_closing, parts: self.parts.iter().map(ShownPart::now).collect() }
    }
}

impl ShownPart {
    fn now(&self) -> PartStatus {
        let (guards, held) = self.drain.upgrade().map(|it| (it.guards(), it.held())).unwrap_or_default();
        PartStatus {
            label: self.label.clone(),
            address: self.address.clone(),
            // Behind what is held: who is told that it has closed is not told of guards.
            state: self.watcher.state(),
            guards,
            held,
            overdue: self.watcher.outcome().and_then(Result::err),
        }
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Status").field("stages", &self.stages()).finish_non_exhaustive()
    }
}

/// A stage of a service, as it was at one moment.
#[derive(Clone, Debug)]
pub struct StageStatus {
    is_closing: bool,
    parts: Vec<PartStatus>,
}

impl StageStatus {
    /// Whether it is a [closing action](crate::Service::finally), which begins when the stages before it have ended.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.is_closing
    }

    /// Its parts.
    #[must_use]
    pub fn parts(&self) -> &[PartStatus] {
        &self.parts
    }

    /// How far its drain has come: as far as that of the part which is behind the others.
    #[must_use]
    pub fn state(&self) -> State {
        self.parts.iter().map(PartStatus::state).min().unwrap_or(State::Closed)
    }
}

/// A part of a service, as it was at one moment.
#[derive(Clone, Debug)]
pub struct PartStatus {
    label: Label,
    address: Option<String>,
    state: State,
    guards: usize,
    held: Vec<Held>,
    overdue: Option<Overdue>,
}

impl PartStatus {
    /// What the part is called.
    #[must_use]
    pub fn label(&self) -> &Label {
        &self.label
    }

    /// Where it listens, if it does: an address, or the path of a Unix socket.
    #[must_use]
    pub fn address(&self) -> Option<&str> {
        self.address.as_deref()
    }

    /// How far its drain has come. One that has ended by itself meanwhile holds no [guard](Self::guards).
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// The number of guards that it holds: one for itself, and those for its connections and tasks.
    #[must_use]
    pub fn guards(&self) -> usize {
        self.guards
    }

    /// What it holds, by label. Guards without a label are counted by [`guards`](Self::guards) only.
    #[must_use]
    pub fn held(&self) -> &[Held] {
        &self.held
    }

    /// What was cut, if anything was.
    #[must_use]
    pub fn overdue(&self) -> Option<&Overdue> {
        self.overdue.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;
    use crate::planned::Work;

    fn planned(label: &'static str) -> Planned {
        Planned::new(label.into(), Work::Blocking(Box::new(|_| None)))
    }

    #[test]
    fn stages_are_shown_in_order_with_what_their_parts_hold_and_what_was_cut() {
        let (status, first, second) = (Status::default(), [planned("api")], [planned("pool")]);
        let stages = [(&first[..], false), (&second[..], true)];
        let showing = status.show(Duration::ZERO, Some(Duration::from_secs(9)), stages.into_iter());
        let request = first[0].drain.watcher().labelled("request");
        let [api, pool] = &status.stages()[..] else { panic!("two stages: {status:?}") };
        assert_eq!((api.is_closing(), pool.is_closing()), (false, true));
        assert_eq!(api.parts()[0].guards(), 2, "the part itself and its request");
        assert_eq!(status.deadline(), Some(Duration::from_secs(9)));

        first[0].drain.close();
        drop(request);
        let stages = status.stages();
        assert_eq!((stages[0].state(), stages[1].state()), (State::Closed, State::Running));
        assert_eq!(stages[0].parts()[0].overdue().map(Overdue::guards), Some(2));
        drop(showing);
        assert_eq!(status.stages()[0].parts()[0].overdue().map(Overdue::guards), Some(2), "it is remembered");
    }

    #[test]
    fn who_looks_does_not_keep_a_drain_from_being_dropped() {
        let (status, part) = (Status::default(), planned("api"));
        let watcher = part.drain.watcher();
        let showing = status.show(Duration::ZERO, None, [(std::slice::from_ref(&part), false)].into_iter());
        drop((part, showing));
        assert!(pin!(watcher).poll(&mut Context::from_waker(Waker::noop())).is_ready());
        assert_eq!(status.stages()[0].state(), State::Closed);
    }

    #[test]
    fn a_lame_duck_time_counts_down_until_the_drain_begins() {
        let status = Status::default();
        let showing = status.show(Duration::from_secs(3600), None, [].into_iter());
        assert_eq!((status.lame_duck(), status.elapsed()), (None, None));
        showing.asked();
        assert!(status.lame_duck().is_some_and(|it| it <= Duration::from_secs(3600)));
        showing.begun();
        assert_eq!(status.lame_duck(), None);
        assert!(status.elapsed().is_some());
    }
}
