//! Parts that start together and end together.

use std::future::poll_fn;
use std::mem;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use ebbtide::{Cause, Drain, Guard, Label, Overdue, State};
use futures_util::future::{Either, Future, join_all, select};

use crate::event::Event;
use crate::moment::Moment;
use crate::plan::Limits;
use crate::planned::{Planned, Whole};
use crate::readiness::Readiness;
use crate::runtime::Runtime;

pub(crate) struct Stage {
    limits: Limits,
    /// What has not begun.
    planned: Vec<Planned>,
    /// Closing actions begin when their stage ends, all else when it starts.
    is_closing: bool,
    pub(crate) parts: Vec<Member>,
    last_call: Drain,
}

/// A part, to its stage.
pub(crate) struct Member {
    label: Label,
    pub(crate) drain: Drain,
    /// What the drain of the whole waits for.
    held: Guard,
}

/// What all stages know of the drain.
pub(crate) struct Draining {
    pub(crate) cause: Cause,
    pub(crate) begun: Instant,
    pub(crate) last_words: Duration,
    pub(crate) last_call: Duration,
    /// Of every stage. All are polled from the beginning on, since some timers count from their first poll.
    pub(crate) times: Vec<Times>,
}

/// The instants of a stage that are counted from the beginning of the first one.
pub(crate) struct Times {
    last_call: Moment,
    cut: Moment,
}

impl Times {
    fn poll(&mut self, cx: &mut Context<'_>) {
        self.last_call.has_come(cx);
        self.cut.has_come(cx);
    }
}

/// How often it is told what is waited for.
const TICK: Duration = Duration::from_secs(1);

impl Stage {
    pub(crate) fn new(whole: &Guard, limits: Limits, planned: Vec<Planned>, is_closing: bool) -> Self {
        let member = |part: &Planned| {
            let (label, drain) = (part.label.clone(), part.drain.clone());
            Member { held: whole.labelled(label.clone()), label, drain }
        };
        let parts = planned.iter().map(member).collect();
        Self { limits, planned, is_closing, parts, last_call: Drain::new() }
    }

    /// Its times, from now.
    pub(crate) fn times<R: Runtime>(&self, last_call: Duration) -> Times {
        let latest = self.limits.latest;
        let last_call = latest.map(|it| it.saturating_sub(last_call));
        Times { last_call: Moment::after::<R>(last_call), cut: Moment::after::<R>(latest) }
    }

    /// Begins its parts. Is over when they are ready, or when the drain of the whole has begun; tells whether they are
    /// ready.
    pub(crate) async fn start<R: Runtime>(&mut self, whole: &Whole, readiness: &Readiness) -> bool {
        if self.is_closing {
            return true;
        }
        let starting = Drain::new();
        let guards = |part: &Planned| {
            let waits = part.says_ready.then(|| [readiness.starting(), &starting]).into_iter().flatten();
            waits.filter_map(|it| it.watcher().labelled(part.label.clone())).collect()
        };
        let parts: Vec<(Vec<_>, _)> = self.planned.drain(..).map(|it| (guards(&it), it)).collect();
        // Before the first of them can fail, which is told by its guard.
        let mut started = starting.start();
        for (guards, part) in parts {
            part.begin::<R>(whole, &self.last_call, guards);
        }
        // Whether they are ready is asked first, so that a drain that has begun already is one of all that can start.
        match select(&mut started, whole.drain.watcher()).await {
            Either::Left((started, _)) => started.is_ok(),
            Either::Right(_) => false,
        }
    }

    /// Ends it, and tells what was cut.
    pub(crate) async fn end<R: Runtime>(&mut self, whole: &Whole, at: usize, draining: &mut Draining) -> Cuts {
        for part in mem::take(&mut self.planned) {
            // What has not begun by now never does, but for closing actions.
            if self.is_closing {
                part.begin::<R>(whole, &self.last_call, Vec::new());
            }
        }
        let is_cut = self.is_cut::<R>(whole, at, draining).await;
        if is_cut {
            self.parts.iter().for_each(|it| it.drain.close());
            let released = join_all(self.parts.iter().map(|it| it.drain.released()));
            select(released, pin!(R::sleep(draining.last_words))).await;
        }
        let mut parts = Vec::new();
        for Member { label, drain, held } in self.parts.drain(..) {
            let Some(Err(overdue)) = drain.watcher().outcome() else { continue };
            whole.events.tell(Event::Cut { part: label.clone(), overdue: overdue.clone() });
            held.give_up();
            parts.push((label, overdue));
        }
        Cuts { parts, by_force: is_cut }
    }

    /// Has it end by itself; tells whether it must be cut.
    async fn is_cut<R: Runtime>(&mut self, whole: &Whole, at: usize, draining: &mut Draining) -> bool {
        let Limits { most, forced: reserve, .. } = self.limits;
        let mut ended = join_all(self.parts.iter().map(|it| it.drain.start_by(draining.cause.clone())));
        let mut forced = whole.drain.watcher().closed();
        let mut last_call = Moment::after::<R>(most.map(|it| it.saturating_sub(draining.last_call)));
        let (mut most, mut reserve) = (Moment::after::<R>(most), Moment::after::<R>(Some(reserve)));
        let mut tick = Moment::after::<R>(whole.events.is_heard().then_some(TICK));
        poll_fn(|cx| {
            if Pin::new(&mut ended).poll(cx).is_ready() {
                return Poll::Ready(false);
            }
            draining.times.iter_mut().for_each(|it| it.poll(cx));
            let times = &mut draining.times[at];
            // Every one is asked, to be woken by it.
            let is_forced = Pin::new(&mut forced).poll(cx).is_ready();
            let is_without_reserve = reserve.has_come(cx) && is_forced;
            let is_over = most.has_come(cx) | times.cut.has_come(cx) | is_without_reserve;
            let is_called = last_call.has_come(cx) | times.last_call.has_come(cx) | is_forced;
            if is_called && self.last_call.state() == State::Running {
                drop(self.last_call.start_because("the last call"));
                for part in waited_for(&self.parts).filter(|_| !is_over) {
                    whole.events.tell(Event::LastCall { part: part.label.clone() });
                }
            }
            while tick.has_come(cx) {
                tick = Moment::after::<R>(Some(TICK));
                let parts = waited_for(&self.parts).map(|it| (it.label.clone(), it.drain.held())).collect();
                whole.events.tell(Event::Waiting { elapsed: draining.begun.elapsed(), parts });
            }
            if is_over { Poll::Ready(true) } else { Poll::Pending }
        })
        .await
    }
}

fn waited_for(parts: &[Member]) -> impl Iterator<Item = &Member> {
    parts.iter().filter(|it| it.drain.state() != State::Closed)
}

/// What of a stage was cut.
pub(crate) struct Cuts {
    pub(crate) parts: Vec<(Label, Overdue)>,
    /// Whether its time was up; without that, parts have said themselves that something is lost.
    pub(crate) by_force: bool,
}
