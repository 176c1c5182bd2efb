//! From the first part's start to the last one's end.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ebbtide::{Cause, LameDuck, State};
use futures_util::future::{join, join_all, select};

use crate::event::Event;
use crate::outcome::{Outcome, StartError};
use crate::planned::Whole;
use crate::readiness::Readiness;
use crate::runtime::Runtime;
use crate::stage::{Draining, Stage};
use crate::status::Showing;

/// A service that runs.
pub(crate) struct Life {
    pub(crate) whole: Whole,
    /// Why it cannot start, if it cannot: then only its closing actions are taken.
    pub(crate) obstacle: Option<StartError>,
    pub(crate) stages: Vec<Stage>,
    pub(crate) readiness: Readiness,
    pub(crate) showing: Showing,
    pub(crate) lame_duck: Duration,
    pub(crate) last_call: Duration,
    pub(crate) last_words: Duration,
}

/// For how long the end waits for who is told of it.
const TELLING: Duration = Duration::from_millis(100);

impl Life {
    pub(crate) async fn live<R: Runtime>(mut self) -> Outcome {
        let drain = self.whole.drain.clone();
        let lame_duck = if self.obstacle.is_some() { Duration::ZERO } else { self.lame_duck };
        // Before there is a connection, for each to have its turn.
        let told = self.stages.first().filter(|_| !lame_duck.is_zero());
        let told = told.into_iter().flat_map(|it| &it.parts);
        let turns = told.map(|it| LameDuck::new(&it.drain, lame_duck)).collect();
        let was_ready = self.obstacle.is_none() && self.start::<R>().await;
        drain.watcher().await;
        self.showing.asked();
        let cause = drain.cause().unwrap_or(Cause::Dropped);
        pass_lame_duck::<R>(&self.whole, lame_duck, turns, &cause).await;

        self.showing.begun();
        self.whole.events.tell(Event::Draining { cause: cause.clone() });
        let mut draining = Draining {
            cause,
            begun: Instant::now(),
            last_words: self.last_words,
            last_call: self.last_call,
            times: self.stages.iter().map(|it| it.times::<R>(self.last_call)).collect(),
        };
        let (mut cut, mut was_forced) = (Vec::new(), false);
        for (at, stage) in self.stages.iter_mut().enumerate() {
            let cuts = stage.end::<R>(&self.whole, at, &mut draining).await;
            was_forced |= cuts.by_force;
            cut.extend(cuts.parts);
        }
        let elapsed = draining.begun.elapsed();
        let failure = self.whole.first_failure.get().cloned();
        let obstacle = self.obstacle.map(Arc::new);
        let outcome = Outcome { cause: Some(draining.cause), elapsed, was_ready, was_forced, obstacle, failure, cut };
        select(self.whole.events.end(&outcome), pin!(R::sleep(TELLING))).await;
        outcome
    }

    /// Starts the stages, the last one first, each when those behind it are ready. If the drain begins before that, the
    /// rest is not begun.
    async fn start<R: Runtime>(&mut self) -> bool {
        for stage in self.stages.iter_mut().rev() {
            if !stage.start::<R>(&self.whole, &self.readiness).await {
                return false;
            }
        }
        self.readiness.start();
        if self.whole.drain.state() == State::Running {
            self.whole.events.tell(Event::Ready);
        }
        true
    }
}

/// Goes on as before for a while. The connections of the first stage are told one after the other.
async fn pass_lame_duck<R: Runtime>(whole: &Whole, time: Duration, turns: Vec<LameDuck>, cause: &Cause) {
    if time.is_zero() || whole.drain.state() == State::Closed {
        return;
    }
    whole.events.tell(Event::LameDuck { cause: cause.clone(), time });
    let turns = join_all(turns.into_iter().map(|it| it.pass(R::sleep)));
    select(pin!(join(turns, R::sleep(time))), whole.drain.watcher().closed()).await;
}
