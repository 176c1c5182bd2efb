//! What happened on a connection that its policy does not heed at present, kept until it is told.

use std::sync::atomic::{AtomicU8, Ordering};

use crate::policy::Policy;

/// How far the last request came, on a connection that the policy takes for idle.
///
/// Until the drain begins a kept-alive connection goes round: something is read, a request begins, its response begins
/// and ends. A step of that is a word here, where it would be a lock with the policy.
// Relaxed throughout: the word is all there is. Whoever tells it has the policy's lock, and so has whoever begins it.
#[derive(Debug)]
pub(crate) struct Notes(AtomicU8);

/// None are taken: the policy is told.
const OFF: u8 = 0;
/// Nothing yet.
const BEGUN: u8 = 1;
const REQUESTED: u8 = 2;
const ANSWERED: u8 = 3;
const ENDED: u8 = 4;
const STEP: u8 = 7;
/// Of the request: it had a body.
const BODY: u8 = 8;
/// Something was read after [`BEGUN`] or [`ENDED`].
const HEARD: u8 = 16;

impl Notes {
    pub(crate) fn none() -> Self {
        Self(AtomicU8::new(OFF))
    }

    /// From here on they are taken. Under the policy's lock.
    pub(crate) fn begin(&self) {
        self.0.store(BEGUN, Ordering::Relaxed);
    }

    /// Tells them, and takes no more. Under the policy's lock.
    pub(crate) fn tell(&self, policy: &mut Policy) {
        if self.0.load(Ordering::Relaxed) == OFF {
            return;
        }
        let noted = self.0.swap(OFF, Ordering::Relaxed);
        let step = noted & STEP;
        if step >= REQUESTED {
            policy.on_request(noted & BODY != 0);
        }
        if step >= ANSWERED {
            let _never_closes_before_the_drain = policy.on_response(false);
        }
        if step >= ENDED {
            policy.on_response_end();
        }
        if noted & HEARD != 0 {
            // On an idle connection anything is the beginning of a head.
            policy.on_read(b".");
        }
    }

    /// Whether a request is in flight; `None` if the policy knows.
    #[inline]
    pub(crate) fn is_serving(&self) -> Option<bool> {
        match self.0.load(Ordering::Relaxed) {
            OFF => None,
            noted => Some(matches!(noted & STEP, REQUESTED | ANSWERED)),
        }
    }

    /// Something was read. It may have been the end: then the connection ends, and it is the same.
    #[inline]
    pub(crate) fn heard(&self) {
        self.note(|noted| matches!(noted & STEP, BEGUN | ENDED).then_some(noted | HEARD));
    }

    /// Each of these returns whether it is noted; where not, the policy is to be told.
    #[inline]
    pub(crate) fn request(&self, has_body: bool) -> bool {
        let body = if has_body { BODY } else { 0 };
        self.note(|noted| matches!(noted & STEP, BEGUN | ENDED).then_some(REQUESTED | body))
    }

    #[inline]
    pub(crate) fn response(&self) -> bool {
        self.note(|noted| (noted & STEP == REQUESTED).then_some(ANSWERED | noted & BODY))
    }

    #[inline]
    pub(crate) fn response_ended(&self) -> bool {
        self.note(|noted| (noted & STEP == ANSWERED).then_some(ENDED | noted & BODY))
    }

    #[inline]
    fn note(&self, next: impl Fn(u8) -> Option<u8>) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::policy::{Step, Timer};
    use crate::{Bounds, ConnectionState};
    use ebbtide::Drain;

    use super::*;
    use crate::Record;
    use crate::record::UNTOLD;

    #[derive(Clone, Copy, Debug)]
    enum Event {
        Read,
        Request { has_body: bool },
        Response { last: bool },
        Ended,
        Drain,
    }

    /// What shows of a policy, now and once its end is written.
    fn shown(policy: &mut Policy) -> (ConnectionState, Step, [Option<Duration>; 2], bool) {
        let waits = [Timer::State, Timer::Progress].map(|timer| policy.wait(timer).map(|wait| wait.after));
        let (state, step) = (policy.state(), policy.step());
        let mut over = policy.clone();
        over.on_half_closed();
        (state, step, waits, over.lingers())
    }

    /// Has a policy told everything at once, and one told by notes, and compares them.
    fn compare(events: &[Event]) {
        let bounds = Bounds { stall: UNTOLD * Bounds::default().stall, ..Bounds::default() };
        let mut told = Policy::new(bounds);
        let drain = Drain::new();
        let record = Record::new(drain.watcher().guard().expect("running"), Bounds::default(), None);
        for event in events {
            match *event {
                Event::Read => {
                    told.on_read(b"GET / HTTP/1.1\r\n\r\n");
                    record.read(b"GET / HTTP/1.1\r\n\r\n");
                }
                Event::Request { has_body } => {
                    let begun = record.begin(has_body, || unreachable!("nobody looks"));
                    assert_eq!(told.on_request(has_body), begun.is_some(), "{events:?}");
                }
                Event::Response { last } => assert_eq!(told.on_response(last), record.response(last), "{events:?}"),
                Event::Ended => {
                    told.on_response_end();
                    record.end(0);
                }
                Event::Drain => {
                    told.on_drain();
                    drop(drain.start());
                    record.policy(Policy::on_drain);
                }
            }
        }
        assert_eq!(shown(&mut told), record.policy(shown), "{events:?}");
    }

    /// Three requests, each with and without a body, answered as the last one or not, or cut before.
    fn lives() -> Vec<Vec<Event>> {
        let mut lives = vec![vec![]];
        for _ in 0..3 {
            let mut longer = Vec::new();
            for life in lives {
                for (has_body, answered, last) in
                    [(false, true, false), (true, true, false), (false, true, true), (true, false, false)]
                {
                    let mut life = life.clone();
                    life.extend([Event::Read, Event::Request { has_body }]);
                    life.extend(answered.then_some(Event::Response { last }));
                    life.push(Event::Ended);
                    longer.push(life);
                }
            }
            lives = longer;
        }
        lives
    }

    #[test]
    fn a_policy_told_late_is_where_it_would_be() {
        for life in lives() {
            for drain in 0..=life.len() {
                let mut life = life.clone();
                life.insert(drain, Event::Drain);
                for end in 0..=life.len() {
                    compare(&life[..end]);
                }
            }
        }
    }
}
