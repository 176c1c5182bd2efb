//! What the policy is to be told, in one word that is read without its lock.

use std::sync::atomic::{AtomicU16, Ordering};

use crate::policy::Policy;

/// Says whether the policy is interested in an event, and keeps the events of a kept-alive connection in its place.
///
/// Until the drain begins, a connection of HTTP/1 goes in a circle: a request begins, its response begins and ends. Each
/// of these steps changes this word, instead of the policy behind its lock. The policy is told of the last request when
/// it is next asked something: [`catch_up`](Self::catch_up).
// Relaxed throughout: the word is all there is. Whoever leaves the circle or begins it has the policy's lock.
#[derive(Debug)]
pub(crate) struct Gate(AtomicU16);

/// The policy is to be told what is read.
pub(crate) const READS: u16 = 1;
/// The policy is to be told what is written.
pub(crate) const WRITES: u16 = 1 << 1;
/// The policy is to be asked what to do.
pub(crate) const STEPS: u16 = 1 << 2;
/// A request of HTTP/1 is in flight.
pub(crate) const SERVES: u16 = 1 << 3;
/// A head of HTTP/1 is read, or waited for.
pub(crate) const AWAITS_HEAD: u16 = 1 << 4;

/// The connection goes in its circle, and none of [`READS`], [`WRITES`] and [`STEPS`] is set.
const CIRCLE: u16 = 1 << 5;
/// In the circle: the response of the last request has begun. Behind its end [`AWAITS_HEAD`] is set, and before it [`SERVES`].
const ANSWERED: u16 = 1 << 6;
/// In the circle: the last request had a body.
const BODY: u16 = 1 << 7;
/// In the circle: something was read behind the last request.
const MORE: u16 = 1 << 8;
/// There was a request of HTTP/1.0. Whatever else changes, this stays.
const HTTP10: u16 = 1 << 9;

impl Gate {
    /// That of a connection on which nothing has come.
    pub(crate) fn new() -> Self {
        Self(AtomicU16::new(READS | AWAITS_HEAD))
    }

    /// Whether any of these holds.
    #[inline]
    pub(crate) fn has(&self, what: u16) -> bool {
        self.0.load(Ordering::Relaxed) & what != 0
    }

    /// From here on what it says is what this policy says; `circles`: the connection may go in its circle. Under the
    /// policy's lock.
    pub(crate) fn set(&self, policy: &Policy, circles: bool) {
        let interest = policy.interest();
        let word = if circles && !interest.exchanges {
            CIRCLE | AWAITS_HEAD
        } else {
            let bit = |is: bool, bit: u16| if is { bit } else { 0 };
            bit(interest.reads, READS)
                | bit(interest.writes, WRITES)
                | bit(interest.steps, STEPS)
                | bit(policy.is_serving(), SERVES)
                | bit(policy.awaits_head(), AWAITS_HEAD)
        };
        let kept = self.0.load(Ordering::Relaxed) & HTTP10;
        self.0.store(word | kept, Ordering::Relaxed);
    }

    /// There is a request of HTTP/1.0. Returns whether it is the first one.
    pub(crate) fn is_first_http10(&self) -> bool {
        !self.has(HTTP10) && self.0.fetch_or(HTTP10, Ordering::Relaxed) & HTTP10 == 0
    }

    /// Leaves the circle: tells the policy of the last request in it. Under the policy's lock.
    pub(crate) fn catch_up(&self, policy: &mut Policy) {
        if !self.has(CIRCLE) {
            return;
        }
        // Until it is set anew everything is to be told.
        let word = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
            Some(READS | WRITES | STEPS | word & (SERVES | AWAITS_HEAD | HTTP10))
        });
        let (Ok(word) | Err(word)) = word;
        let is = |what: u16| word & what != 0;
        if is(SERVES) || is(ANSWERED) {
            policy.on_request(is(BODY));
        }
        if is(ANSWERED) {
            let _never_closes_before_the_drain = policy.on_response(false);
            if is(AWAITS_HEAD) {
                policy.on_response_end();
            }
        }
        if is(MORE) {
            policy.on_more();
        }
    }

    /// Something was read. Each of these returns whether the word says so now; if not, the policy is to be told.
    #[inline]
    pub(crate) fn more(&self) -> bool {
        self.step(AWAITS_HEAD, |word| word | MORE)
    }

    /// A request begins.
    #[inline]
    pub(crate) fn request(&self, has_body: bool) -> bool {
        let body = if has_body { BODY } else { 0 };
        self.step(AWAITS_HEAD, |word| CIRCLE | SERVES | body | word & HTTP10)
    }

    /// Its response begins.
    #[inline]
    pub(crate) fn response(&self) -> bool {
        self.step(SERVES, |word| word | ANSWERED)
    }

    /// Its response ends. (One that has not begun was cut, which is for the policy to know.)
    #[inline]
    pub(crate) fn response_end(&self) -> bool {
        self.step(SERVES | ANSWERED, |word| word ^ (SERVES | AWAITS_HEAD))
    }

    /// A step of the circle, from where all of this holds.
    #[inline]
    fn step(&self, from: u16, next: impl Fn(u16) -> u16) -> bool {
        let from = CIRCLE | from;
        let next = |word| (word & from == from).then(|| next(word));
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }
}
#[cfg(test)]
mod tests {
    use std::task::Poll;
    use std::time::Duration;

    use crate::policy::{Step, Timer};
    use crate::{Bounds, ConnectionState};
    use ebbtide::Drain;

    use super::*;
    use crate::Tracker;
    use crate::tracker::UNTOLD;

    #[derive(Clone, Copy, Debug)]
    enum Event {
        Read,
        Request {
            has_body: bool,
        },
        Response {
            last: bool,
        },
        Ended,
        /// A write that the socket did not take, and one that it took.
        Blocked,
        Written,
        Awaited,
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

    /// Has one policy told everything at once, and another through the gate, and compares them.
    fn compare(events: &[Event]) {
        let bounds = Bounds { stall: UNTOLD * Bounds::default().stall, ..Bounds::default() };
        let mut told = Policy::new(bounds);
        let drain = Drain::new();
        let tracker = Tracker::new(drain.watcher().guard().expect("running"), Bounds::default(), None);
        for event in events {
            match *event {
                Event::Read => {
                    told.on_read(b"GET / HTTP/1.1\r\n\r\n");
                    tracker.read(b"GET / HTTP/1.1\r\n\r\n");
                }
                Event::Request { has_body } => {
                    let begun = tracker.begin(has_body, || unreachable!("nobody looks"));
                    assert_eq!(told.on_request(has_body), begun.is_some(), "{events:?}");
                }
                Event::Response { last } => assert_eq!(told.on_response(last), tracker.response(last), "{events:?}"),
                Event::Ended => {
                    told.on_response_end();
                    tracker.end(0);
                }
                Event::Blocked => {
                    told.on_write_blocked();
                    tracker.written(&Poll::Pending);
                }
                Event::Written => {
                    told.on_written(1);
                    tracker.written(&Poll::Ready(Ok(1)));
                }
                Event::Awaited => {
                    told.on_body_awaited();
                    tracker.policy(Policy::on_body_awaited);
                }
                Event::Drain => {
                    told.on_drain();
                    drop(drain.start());
                    tracker.policy(Policy::on_drain);
                }
            }
        }
        assert_eq!(shown(&mut told), tracker.policy(shown), "{events:?}");
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
    fn a_policy_told_late_is_where_it_would_be_though_its_client_is_slow() {
        let [slow, stuck] = [[Event::Blocked, Event::Written], [Event::Written, Event::Blocked]];
        for life in lives() {
            for at in 0..=life.len() {
                for what in [&slow[..], &stuck[..], &[Event::Awaited], &[Event::Blocked]] {
                    let mut life = life.clone();
                    life.splice(at..at, what.iter().copied());
                    for end in 0..=life.len() {
                        compare(&life[..end]);
                        let mut drained = life[..end].to_vec();
                        drained.push(Event::Drain);
                        compare(&drained);
                    }
                }
            }
        }
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
