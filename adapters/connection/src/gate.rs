//! `Gate`: the fast path of a connection, one atomic word in place of the policy and its lock.

use std::sync::atomic::{AtomicU16, Ordering};

use crate::policy::Policy;

/// Which events the policy is interested in; on the fast path, the state of the connection itself.
///
/// Until the drain begins, a kept-alive connection of HTTP/1 repeats three steps: a request begins, its response begins, and
/// ends. On the fast path each step changes this word only. The policy is told of the last request when it is next used:
/// [`catch_up`](Self::catch_up).
// Relaxed throughout: the word orders no other memory. The fast path is entered and left under the policy's lock.
#[derive(Debug)]
pub(crate) struct Gate(AtomicU16);

/// Reads must be reported to the policy.
pub(crate) const READS: u16 = 1;
/// Writes must be reported to the policy.
pub(crate) const WRITES: u16 = 1 << 1;
/// The policy must be asked for steps.
pub(crate) const STEPS: u16 = 1 << 2;
/// A request of HTTP/1 is in flight.
pub(crate) const SERVES: u16 = 1 << 3;
/// A head of HTTP/1 is being read or waited for.
pub(crate) const AWAITS_HEAD: u16 = 1 << 4;
/// The connection may leave for a successor.
pub(crate) const LEAVES: u16 = 1 << 10;

/// The connection is on the fast path: none of [`READS`], [`WRITES`] and [`STEPS`] is set.
const FAST: u16 = 1 << 5;
/// Fast path: the response of the last request has begun. Until its end [`SERVES`] is set, and then [`AWAITS_HEAD`].
const ANSWERED: u16 = 1 << 6;
/// Fast path: the last request had a body.
const BODY: u16 = 1 << 7;
/// Fast path: bytes were read after the last request.
const MORE: u16 = 1 << 8;
/// There was a request of HTTP/1.0. This bit is never cleared.
const HTTP10: u16 = 1 << 9;

impl Gate {
    /// The word of a connection that was just accepted.
    pub(crate) fn new() -> Self {
        Self(AtomicU16::new(READS | AWAITS_HEAD))
    }

    /// Whether any of these bits is set.
    #[inline]
    pub(crate) fn has(&self, what: u16) -> bool {
        self.0.load(Ordering::Relaxed) & what != 0
    }

    /// Sets the word to the interest of the policy, or enters the fast path, if `may_be_fast`. Under the policy's lock.
    pub(crate) fn set(&self, policy: &Policy, may_be_fast: bool) {
        let interest = policy.interest();
        let word = if may_be_fast && !interest.exchanges {
            FAST | AWAITS_HEAD
        } else {
            let bit = |is: bool, bit: u16| if is { bit } else { 0 };
            bit(interest.reads, READS)
                | bit(interest.writes, WRITES)
                | bit(interest.steps, STEPS)
                | bit(policy.is_serving(), SERVES)
                | bit(policy.awaits_head(), AWAITS_HEAD)
                | bit(policy.may_leave(), LEAVES)
        };
        let kept = self.0.load(Ordering::Relaxed) & HTTP10;
        self.0.store(word | kept, Ordering::Relaxed);
    }

    /// Notes a request of HTTP/1.0. Returns whether it is the first one.
    pub(crate) fn is_first_http10(&self) -> bool {
        !self.has(HTTP10) && self.0.fetch_or(HTTP10, Ordering::Relaxed) & HTTP10 == 0
    }

    /// Leaves the fast path: reports the last request on it to the policy. Under the policy's lock.
    pub(crate) fn catch_up(&self, policy: &mut Policy) {
        if !self.has(FAST) {
            return;
        }
        // Until the next `set`, all events must be reported.
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

    /// Notes that bytes were read. This and the next three return whether they were noted on the fast path; if not, report the
    /// event to the policy.
    #[inline]
    pub(crate) fn more(&self) -> bool {
        self.step(AWAITS_HEAD, |word| word | MORE)
    }

    /// Notes that a request begins.
    #[inline]
    pub(crate) fn request(&self, has_body: bool) -> bool {
        let body = if has_body { BODY } else { 0 };
        self.step(AWAITS_HEAD, |word| FAST | SERVES | body | word & HTTP10)
    }

    /// Notes that its response begins.
    #[inline]
    pub(crate) fn response(&self) -> bool {
        self.step(SERVES, |word| word | ANSWERED)
    }

    /// Notes that its response ends. (A response that has not begun was cut: the policy must know.)
    #[inline]
    pub(crate) fn response_end(&self) -> bool {
        self.step(SERVES | ANSWERED, |word| word ^ (SERVES | AWAITS_HEAD))
    }

    /// Changes the word if the connection is on the fast path and all bits of `from` are set.
    #[inline]
    fn step(&self, from: u16, next: impl Fn(u16) -> u16) -> bool {
        let from = FAST | from;
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

    /// What an adapter can see of a policy, now and once our direction is closed.
    fn shown(policy: &mut Policy) -> (ConnectionState, Step, [Option<Duration>; 2], bool) {
        let waits = [Timer::State, Timer::Progress].map(|timer| policy.wait(timer).map(|wait| wait.after));
        let (state, step) = (policy.state(), policy.step());
        let mut over = policy.clone();
        over.on_half_closed();
        (state, step, waits, over.lingers())
    }

    /// Reports the events to one policy directly and to another through the gate, and compares the two.
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
