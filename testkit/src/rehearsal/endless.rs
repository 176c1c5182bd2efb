//! One request whose response has no end of its own: whether a drain ends it, and when.

use std::time::Duration;

use super::run::{self, Point};
use super::scene::{Heard, SLACK, Scene};
use super::tally::Tally;
use super::{PATIENCE, Rehearsal, WIDE};
use crate::report::{Outcome, Verdict};

/// One request against the service, whose response goes on until the drain ends it.
pub(super) struct Endless<'a> {
    rehearsal: &'a Rehearsal,
    request: &'a [u8],
    /// The length of its head.
    head: usize,
    /// How long after the drain began the response is to be over.
    within: Duration,
    /// How long it takes until it begins, and how many steps.
    took: Duration,
    steps: usize,
    pub(super) runs: usize,
}

/// What a client does, and what comes of it.
type Script<'a> = fn(&mut Endless<'a>) -> Verdict;

/// How many steps of the response's body a drain begins at.
const STEPS: usize = 32;
/// How far time goes on in one, if nothing else happens.
const STEP: Duration = Duration::from_secs(1);

impl<'a> Endless<'a> {
    pub(super) const BEGINS: &'static str = "a_response_without_an_end_begins";

    /// Looks at it without any drain. Its error is what is wrong with it then.
    pub(super) fn begin(
        rehearsal: &'a Rehearsal,
        request: &'a [u8],
        head: usize,
        within: Duration,
    ) -> Result<Self, String> {
        let mut scene = rehearsal.scene(WIDE, false);
        scene.send(request, PATIENCE);
        let (mut steps, limit) = (0, scene.now() + PATIENCE);
        while !scene.hears_a_head() {
            if !scene.step(limit) {
                return Err(format!("without any drain, {}", scene.hear(Duration::ZERO).fault(None)));
            }
            steps += 1;
        }
        let took = scene.now();
        for _ in 0..STEPS {
            if scene.hears_a_response() || scene.is_ended() {
                return Err("without any drain, it comes to an end: `Rehearsal::run` is for that".into());
            }
            scene.step(scene.now() + STEP);
        }
        Ok(Self { rehearsal, request, head, within, took, steps, runs: 1 })
    }

    pub(super) fn outcomes(&mut self) -> Vec<Outcome> {
        let mut outcomes = vec![Outcome { promise: Self::BEGINS, verdict: Verdict::Kept }];
        outcomes.extend(self.sweep());
        let rest: [(&'static str, Script<'a>); 4] = [
            ("a_client_that_leaves_does_not_hold_the_drain", Self::leaves),
            ("a_client_that_takes_nothing_holds_the_drain_no_longer_than_its_bound", Self::takes_nothing),
            ("a_forced_close_cuts_it_and_says_so", Self::forced),
            ("no_task_outlives_the_drain", Self::tasks),
        ];
        outcomes.extend(rest.map(|(promise, run)| Outcome { promise, verdict: run(self) }));
        outcomes
    }

    fn scene(&mut self, capacity: usize) -> Scene {
        self.runs += 1;
        self.rehearsal.scene(capacity, false)
    }

    fn whole(&self) -> Duration {
        self.rehearsal.whole(self.took) + self.within
    }

    /// A client whose response has gone on for so many steps.
    fn at(&mut self, step: usize, capacity: usize) -> Scene {
        let mut scene = self.scene(capacity);
        scene.send(self.request, self.whole());
        for _ in 0..step {
            scene.step(scene.now() + STEP);
        }
        scene
    }

    /// Every step until the response begins, and some of its body.
    fn points(&self, most: usize) -> Vec<usize> {
        run::spread(0..=self.steps + STEPS, most).collect()
    }

    /// The drain after each byte of the request, seen or still on the wire, and at steps of the response.
    fn sweep(&mut self) -> Vec<Outcome> {
        let (mut asked, mut flight) = (Tally::default(), Tally::default());
        let (mut fin, mut held, mut ended) = (Tally::default(), Tally::default(), Tally::default());
        for k in run::beginnings(self.head, self.request.len()) {
            for seen in [true, false] {
                let mut scene = self.scene(WIDE);
                scene.send(&self.request[..k], self.whole());
                if seen {
                    scene.settle();
                }
                scene.drain();
                if seen {
                    scene.settle();
                }
                scene.send(&self.request[k..], self.whole());
                let how = if seen { "seen" } else { "on the wire" };
                let point = || format!("with {k} of its {} bytes {how}", self.request.len());
                self.hear(scene, &point, &mut asked, [&mut fin, &mut held, &mut ended]);
            }
        }
        for step in self.points(usize::MAX) {
            let mut scene = self.at(step, WIDE);
            scene.drain();
            let point = || format!("at step {step}, the response begins at step {}", self.steps);
            self.hear(scene, &point, &mut flight, [&mut fin, &mut held, &mut ended]);
        }
        let tallies = [
            ("it_ends_in_time_if_its_request_had_begun_when_the_drain_did", asked),
            ("it_ends_in_time_at_whatever_step_of_it_the_drain_begins", flight),
            ("its_connection_ends_by_fin_right_behind_it", fin),
            ("the_drain_waits_for_it", held),
            ("the_drain_ends_with_its_last_connection", ended),
        ];
        tallies.map(|(promise, tally)| Outcome { promise, verdict: tally.verdict() }).into()
    }

    fn hear(&self, mut scene: Scene, point: Point<'_>, line: &mut Tally, [fin, held, ended]: [&mut Tally; 3]) {
        let heard = scene.hear(self.whole());
        line.note(point, self.fault(&heard));
        let early = "it was over while the connection was open: was its guard forgotten?";
        held.note(point, heard.early.then(|| early.to_owned()));
        if !heard.responses.is_empty() {
            fin.note(point, heard.not_fin(self.rehearsal.bounds.idle + SLACK));
        }
        scene.leave();
        ended.note(point, scene.drained(self.rehearsal.behind()).err().filter(|_| !heard.early));
    }

    /// What is wrong with a response that is to be complete by now.
    fn fault(&self, heard: &Heard) -> Option<String> {
        if heard.responses.is_empty() {
            return Some(heard.fault(None));
        }
        // What was asked for after the drain began takes its time to begin.
        let over = heard.after.saturating_sub(heard.behind);
        let late = over > self.within + self.took + SLACK;
        late.then(|| format!("its last byte comes {over:?} after the drain began, and not within {:?}", self.within))
    }

    fn leaves(&mut self) -> Verdict {
        let mut tally = Tally::default();
        for step in self.points(STEPS) {
            for how in [Scene::leave as fn(&mut Scene), Scene::reset] {
                let mut scene = self.at(step, WIDE);
                scene.drain();
                how(&mut scene);
                // What it asked for may be finished for nobody.
                let limit = self.took + self.within + self.rehearsal.behind();
                tally.note(&|| format!("at step {step}"), scene.drained(limit).err());
            }
        }
        tally.verdict()
    }

    fn takes_nothing(&mut self) -> Verdict {
        let mut tally = Tally::default();
        let mut scene = self.at(0, run::NARROW);
        scene.settle();
        scene.drain();
        tally.note(&|| format!("it takes {} B of the response", run::NARROW), scene.drained(self.whole()).err());
        tally.verdict()
    }

    fn forced(&mut self) -> Verdict {
        let mut tally = Tally::default();
        for step in self.points(STEPS) {
            // Before anybody hears of the drain.
            let mut scene = self.at(step, WIDE);
            tally.note(&|| format!("at step {step}"), run::cut(&mut scene));
        }
        tally.verdict()
    }

    fn tasks(&mut self) -> Verdict {
        let mut tally = Tally::default();
        for step in self.points(run::LOOKS) {
            let mut scene = self.at(step, WIDE);
            scene.drain();
            let _ = scene.hear(self.whole());
            scene.leave();
            if scene.drained(self.whole()).is_ok() {
                tally.note(&|| format!("at step {step}"), scene.left_behind());
            }
        }
        tally.verdict()
    }
}
