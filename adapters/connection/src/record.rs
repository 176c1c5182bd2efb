//! What the parts of one connection know of each other: its guard and its policy.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;

use crate::bounds::Bounds;
use crate::policy::{Policy, Timer};
use ebbtide::{Closed, Guard, Label, State, Turn, Watcher};
use ebbtide_socket::Peer;

use crate::connections::{Connections, Live, Seen};
use crate::handshake::{Accepted, Handshake};
use crate::notes::Notes;

/// Lives until the last part of the connection is gone, and the guard with it.
#[derive(Debug)]
pub struct Record {
    guard: Guard,
    watcher: Watcher,
    /// What precedes HTTP, where something does.
    handshake: Option<Handshake>,
    policy: Mutex<Policy>,
    /// What the policy heeds, as of the last that it was told.
    heeds: AtomicU8,
    /// What it is yet to be told.
    notes: Notes,
    /// Whether a `Drive` has the connection, and nobody else has its I/O.
    driven: AtomicBool,
    /// Where the connection is kept for those who ask; the others pay nothing for it.
    seen: Option<Arc<Seen>>,
    requests: AtomicU64,
    /// When it hears of the drain in a lame duck time; most services have none.
    turn: Option<Turn>,
    /// Whether it has answered a request. Kept for those who came in the lame duck time.
    has_answered: AtomicBool,
    /// Whether the client has sent a request of HTTP/1.0, which knows no interim responses.
    is_old: AtomicBool,
    /// Of a connection that drains: what its `Drive` was polled by last.
    driver: Mutex<Option<Waker>>,
    /// The [`Peer`] that can be asked what it has acknowledged: the guard's own label, which ours may take the place of.
    peer: Option<Label>,
}

/// [`Interest::reads`](crate::policy::Interest::reads).
pub const READS: u8 = 1;
/// [`Interest::writes`](crate::policy::Interest::writes).
pub const WRITES: u8 = 2;
/// [`Interest::steps`](crate::policy::Interest::steps).
pub const STEPS: u8 = 4;

/// A request of HTTP/1 is in flight.
const SERVES: u8 = 8;
/// A head of HTTP/1 is read, or waited for.
const HEAD: u8 = 16;

/// What a client is answered whose request is cut before its response has begun. One second, since whoever drains is about
/// to be replaced.
const UNAVAILABLE: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n";

/// The interim response that any client of HTTP/1.1 takes (RFC 9110, section 15.2).
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What to do about a client that has ended its direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It is gone.
    Gone,
    /// Write it a [`CONTINUE`], which shows whether it is.
    Ask,
    /// Wait, and look again when the connection is polled.
    Wait,
}

/// How much longer a client that takes nothing is waited for where the system does not tell whether it does:
/// [`Bounds::stall`]. 30 s is half of what other servers give their clients while they run (nginx's `send_timeout`, 60 s).
pub(crate) const UNTOLD: u32 = 6;

impl Record {
    /// Of a connection that was just accepted; kept in `connections`, where that is asked for.
    pub fn new(accepted: impl Into<Accepted>, bounds: Bounds, connections: Option<&Connections>) -> Arc<Self> {
        let Accepted { guard, handshake } = accepted.into();
        let asked = cfg!(target_os = "linux") && Peer::of(&guard).is_some_and(|peer| peer.addr().is_some());
        let peer = if asked { guard.label().cloned() } else { None };
        let seen = connections.map(|it| it.accept(guard.label().cloned()));
        let guard = match &seen {
            Some(seen) => guard.labelled(Label::live(Live(seen.clone()))),
            None => guard,
        };
        let bounds = Bounds { age: spread(bounds.age), ..bounds };
        let policy = if peer.is_some() {
            Policy::new(bounds).with_acknowledgements()
        } else {
            // Nobody tells whether the client reads.
            Policy::new(Bounds { stall: bounds.stall.saturating_mul(UNTOLD), ..bounds })
        };
        let (watcher, policy) = (guard.watcher(), Mutex::new(policy));
        let (heeds, notes, requests) = (AtomicU8::new(READS | HEAD), Notes::none(), AtomicU64::new(0));
        let driven = AtomicBool::new(true);
        let (turn, has_answered, is_old) = (guard.turn(), AtomicBool::new(false), AtomicBool::new(false));
        Arc::new(Self {
            guard,
            watcher,
            handshake,
            policy,
            heeds,
            notes,
            driven,
            seen,
            requests,
            driver: Mutex::new(None),
            is_old,
            turn,
            has_answered,
            peer,
        })
    }

    /// The connection's guard.
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// A watcher of its drain.
    pub fn watcher(&self) -> &Watcher {
        &self.watcher
    }

    /// The watcher that requests are given: one that is ready in the connection's turn, if the drain has a lame duck time.
    pub fn news(&self) -> Watcher {
        self.turn.as_ref().map_or_else(|| self.watcher.clone(), Turn::watcher)
    }

    /// Asks or tells the policy. HTTP/1 has one task and never waits here; the streams of HTTP/2 hardly do.
    pub fn policy<R>(&self, f: impl FnOnce(&mut Policy) -> R) -> R {
        let mut policy = self.policy.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(handshake) = &self.handshake {
            handshake.tell(&mut policy);
        }
        self.notes.tell(&mut policy);
        let before = policy.state();
        let answer = f(&mut policy);
        let after = policy.state();
        let interest = policy.interest();
        // Who looks at the connection's states is to see each of them.
        let notes = !interest.exchanges && self.seen.is_none();
        if notes {
            self.notes.begin();
        }
        let bit = |is: bool, bit: u8| if is { bit } else { 0 };
        let serves = bit(policy.is_serving(), SERVES) | bit(policy.awaits_head(), HEAD);
        let heeds =
            bit(interest.reads && !notes, READS) | bit(interest.writes, WRITES) | bit(interest.steps, STEPS) | serves;
        // Relaxed: HTTP/1 is one task. The streams of HTTP/2 are tasks of their own, and what crosses a step of theirs
        // may come before or after it anyway.
        self.heeds.store(heeds, Ordering::Relaxed);
        drop(policy);
        if let (Some(seen), true) = (&self.seen, before != after) {
            self.freeze_if_cut(seen);
            seen.change(after);
        }
        answer
    }

    /// Whether the policy is to be told, or asked, such a thing: [`READS`], [`WRITES`] or [`STEPS`]. Not under the lock,
    /// since this is asked on every read, write and poll.
    #[inline]
    pub fn heeds(&self, what: u8) -> bool {
        self.heeds.load(Ordering::Relaxed) & what != 0
    }

    /// Whether a request of HTTP/1 is in flight.
    #[inline]
    pub fn is_serving(&self) -> bool {
        self.notes.is_serving().unwrap_or_else(|| self.heeds(SERVES))
    }

    /// Whether a head of HTTP/1 is read, or waited for.
    #[inline]
    pub fn awaits_head(&self) -> bool {
        self.notes.is_serving().map_or_else(|| self.heeds(HEAD), |is_serving| !is_serving)
    }

    /// The client has sent a request of HTTP/1.0.
    pub fn is_old(&self) {
        self.is_old.store(true, Ordering::Relaxed);
    }

    /// The client has ended its direction behind its request. On a connection that began with a handshake that is its
    /// departure: behind TLS whoever ends one direction is about to end the other, and a reset does not show.
    pub fn client_ended(&self) -> Ended {
        if self.handshake.is_some() {
            return Ended::Gone;
        }
        let asks = self.policy(Policy::on_client_end) && !self.is_old.load(Ordering::Relaxed);
        if asks { Ended::Ask } else { Ended::Wait }
    }

    /// What the client is to be written, if the connection can take it, now that it is dropped: a `503`, if the drain
    /// was closed by force before its response had begun.
    pub fn last_words(&self) -> Option<&'static [u8]> {
        (self.is_cut() && self.policy(|it| it.owes_response())).then_some(UNAVAILABLE)
    }

    /// A timer is over.
    pub(crate) fn expired(&self, timer: Timer) {
        if self.policy(|it| it.needs_unacknowledged(timer)) {
            // Not under the lock: it is a call into the system.
            let bytes = self.unacknowledged();
            self.policy(|it| it.on_unacknowledged(bytes));
        }
        self.policy(|it| it.on_timer(timer));
    }

    fn unacknowledged(&self) -> Option<usize> {
        self.peer.as_ref()?.downcast_ref::<Peer>()?.unacknowledged()
    }

    /// A bound ended the connection under what was in flight.
    pub(crate) fn cut_by_bound(&self) {
        if let Some(seen) = &self.seen {
            seen.cut_by_bound();
        }
    }

    /// From here on somebody else may have the I/O, and no [`Drive`](crate::Drive) is woken for it.
    pub fn hand_over(&self) {
        // Release, with the Acquire in `cut`: whoever gets the I/O later finds it so.
        self.driven.store(false, Ordering::Release);
    }

    /// The response at hand is an upgrade. To be told before its head is written, and so before its handler has the I/O.
    pub fn upgraded(&self) {
        self.hand_over();
        self.policy(Policy::on_upgrade);
    }

    /// A stream of HTTP/2 that was upgraded has ended. Its task may be another than the connection's, which may have run
    /// since the engine knew.
    pub fn tunnel_ended(&self) {
        self.policy(|it| {
            it.on_response_resumes();
            it.on_response_end();
        });
        let driver = self.driver().take();
        if let Some(waker) = driver {
            waker.wake();
        }
    }

    /// Who is to be woken when a tunnel ends.
    pub(crate) fn driven_by(&self, waker: &Waker) {
        let clone = waker.clone();
        let old = self.driver().replace(clone);
        drop(old);
    }

    fn driver(&self) -> MutexGuard<'_, Option<Waker>> {
        self.driver.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether anybody looks at the connection's states.
    pub fn is_seen(&self) -> bool {
        self.seen.is_some()
    }

    /// Whether the drain was closed by force: its guard is held here, so a drain that is closed was.
    #[inline]
    fn is_cut(&self) -> bool {
        self.watcher.state() == State::Closed
    }

    /// These bytes came from the client.
    pub fn read(&self, bytes: &[u8]) {
        if self.heeds(READS) {
            self.policy(|it| it.on_read(bytes));
        } else if !bytes.is_empty() {
            self.heard();
        }
    }

    /// Something came, or the client's end, while the policy does not heed [`READS`].
    #[inline]
    pub fn heard(&self) {
        self.notes.heard();
    }

    /// Our end is written. What came behind the last request counts as heard since, where there is such: there may be
    /// more where it came from.
    pub fn half_closed(&self, has_more: bool) {
        self.policy(|it| {
            it.on_half_closed();
            if has_more {
                it.on_read(b".");
            }
        });
    }

    /// A request begins; `what` are its method and its path, asked for by those who look. Returns its number, by which it
    /// ends; `None` where it is not to be served.
    #[inline]
    pub fn begin(&self, has_body: bool, what: impl FnOnce() -> (String, String)) -> Option<u64> {
        match &self.seen {
            None => (self.notes.request(has_body) || self.requested(has_body)).then_some(0),
            Some(seen) => self.begin_seen(seen, has_body, what),
        }
    }

    #[inline(never)]
    fn begin_seen(&self, seen: &Seen, has_body: bool, what: impl FnOnce() -> (String, String)) -> Option<u64> {
        // Relaxed: a number, that is all.
        let id = self.requests.fetch_add(1, Ordering::Relaxed);
        let (method, path) = what();
        seen.begin(id, method, path);
        if !self.requested(has_body) {
            seen.end(id);
            return None;
        }
        Some(id)
    }

    #[inline(never)]
    fn requested(&self, has_body: bool) -> bool {
        self.policy(|it| it.on_request(has_body))
    }

    /// The head of a response is about to be written; `last` where the client or the response itself has said that it
    /// is to be the last one. Returns whether it is to say `Connection: close`.
    #[must_use = "the response is to say `Connection: close` where this is true"]
    #[inline]
    pub fn response(&self, last: bool) -> bool {
        // The connection hears of the drain when its task runs; this response may be earlier.
        let state = self.watcher.state();
        let is_draining = state != State::Running;
        if is_draining && state == State::Closed {
            // It can no longer be written, so it is owed still: the last words are to be said.
            return true;
        }
        let is_told = is_draining || self.turn.as_ref().is_some_and(|turn| self.is_told(turn));
        !(!is_told && !last && self.notes.response()) && self.responded(is_draining, is_told, last)
    }

    /// Whether a response is to say that the drain is about to start. Who came in the lame duck time is answered once
    /// before.
    fn is_told(&self, turn: &Turn) -> bool {
        let is_of_use = !turn.is_late() || self.has_answered.swap(true, Ordering::Relaxed);
        is_of_use && turn.has_come()
    }

    #[inline(never)]
    fn responded(&self, is_draining: bool, is_told: bool, last: bool) -> bool {
        self.policy(|it| {
            if is_draining {
                it.on_drain();
            } else if is_told {
                it.on_lame_duck();
            }
            it.on_response(last)
        })
    }

    /// A request ended, or was cut.
    #[inline]
    pub fn end(&self, id: u64) {
        if !self.notes.response_ended() {
            self.ended(id);
        }
    }

    #[inline(never)]
    fn ended(&self, id: u64) {
        if let Some(seen) = &self.seen {
            self.freeze_if_cut(seen);
            seen.end(id);
        }
        self.policy(Policy::on_response_end);
    }

    fn freeze_if_cut(&self, seen: &Seen) {
        if self.is_cut() {
            seen.cut();
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if let Some(seen) = &self.seen {
            self.freeze_if_cut(seen);
            seen.close();
        }
    }
}

/// What every operation of a connection asks first: it fails with
/// [`ConnectionAborted`](std::io::ErrorKind::ConnectionAborted) once the drain is closed by force.
///
/// # Errors
///
/// That.
#[inline]
pub fn cut(closed: &mut Closed, record: &Record, cx: &mut Context<'_>) -> io::Result<()> {
    // While the connection is driven, its driver is woken by the close, and with it whoever is polled under it.
    let driven = record.driven.load(Ordering::Acquire);
    let is_cut = if driven { record.is_cut() } else { Pin::new(closed).poll(cx).is_ready() };
    if is_cut {
        return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the drain was closed by force"));
    }
    Ok(())
}

/// A connection's own age: up to a tenth more or less than this.
fn spread(age: Duration) -> Duration {
    static CONNECTIONS: AtomicU32 = AtomicU32::new(0);
    if age == Duration::MAX {
        return age;
    }
    // A Weyl sequence: multiples of the golden ratio, modulo one, here in 32 bits. Any run of it is spread evenly.
    let place = CONNECTIONS.fetch_add(0x9E37_79B9, Ordering::Relaxed);
    let most = age / 5;
    let more = (u128::from(place) * most.as_nanos()) >> 32;
    age.saturating_sub(age / 10) + Duration::from_nanos(u64::try_from(more).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_of_one_age_differ_by_a_tenth_and_are_spread_evenly() {
        assert_eq!(spread(Duration::MAX), Duration::MAX);
        let ages: Vec<_> = (0..1000).map(|_| spread(Duration::from_secs(1000)).as_secs()).collect();
        assert!(ages.iter().all(|it| (900..1100).contains(it)));
        for fifth in 0..5 {
            let from = 900 + fifth * 40;
            let here = ages.iter().filter(|it| (from..from + 40).contains(*it)).count();
            assert!((190..=210).contains(&here), "{here} of 1000 in a fifth");
        }
    }
}
