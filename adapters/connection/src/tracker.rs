//! What the parts of one connection share: its guard and its policy.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use ebbtide::{Closed, Guard, Label, State, Turn, Watcher};
use ebbtide_socket::Peer;

use crate::bounds::Bounds;
use crate::connections::{Connections, Entry, EntryLabel};
use crate::driver::Driver;
use crate::gate::{AWAITS_HEAD, Gate, READS, SERVES, STEPS, WRITES};
use crate::handshake::{Accepted, Handshake};
use crate::policy::{Policy, Timer};

/// Tracks one connection: holds its guard, and tells its policy what its parts see.
///
/// Every part of the connection has a clone of the same tracker: its I/O, its service, its requests, its [`Drive`](crate::Drive). The
/// guard is released once the last of them is gone.
#[derive(Debug)]
pub struct Tracker {
    guard: Guard,
    watcher: Watcher,
    /// What precedes HTTP, if anything does.
    handshake: Option<Handshake>,
    policy: Mutex<Policy>,
    gate: Gate,
    driver: Driver,
    /// Its place in the list of connections, if there is one; the others pay nothing for it.
    entry: Option<Arc<Entry>>,
    /// Of a drain that has a lame duck time; most have none.
    notice: Option<Notice>,
    /// The [`Peer`] that can be asked what it has acknowledged: the guard's own label, whose place ours may take.
    peer: Option<Label>,
}

/// When a connection hears that the drain is about to begin.
#[derive(Debug)]
struct Notice {
    turn: Turn,
    /// Whether it has answered a request.
    has_answered: AtomicBool,
}

impl Notice {
    /// Whether a response is to say so. Who came in the lame duck time is answered once before.
    fn is_due(&self) -> bool {
        let is_of_use = !self.turn.is_late() || self.has_answered.swap(true, Ordering::Relaxed);
        is_of_use && self.turn.has_come()
    }
}

/// How much longer a client that takes nothing is waited for if the system does not tell whether it does:
/// [`Bounds::stall`]. 30 s is half of what other servers give their clients while they run (nginx's `send_timeout`, 60 s).
pub(crate) const UNTOLD: u32 = 6;

impl Tracker {
    /// Of a connection that was just accepted; listed in `connections`, if there are such.
    pub fn new(accepted: impl Into<Accepted>, bounds: Bounds, connections: Option<&Connections>) -> Arc<Self> {
        let Accepted { guard, handshake } = accepted.into();
        let is_told = cfg!(target_os = "linux") && Peer::of(&guard).is_some_and(|peer| peer.addr().is_some());
        let peer = if is_told { guard.label().cloned() } else { None };
        let entry = connections.map(|it| it.accept(guard.label().cloned()));
        let guard = match &entry {
            Some(entry) => guard.labelled(Label::live(EntryLabel(entry.clone()))),
            None => guard,
        };
        let watcher = guard.watcher();
        let bounds = Bounds { age: own_age(&watcher, bounds.age), ..bounds };
        let policy = if peer.is_some() {
            Policy::new(bounds).with_acknowledgements()
        } else {
            Policy::new(Bounds { stall: bounds.stall.saturating_mul(UNTOLD), ..bounds })
        };
        Arc::new(Self {
            watcher,
            notice: guard.turn().map(|turn| Notice { turn, has_answered: AtomicBool::new(false) }),
            guard,
            handshake,
            policy: Mutex::new(policy),
            gate: Gate::new(),
            driver: Driver::new(),
            entry,
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
    pub fn request_watcher(&self) -> Watcher {
        self.notice.as_ref().map_or_else(|| self.watcher.clone(), |it| it.turn.watcher())
    }

    /// Asks or tells the policy. A connection of one task never waits here; the streams of HTTP/2, and a body that is read in a
    /// task of its own, hardly do.
    pub fn policy<R>(&self, f: impl FnOnce(&mut Policy) -> R) -> R {
        let mut policy = self.policy.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(handshake) = &self.handshake {
            handshake.tell(&mut policy);
        }
        self.gate.catch_up(&mut policy);
        let before = policy.state();
        let answer = f(&mut policy);
        let after = policy.state();
        // Who looks at the connection's states is to see each of them.
        self.gate.set(&policy, self.entry.is_none());
        drop(policy);
        if let (Some(entry), true) = (&self.entry, before != after) {
            self.freeze_if_forced(entry);
            entry.change(after);
        }
        answer
    }
}

/// The connection's bytes.
impl Tracker {
    /// Whether what is read is to be shown to [`read`](Self::read), before anybody else has it.
    #[inline]
    pub fn looks_at_reads(&self) -> bool {
        self.gate.has(READS | AWAITS_HEAD)
    }

    /// These bytes came from the client.
    pub fn read(&self, bytes: &[u8]) {
        let is_noted = bytes.is_empty() || self.gate.more();
        // Not before: another task may have had the policy catch up meanwhile.
        if !is_noted && self.gate.has(READS) {
            self.policy(|it| it.on_read(bytes));
        }
    }

    /// A write was tried.
    #[inline]
    pub fn written(&self, written: &Poll<io::Result<usize>>) {
        match written {
            Poll::Ready(Ok(bytes)) if self.gate.has(WRITES) => self.policy(|it| it.on_written(*bytes)),
            Poll::Pending => self.policy(Policy::on_write_blocked),
            Poll::Ready(_) => {}
        }
    }

    /// Whether a request of HTTP/1 is in flight.
    #[inline]
    pub fn is_serving(&self) -> bool {
        self.gate.has(SERVES)
    }

    /// Whether a head of HTTP/1 is read, or waited for.
    #[inline]
    pub fn awaits_head(&self) -> bool {
        self.gate.has(AWAITS_HEAD)
    }

    /// Our end is written; `has_more`: something came behind the last request, so there may be more where it came from.
    pub fn half_closed(&self, has_more: bool) {
        self.policy(|it| {
            it.on_half_closed();
            if has_more {
                it.on_more();
            }
        });
    }

    /// Whether it began with a handshake.
    pub(crate) fn has_handshake(&self) -> bool {
        self.handshake.is_some()
    }

    /// Fails with [`ConnectionAborted`](io::ErrorKind::ConnectionAborted) once the drain is closed by force: what every
    /// operation on the connection's bytes asks first. `closed` is the operation's own.
    ///
    /// # Errors
    ///
    /// That.
    #[inline]
    pub fn check_forced_close(&self, closed: &mut Closed, cx: &mut Context<'_>) -> io::Result<()> {
        let is_forced = if self.driver.is_alone() { self.is_forced() } else { Pin::new(closed).poll(cx).is_ready() };
        if is_forced {
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the drain was closed by force"));
        }
        Ok(())
    }

    /// Whether the drain was closed by force: its guard is held here, so a drain that is closed was.
    #[inline]
    pub(crate) fn is_forced(&self) -> bool {
        self.watcher.state() == State::Closed
    }
}

/// The connection's requests.
impl Tracker {
    /// Whether the connection is listed, so that somebody may look at its states.
    pub fn is_listed(&self) -> bool {
        self.entry.is_some()
    }

    /// A request begins; `what` are its method and its path, asked for if the connection is listed. Returns its number, by
    /// which it ends; `None` if it is not to be served.
    #[inline]
    pub fn begin(&self, has_body: bool, what: impl FnOnce() -> (String, String)) -> Option<u64> {
        match &self.entry {
            None => (self.gate.request(has_body) || self.requested(has_body)).then_some(0),
            Some(entry) => self.begin_listed(entry, has_body, what),
        }
    }

    #[inline(never)]
    fn begin_listed(&self, entry: &Entry, has_body: bool, what: impl FnOnce() -> (String, String)) -> Option<u64> {
        let (method, path) = what();
        let id = entry.begin(method, path);
        if !self.requested(has_body) {
            entry.end(id);
            return None;
        }
        Some(id)
    }

    /// The request at hand is one of HTTP/1.0.
    pub fn http10(&self) {
        // Told once, since the policy does not forget it.
        if self.gate.is_first_http10() {
            self.policy(Policy::on_http10);
        }
    }

    #[inline(never)]
    fn requested(&self, has_body: bool) -> bool {
        self.policy(|it| it.on_request(has_body))
    }

    /// The head of a response is about to be written; `last` if the client or the response itself has said that it
    /// is to be the last one. Returns whether it is to say `Connection: close`.
    #[must_use = "the response is to say `Connection: close` if this is true"]
    #[inline]
    pub fn response(&self, last: bool) -> bool {
        // The connection hears of the drain when its task runs; this response may be earlier.
        let state = self.watcher.state();
        let is_draining = state != State::Running;
        if is_draining && state == State::Closed {
            // It can no longer be written, so it is owed still: the last words are to be said.
            return true;
        }
        let is_told = is_draining || self.notice.as_ref().is_some_and(Notice::is_due);
        !(!is_told && !last && self.gate.response()) && self.responded(is_draining, is_told, last)
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
        if !self.gate.response_end() {
            self.ended(id);
        }
    }

    #[inline(never)]
    fn ended(&self, id: u64) {
        if let Some(entry) = &self.entry {
            self.freeze_if_forced(entry);
            entry.end(id);
        }
        self.policy(Policy::on_response_end);
    }

    /// The response at hand is an upgrade. To be told before its head is written, and so before its handler has the I/O.
    pub fn upgraded(&self) {
        self.share();
        self.policy(Policy::on_upgrade);
    }

    /// A stream of HTTP/2 that was upgraded has ended. Its task may be another than the connection's, which may have run
    /// since the engine knew.
    pub fn tunnel_ended(&self) {
        self.policy(|it| {
            it.on_response_resumes();
            it.on_response_end();
        });
        self.driver.wake();
    }
}

/// Who drives the connection.
impl Tracker {
    /// Somebody else than its [`Drive`](crate::Drive) may have a part of the connection's I/O from here on.
    pub fn share(&self) {
        self.driver.share();
    }

    /// This task polls it, and is woken when a tunnel ends.
    pub(crate) fn polled_by(&self, waker: &Waker) {
        self.driver.polled_by(waker);
    }

    /// Whether the policy is to be asked what to do.
    #[inline]
    pub(crate) fn asks_for_steps(&self) -> bool {
        self.gate.has(STEPS)
    }

    /// A timer is over.
    pub(crate) fn timer_over(&self, timer: Timer) {
        if self.policy(|it| it.needs_unacknowledged(timer)) {
            // Not under the lock: it is a call into the system.
            let peer = self.peer.as_ref().and_then(|it| it.downcast_ref::<Peer>());
            let bytes = peer.and_then(Peer::unacknowledged);
            self.policy(|it| it.on_unacknowledged(bytes));
        }
        self.policy(|it| it.on_timer(timer));
    }

    /// A bound ended the connection under what was in flight.
    pub(crate) fn cut_by_bound(&self) {
        if let Some(entry) = &self.entry {
            entry.cut_by_bound();
        }
    }

    fn freeze_if_forced(&self, entry: &Entry) {
        if self.is_forced() {
            entry.freeze();
        }
    }
}

impl Drop for Tracker {
    fn drop(&mut self) {
        if let Some(entry) = &self.entry {
            self.freeze_if_forced(entry);
            entry.close();
        }
    }
}

/// A connection's own age: up to a tenth more or less than this.
fn own_age(watcher: &Watcher, age: Duration) -> Duration {
    if age == Duration::MAX {
        return age;
    }
    let tenth = age / 10;
    watcher.spread(age.saturating_sub(tenth)..age.saturating_add(tenth))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_of_one_age_differ_by_a_tenth_and_are_spread_evenly() {
        let watcher = ebbtide::Drain::new().watcher();
        assert_eq!(own_age(&watcher, Duration::MAX), Duration::MAX);
        let ages: Vec<_> = (0..1000).map(|_| own_age(&watcher, Duration::from_secs(1000)).as_secs()).collect();
        assert!(ages.iter().all(|it| (900..1100).contains(it)));
        for fifth in 0..5 {
            let from = 900 + fifth * 40;
            let here = ages.iter().filter(|it| (from..from + 40).contains(*it)).count();
            assert!((190..=210).contains(&here), "{here} of 1000 in a fifth");
        }
    }
}
