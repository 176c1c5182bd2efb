//! One request against a service, by clients that do whatever clients do.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use ebbtide::State;
use ebbtide_connection::Bounds;

use super::scene::{Heard, SLACK, Scene};
use super::tally::Tally;
use super::{PATIENCE, Reference, Rehearsal, WIDE, is_head};
use crate::client::Response;
use crate::report::{Outcome, Verdict};

/// One request against the service.
pub(super) struct Run<'a> {
    pub(super) rehearsal: &'a Rehearsal,
    pub(super) request: &'a [u8],
    /// The length of its head.
    pub(super) head: usize,
    pub(super) reference: Reference,
    pub(super) runs: usize,
}

/// A connection that is new, or that has served a request before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Age {
    New,
    Kept,
}

/// What a run is known by, in the report.
pub(super) type Point<'a> = &'a dyn Fn() -> String;

/// What a client does, and what comes of it.
type Script<'a> = fn(&mut Run<'a>) -> Verdict;

/// What a connection of a client that reads slowly holds.
pub(super) const NARROW: usize = 16;
/// What comes behind the last request: more than a server reads ahead.
const FLOOD: usize = 1 << 20;
/// Between a slow client's bytes.
const SLOW: Duration = Duration::from_millis(100);
/// How many points of a body, or of a response, a drain begins at: where there are more, they are spread.
const POINTS: usize = 256;
/// How many points the tasks are looked at that a drain leaves behind: each may take a while of them.
pub(super) const LOOKS: usize = 8;
/// How long before its end a grace's last moment is.
const LAST_MOMENT: Duration = Duration::from_millis(3);

impl<'a> Run<'a> {
    pub(super) const ANSWERED: &'static str = "a_request_is_answered";

    pub(super) fn outcomes(&mut self) -> Vec<Outcome> {
        let mut outcomes = vec![Outcome { promise: Self::ANSWERED, verdict: Verdict::Kept }];
        outcomes.extend(self.sweep());
        let rest: [(&'static str, Script<'a>); 21] = [
            ("a_silent_connection_ends_by_fin_within_its_grace", Self::silent),
            ("a_request_in_the_last_moment_of_the_grace_of_a_silent_connection_is_answered", Self::silent_speaks),
            ("an_idle_connection_ends_by_fin_within_its_grace", Self::idle),
            ("a_request_in_the_last_moment_of_the_grace_of_an_idle_connection_is_answered", Self::idle_speaks),
            ("half_a_head_that_never_ends_holds_the_drain_no_longer_than_its_bound", Self::half_a_head),
            ("the_request_of_a_slow_client_is_answered", Self::slow_client),
            ("the_response_to_a_slow_reader_is_completed", Self::slow_reader),
            ("a_client_that_takes_nothing_holds_the_drain_no_longer_than_its_bound", Self::takes_nothing),
            ("what_is_pipelined_behind_the_last_response_harms_nothing", Self::pipelined),
            ("a_request_pipelined_in_two_pieces_does_not_destroy_the_response", Self::pieces),
            ("a_client_that_says_nothing_more_does_not_hold_the_drain", Self::says_no_more),
            ("a_flood_behind_the_last_request_does_not_destroy_its_response", Self::flood),
            ("a_client_that_leaves_in_the_middle_of_its_request_does_not_hold_the_drain", Self::leaves_asking),
            ("a_client_that_leaves_before_its_response_does_not_hold_the_drain", Self::leaves_waiting),
            ("a_client_that_ends_its_direction_does_not_hold_the_drain", Self::half_closes),
            ("a_forced_close_cuts_what_is_in_flight_and_says_so", Self::forced),
            ("no_task_outlives_the_drain", Self::tasks),
            ("a_request_for_an_upgrade_is_answered", Self::upgrade_asked),
            ("an_upgraded_connection_is_told_of_the_drain_or_waited_for", Self::upgraded),
            ("an_upgraded_connection_whose_client_leaves_does_not_hold_the_drain", Self::upgraded_leaves),
            ("a_forced_close_cuts_an_upgraded_connection_and_says_so", Self::upgraded_forced),
        ];
        for (promise, run) in rest {
            outcomes.push(Outcome { promise, verdict: run(self) });
        }
        outcomes
    }

    /// A client that has connected, and has had one response where the connection is kept.
    fn scene(&mut self, age: Age, capacity: usize) -> Option<Scene> {
        self.runs += 1;
        let mut scene = self.rehearsal.scene(capacity, is_head(self.request));
        if age == Age::Kept {
            if !self.reference.is_kept {
                return None;
            }
            scene.send(self.request, self.whole());
            if !scene.hear_responses(1, self.whole()) {
                return None;
            }
            scene.settle();
            scene.forget();
        }
        Some(scene)
    }

    fn ages(&self) -> &'static [Age] {
        if self.reference.is_kept { &[Age::New, Age::Kept] } else { &[Age::New] }
    }

    /// How long all of it may take, whatever happens.
    fn whole(&self) -> Duration {
        self.rehearsal.whole(self.reference.took)
    }

    /// How long a connection may be read on, once its end is written and its client has gone.
    fn behind(&self) -> Duration {
        self.rehearsal.behind()
    }

    /// Lengths of the request's beginnings: every one of its head, and many of its body.
    fn beginnings(&self) -> Vec<usize> {
        beginnings(self.head, self.request.len())
    }

    /// What is wrong with the response.
    fn response(&self, heard: &Heard) -> Option<String> {
        match heard.responses.first() {
            Some(response) if (self.rehearsal.same)(&self.reference.response, response) => None,
            other => Some(heard.fault(other.map(|it| (it, &self.reference.response)))),
        }
    }

    /// The drain after each byte of the request, seen or still on the wire, and at each step of the response.
    fn sweep(&mut self) -> Vec<Outcome> {
        let mut begun = Tally::default();
        let mut wire = Tally::default();
        let mut flight = Tally::default();
        let mut close = Tally::default();
        let mut fin = Tally::default();
        let mut held = Tally::default();
        let mut ended = Tally::default();
        for &age in self.ages() {
            for k in self.beginnings() {
                for seen in [true, false] {
                    let Some(mut scene) = self.scene(age, WIDE) else { continue };
                    let whole = self.whole();
                    scene.send(&self.request[..k], whole);
                    if seen {
                        scene.settle();
                    }
                    scene.drain();
                    if seen {
                        scene.settle();
                    }
                    scene.send(&self.request[k..], whole);
                    let how = if seen { "seen" } else { "on the wire" };
                    let point = || format!("with {k} of its {} bytes {how}, {age}", self.request.len());
                    let line = if seen { &mut begun } else { &mut wire };
                    self.hear(scene, &point, line, [&mut close, &mut fin, &mut held, &mut ended]);
                }
            }
            for step in spread(0..=self.reference.steps, POINTS) {
                let Some(mut scene) = self.scene(age, WIDE) else { continue };
                let whole = self.whole();
                scene.send(self.request, whole);
                let limit = scene.now() + self.reference.took + SLACK;
                let asked = scene.now();
                for _ in 0..step {
                    scene.step(limit);
                }
                let at = scene.now().saturating_sub(asked);
                scene.drain();
                let steps = self.reference.steps;
                let point = || format!("at step {step} of {steps}, {at:?} after the request, {age}");
                self.hear(scene, &point, &mut flight, [&mut close, &mut fin, &mut held, &mut ended]);
            }
        }
        let tallies = [
            ("a_request_that_has_begun_when_the_drain_does_is_answered", begun),
            ("a_request_on_the_wire_when_the_drain_begins_is_answered", wire),
            ("a_response_in_flight_when_the_drain_begins_is_completed", flight),
            ("a_response_whose_head_comes_after_the_drain_began_says_close", close),
            ("a_connection_ends_by_fin_right_behind_its_last_response", fin),
            ("the_drain_waits_for_what_is_in_flight", held),
            ("the_drain_ends_with_its_last_connection", ended),
        ];
        tallies.map(|(promise, tally)| Outcome { promise, verdict: tally.verdict() }).into()
    }

    /// Hears a response that is promised, and the end behind it.
    fn hear(&self, mut scene: Scene, point: Point<'_>, line: &mut Tally, [close, fin, held, ended]: [&mut Tally; 4]) {
        let heard = scene.hear(self.whole());
        line.note(point, self.response(&heard));
        if heard.early {
            held.note(point, Some("it was over while the connection was open: was its guard forgotten?".into()));
        } else {
            held.note(point, None);
        }
        if let Some(response) = heard.responses.first() {
            let version = self.request.split(|it| *it == b'\r').next().unwrap_or_default();
            if heard.begun == 0 && !version.ends_with(b"HTTP/1.0") {
                let fault = (!response.says_close()).then(|| format!("it does not: {:?}", response.head));
                close.note(point, fault);
            }
            // Its client may have another request on the wire, where nothing has told it that this was the last.
            let untold = heard.coincides || !response.says_close();
            let idle = heard.complete > 0 || (heard.begun > 0 && untold);
            let grace = if idle { self.rehearsal.bounds.idle } else { Duration::ZERO };
            fin.note(point, heard.not_fin(grace + SLACK));
        }
        scene.leave();
        ended.note(point, scene.drained(self.behind()).err().filter(|_| !heard.early));
    }

    /// A response that is promised, in order.
    fn answered(&self, mut scene: Scene, extra: Duration) -> Option<String> {
        let heard = scene.hear(self.whole() + extra);
        let fault = self.response(&heard).or_else(|| heard.not_fin(self.rehearsal.bounds.idle + SLACK));
        scene.leave();
        fault.or_else(|| scene.drained(self.behind()).err())
    }

    fn silent(&mut self) -> Verdict {
        let mut tally = Tally::default();
        let Some(mut scene) = self.scene(Age::New, WIDE) else { return Tally::never() };
        scene.settle();
        scene.drain();
        let heard = scene.hear(self.whole());
        let fault = heard.not_silent_fin(self.rehearsal.bounds.silent + SLACK);
        scene.leave();
        tally.note(&|| "new".into(), fault.or_else(|| scene.drained(self.behind()).err()));
        tally.verdict()
    }

    fn silent_speaks(&mut self) -> Verdict {
        self.speaks(Age::New, self.rehearsal.bounds.silent)
    }

    fn idle(&mut self) -> Verdict {
        if !self.reference.is_kept {
            return Verdict::NotOffered("no connection is kept behind this response".into());
        }
        let mut tally = Tally::default();
        let Some(mut scene) = self.scene(Age::Kept, WIDE) else { return Tally::never() };
        scene.drain();
        let heard = scene.hear(self.whole());
        let fault = heard.not_silent_fin(self.rehearsal.bounds.idle + SLACK);
        scene.leave();
        tally.note(&|| "kept".into(), fault.or_else(|| scene.drained(self.behind()).err()));
        tally.verdict()
    }

    fn idle_speaks(&mut self) -> Verdict {
        if !self.reference.is_kept {
            return Verdict::NotOffered("no connection is kept behind this response".into());
        }
        self.speaks(Age::Kept, self.rehearsal.bounds.idle)
    }

    fn speaks(&mut self, age: Age, grace: Duration) -> Verdict {
        if grace <= LAST_MOMENT {
            return Verdict::NotOffered(format!("the grace is {grace:?}"));
        }
        let mut tally = Tally::default();
        for moment in [Duration::ZERO, grace / 2, grace.saturating_sub(LAST_MOMENT)] {
            let Some(mut scene) = self.scene(age, WIDE) else { return Tally::never() };
            scene.settle();
            scene.drain();
            scene.pass(moment);
            scene.send(self.request, self.whole());
            tally.note(&|| format!("{moment:?} after the drain began"), self.answered(scene, Duration::ZERO));
        }
        tally.verdict()
    }

    fn half_a_head(&mut self) -> Verdict {
        let mut tally = Tally::default();
        let Bounds { head, preface, .. } = self.rehearsal.bounds;
        for &age in self.ages() {
            for k in 1..self.head {
                let Some(mut scene) = self.scene(age, WIDE) else { return Tally::never() };
                scene.send(&self.request[..k], self.whole());
                scene.settle();
                scene.drain();
                let heard = scene.hear(self.whole());
                // Of what begins like HTTP/2.
                let bound = if b"PRI * HTTP/2.0".starts_with(&self.request[..k]) { head.max(preface) } else { head };
                let fault = heard.not_ended(bound + SLACK);
                scene.leave();
                tally.note(&|| format!("after {k} bytes, {age}"), fault.or_else(|| scene.drained(self.behind()).err()));
            }
        }
        tally.verdict()
    }

    fn slow_client(&mut self) -> Verdict {
        let bound = self.rehearsal.bounds.head;
        let pause = SLOW.min(bound / 2 / u32::try_from(self.head).unwrap_or(u32::MAX));
        if pause < Duration::from_millis(1) {
            return Verdict::NotOffered(format!("a head of {} bytes has {bound:?}", self.head));
        }
        let mut tally = Tally::default();
        for &age in self.ages() {
            let Some(mut scene) = self.scene(age, WIDE) else { return Tally::never() };
            let mut sent = 0;
            for (at, end) in self.beginnings().into_iter().enumerate() {
                scene.send(&self.request[sent..end], self.whole());
                sent = end;
                if at == 0 {
                    scene.settle();
                    scene.drain();
                }
                scene.pass(pause);
            }
            tally.note(&|| format!("a byte each {pause:?}, {age}"), self.answered(scene, Duration::ZERO));
        }
        tally.verdict()
    }

    fn slow_reader(&mut self) -> Verdict {
        let pause = SLOW.min(self.rehearsal.bounds.stall / 2);
        if pause < Duration::from_millis(1) {
            return Verdict::NotOffered("a client that takes nothing is not waited for".into());
        }
        let most = (self.reference.length / POINTS).max(1);
        let mut tally = Tally::default();
        for first in [0, 1] {
            let Some(mut scene) = self.scene(Age::New, NARROW.max(2 * most)) else { return Tally::never() };
            scene.send(self.request, self.whole());
            scene.settle();
            if first > 0 {
                scene.pass(self.reference.took);
                scene.read(first);
            }
            scene.drain();
            let limit = scene.now()
                + self.whole()
                + pause * 4 * u32::try_from(POINTS.max(self.reference.length / most)).unwrap_or(u32::MAX);
            while !scene.is_ended() && scene.now() < limit {
                scene.pass(pause);
                scene.read(most);
            }
            let when = if first == 0 { "before the response" } else { "within the response" };
            tally.note(&|| format!("{most} B each {pause:?}, the drain {when}"), self.answered(scene, Duration::ZERO));
        }
        tally.verdict()
    }

    /// In silence, and while it sends on and on.
    fn takes_nothing(&mut self) -> Verdict {
        let mut tally = Tally::default();
        for sends in [false, true] {
            let Some(mut scene) = self.scene(Age::New, NARROW) else { return Tally::never() };
            scene.send(self.request, self.whole());
            scene.settle();
            scene.drain();
            let limit = scene.now() + self.whole();
            while sends && scene.state() != State::Closed && scene.now() < limit {
                scene.pass(SLOW);
                scene.nudge();
            }
            let rest = limit.saturating_sub(scene.now());
            let how = if sends { "and sends on" } else { "in silence" };
            tally.note(&|| format!("it takes {NARROW} B of the response, {how}"), scene.drained(rest).err());
        }
        tally.verdict()
    }

    fn pipelined(&mut self) -> Verdict {
        let mut tally = Tally::default();
        for k in self.beginnings() {
            let Some(mut scene) = self.scene(Age::New, WIDE) else { return Tally::never() };
            scene.send(&self.request[..k], self.whole());
            scene.settle();
            scene.drain();
            scene.send(&[&self.request[k..], self.request].concat(), self.whole());
            let point = || format!("the drain with {k} bytes seen");
            tally.note(&point, self.last_is_last(scene));
        }
        tally.verdict()
    }

    /// The first piece has been read when the connection closes, the second comes while it does.
    fn pieces(&mut self) -> Verdict {
        let mut tally = Tally::default();
        for &age in self.ages() {
            for k in self.beginnings().into_iter().filter(|k| *k < self.request.len()) {
                let Some(mut scene) = self.scene(age, WIDE) else { return Tally::never() };
                scene.send(&[self.request, &self.request[..k]].concat(), self.whole());
                scene.settle();
                scene.drain();
                scene.leave_unread(self.reference.length, self.reference.took);
                scene.send(&self.request[k..], self.whole());
                tally.note(&|| format!("the first of {k} bytes, {age}"), self.last_is_last(scene));
            }
        }
        tally.verdict()
    }

    /// It does not even close its end. Of a body there might be more to come.
    fn says_no_more(&mut self) -> Verdict {
        if self.head < self.request.len() {
            return Verdict::NotOffered("the request has a body".into());
        }
        let mut tally = Tally::default();
        for &age in self.ages() {
            for seen in [true, false] {
                let Some(mut scene) = self.scene(age, WIDE) else { return Tally::never() };
                scene.send(self.request, self.whole());
                if seen {
                    scene.settle();
                }
                scene.drain();
                let heard = scene.hear(self.whole());
                let how = if seen { "seen" } else { "on the wire" };
                let fault = self.response(&heard).or_else(|| scene.drained(SLACK).err());
                tally.note(&|| format!("the request {how}, {age}"), fault);
            }
        }
        tally.verdict()
    }

    fn flood(&mut self) -> Verdict {
        let mut tally = Tally::default();
        for k in [1, self.head / 2, self.request.len() - 1] {
            // All of it is on the wire before the server closes. Of a client that begins to send only when the server has
            // no reason left to expect anything, nobody can promise as much.
            let copies = 1 + FLOOD / self.request.len();
            let Some(mut scene) = self.scene(Age::New, FLOOD + 2 * self.request.len()) else { return Tally::never() };
            scene.send(&self.request[..k], self.whole());
            scene.settle();
            scene.drain();
            scene.flood(&[&self.request[k..], &self.request.repeat(copies)].concat(), self.whole());
            tally.note(&|| format!("the drain with {k} bytes seen"), self.last_is_last(scene));
        }
        tally.verdict()
    }

    /// Every response is whole, and none follows one that says that it is the last.
    fn last_is_last(&self, mut scene: Scene) -> Option<String> {
        let heard = scene.hear(self.whole());
        let fault = self.response(&heard).or_else(|| heard.not_fin(self.rehearsal.bounds.idle + SLACK));
        let last = heard.responses.iter().position(Response::says_close);
        let behind = heard.partial || last.is_some_and(|last| last + 1 < heard.responses.len());
        scene.leave();
        fault
            .or_else(|| behind.then(|| "something follows the response that says `Connection: close`".into()))
            .or_else(|| scene.drained(self.behind()).err())
    }

    fn leaves_asking(&mut self) -> Verdict {
        let mut tally = Tally::default();
        for &age in self.ages() {
            for k in self.beginnings().into_iter().filter(|k| *k < self.request.len()) {
                self.leaves(&mut tally, age, k, 0, &|| format!("after {k} bytes, {age}"));
            }
        }
        tally.verdict()
    }

    fn leaves_waiting(&mut self) -> Verdict {
        let (mut tally, steps) = (Tally::default(), self.reference.steps);
        for &age in self.ages() {
            for step in spread(0..=steps, POINTS) {
                let point = || format!("at step {step} of {steps} of the response, {age}");
                self.leaves(&mut tally, age, self.request.len(), step, &point);
            }
        }
        tally.verdict()
    }

    /// In every way: before the drain or after it, in order or by a reset.
    fn leaves(&mut self, tally: &mut Tally, age: Age, sent: usize, steps: usize, point: Point<'_>) {
        for (early, how) in
            [(true, Scene::leave as fn(&mut Scene)), (true, Scene::reset), (false, Scene::leave), (false, Scene::reset)]
        {
            let Some(mut scene) = self.scene(age, WIDE) else { return };
            scene.send(&self.request[..sent], self.whole());
            if sent < self.request.len() {
                scene.settle();
            }
            let limit = scene.now() + self.reference.took + SLACK;
            for _ in 0..steps {
                scene.step(limit);
            }
            if early {
                how(&mut scene);
            }
            scene.drain();
            if !early {
                scene.settle();
                how(&mut scene);
            }
            // What it asked for may be finished for nobody.
            tally.note(point, scene.drained(self.reference.took + self.behind()).err());
        }
    }

    fn half_closes(&mut self) -> Verdict {
        let mut tally = Tally::default();
        for &age in self.ages() {
            for k in [1, self.head / 2, self.request.len()] {
                let Some(mut scene) = self.scene(age, WIDE) else { return Tally::never() };
                scene.send(&self.request[..k], self.whole());
                scene.settle();
                scene.drain();
                scene.half_close();
                let _ = scene.hear(self.whole());
                tally.note(&|| format!("after {k} bytes, {age}"), scene.drained(self.behind()).err());
            }
        }
        tally.verdict()
    }

    fn forced(&mut self) -> Verdict {
        let mut tally = Tally::default();
        for &age in self.ages() {
            for k in self.beginnings() {
                let Some(mut scene) = self.scene(age, WIDE) else { return Tally::never() };
                scene.send(&self.request[..k], self.whole());
                scene.settle();
                scene.drain();
                scene.settle();
                if !scene.is_served() {
                    // It is over: nothing is in flight.
                    continue;
                }
                tally.note(&|| format!("with {k} bytes seen, {age}"), cut(&mut scene));
            }
        }
        tally.verdict()
    }

    /// Tasks of the service that are at work when the drain is over: no guard has held it up for them.
    fn tasks(&mut self) -> Verdict {
        let (mut tally, steps) = (Tally::default(), self.reference.steps);
        for step in spread(0..=steps, LOOKS) {
            let Some(mut scene) = self.scene(Age::New, WIDE) else { return Tally::never() };
            scene.send(self.request, self.whole());
            let limit = scene.now() + self.reference.took + SLACK;
            for _ in 0..step {
                scene.step(limit);
            }
            scene.drain();
            let _ = scene.hear(self.whole());
            scene.leave();
            if scene.drained(self.whole()).is_ok() {
                tally.note(&|| format!("the drain at step {step} of {steps} of the response"), scene.left_behind());
            }
        }
        tally.verdict()
    }

    /// A client whose request for an upgrade was answered as it is without a drain: the drain begins after `k` bytes.
    fn switched(&mut self, drain: impl Fn(&mut Scene)) -> Result<Scene, Verdict> {
        let Some(request) = &self.rehearsal.upgrade else {
            return Err(Verdict::NotOffered("nobody said how to ask for one".into()));
        };
        self.runs += 1;
        let mut scene = self.rehearsal.scene(WIDE, false);
        scene.send(request.as_bytes(), self.whole());
        if !scene.hear_responses(1, PATIENCE) {
            return Err(Verdict::Broken("without any drain, it is not answered".into()));
        }
        let heard = scene.hear(Duration::ZERO);
        match heard.responses.first() {
            Some(response) if response.status == 101 => {}
            other => {
                let status = other.map_or(0, |it| it.status);
                return Err(Verdict::NotOffered(format!("without any drain, it is answered by {status}")));
            }
        }
        drain(&mut scene);
        Ok(scene)
    }

    fn upgrade_asked(&mut self) -> Verdict {
        if let Err(verdict) = self.switched(|_| {}) {
            return verdict;
        }
        let request = self.rehearsal.upgrade.clone().unwrap_or_default();
        let mut tally = Tally::default();
        for k in 1..=request.len() {
            for seen in [true, false] {
                self.runs += 1;
                let mut scene = self.rehearsal.scene(WIDE, false);
                scene.send(&request.as_bytes()[..k], self.whole());
                if seen {
                    scene.settle();
                }
                scene.drain();
                if seen {
                    scene.settle();
                }
                scene.send(&request.as_bytes()[k..], self.whole());
                let is_heard = scene.hear_responses(1, self.whole());
                let heard = scene.hear(Duration::ZERO);
                let status = heard.responses.first().map(|it| it.status);
                let fault = match (is_heard, status) {
                    (true, Some(101)) => None,
                    (true, Some(status)) => Some(format!("by {status} and not by 101")),
                    _ => Some(heard.fault(None)),
                };
                let how = if seen { "seen" } else { "on the wire" };
                tally.note(&|| format!("with {k} of its {} bytes {how}", request.len()), fault);
            }
        }
        tally.verdict()
    }

    fn upgraded(&mut self) -> Verdict {
        let scene = match self.switched(Scene::drain) {
            Ok(scene) => scene,
            Err(verdict) => return verdict,
        };
        scene.pass(Duration::from_secs(1));
        let mut tally = Tally::default();
        let forgotten = !scene.is_ended() && scene.is_served() && scene.state() == State::Closed;
        let fault = forgotten.then(|| "the drain was over while the connection was open: it was forgotten".to_owned());
        tally.note(&|| "the drain after the upgrade".into(), fault);
        tally.verdict()
    }

    fn upgraded_leaves(&mut self) -> Verdict {
        let mut tally = Tally::default();
        for how in [Scene::leave, Scene::reset] {
            let mut scene = match self.switched(Scene::drain) {
                Ok(scene) => scene,
                Err(verdict) => return verdict,
            };
            scene.settle();
            how(&mut scene);
            tally.note(&|| "after the upgrade".into(), scene.drained(self.whole()).err());
        }
        tally.verdict()
    }

    fn upgraded_forced(&mut self) -> Verdict {
        // Before anybody hears of the drain.
        let mut scene = match self.switched(|_| {}) {
            Ok(scene) => scene,
            Err(verdict) => return verdict,
        };
        let mut tally = Tally::default();
        tally.note(&|| "after the upgrade".into(), cut(&mut scene));
        tally.verdict()
    }
}

/// What is wrong with a forced close.
pub(super) fn cut(scene: &mut Scene) -> Option<String> {
    let Err(cut) = scene.close() else {
        return Some("nothing was held: the drain was over while the connection was open".into());
    };
    if cut.held().is_empty() {
        return Some(format!("{cut}, and that says of nobody who it was"));
    }
    scene.settle();
    scene.is_served().then(|| "its task goes on".into())
}

/// Lengths of a request's beginnings: every one of its head, and many of its body.
pub(super) fn beginnings(head: usize, length: usize) -> Vec<usize> {
    (1..head).chain(spread(head..=length, POINTS)).collect()
}

/// At most so many numbers of this range, spread over it.
pub(super) fn spread(range: RangeInclusive<usize>, most: usize) -> impl Iterator<Item = usize> {
    let (start, end) = (*range.start(), *range.end());
    let step = ((end.saturating_sub(start)) / most).max(1);
    range.step_by(step).chain((end > start && (end - start) % step != 0).then_some(end))
}

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::New => "on a new connection",
            Self::Kept => "on a connection that was kept",
        })
    }
}
