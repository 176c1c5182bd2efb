//! `Tracker`: the state that the parts of one connection share, with its guard and its policy.

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
use crate::gate::{AWAITS_HEAD, Gate, LEAVES, READS, SERVES, STEPS, WRITES};
use crate::handshake::{Accepted, Handshake};
use crate::leave::Leave;
use crate::policy::{Policy, Timer};

/// The state that the parts of one connection share. It holds the guard, and reports events to the policy.
///
/// The I/O, the service, the requests and the [`Drive`](crate::Drive) of a connection each have an `Arc` of it. The guard is
/// dropped with the last of them.
#[derive(Debug)]
pub struct Tracker {
    guard: Guard,
    watcher: Watcher,
    /// The handshake before HTTP, if there is one.
    handshake: Option<Handshake>,
    /// If it may leave for a successor.
    leave: Option<Arc<Leave>>,
    policy: Mutex<Policy>,
    gate: Gate,
    driver: Driver,
    /// Its entry in a list of connections, if there is one.
    entry: Option<Arc<Entry>>,
    /// If the drain has a lame duck time. Boxed, since most have none.
    notice: Option<Box<Notice>>,
}

/// The turn of a connection in a lame duck time.
#[derive(Debug)]
struct Notice {
    turn: Turn,
    /// Whether the connection has answered a request.
    has_answered: AtomicBool,
}

impl Notice {
    /// Whether a response should say `Connection: close`. A connection that came in the lame duck time has one response before.
    fn is_due(&self) -> bool {
        let is_of_use = !self.turn.is_late() || self.has_answered.swap(true, Ordering::Relaxed);
        is_of_use && self.turn.has_come()
    }
}

/// The factor on [`Bounds::stall`] if the system does not tell what the client has acknowledged. It makes 30 s, half of what
/// other servers give their clients while they run (nginx's `send_timeout`, 60 s).
pub(crate) const UNTOLD: u32 = 6;

impl Tracker {
    /// The tracker of a connection that was just accepted, listed in `connections` if there is such a list.
    pub fn new(accepted: impl Into<Accepted>, bounds: Bounds, connections: Option<&Connections>) -> Arc<Self> {
        let Accepted { guard, handshake, leave } = accepted.into();
        // The successor would begin with a handshake of its own.
        let leave = leave.filter(|_| handshake.is_none());
        let is_told = cfg!(target_os = "linux") && Peer::of(&guard).is_some_and(|peer| peer.addr().is_some());
        let entry = connections.map(|it| it.accept(guard.label().cloned()));
        let guard = match &entry {
            Some(entry) => guard.labelled(Label::live(EntryLabel(entry.clone()))),
            None => guard,
        };
        let watcher = guard.watcher();
        let bounds = Bounds { age: own_age(&watcher, bounds.age), ..bounds };
        let policy = if is_told {
            Policy::new(bounds).with_acknowledgements()
        } else {
            Policy::new(Bounds { stall: bounds.stall.saturating_mul(UNTOLD), ..bounds })
        };
        Arc::new(Self {
            watcher,
            notice: guard.turn().map(|turn| Box::new(Notice { turn, has_answered: AtomicBool::new(false) })),
            guard,
            handshake,
            leave,
            policy: Mutex::new(policy),
            gate: Gate::new(),
            driver: Driver::new(),
            entry,
        })
    }

    /// The connection's guard.
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// A watcher of the connection's drain.
    pub fn watcher(&self) -> &Watcher {
        &self.watcher
    }

    /// The watcher to put into a request that begins. If the drain has a lame duck time, it is ready in the connection's turn;
    /// behind that turn, at the drain. Else a client that comes back on the same connection would be told at once, and again.
    pub fn request_watcher(&self) -> Watcher {
        let turn = self.notice.as_ref().map(|it| &it.turn).filter(|it| !it.has_come());
        turn.map_or_else(|| self.watcher.clone(), Turn::watcher)
    }

    /// Calls `f` with the policy, under its lock. The lock has contention only if several tasks have parts of the connection,
    /// such as the streams of HTTP/2.
    pub fn policy<R>(&self, f: impl FnOnce(&mut Policy) -> R) -> R {
        let mut policy = self.policy.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(handshake) = &self.handshake {
            handshake.tell(&mut policy);
        }
        if let Some(leave) = &self.leave {
            leave.tell(&mut policy);
        }
        self.gate.catch_up(&mut policy);
        let before = policy.state();
        let answer = f(&mut policy);
        let after = policy.state();
        // A listed connection takes no fast path, so that observers see each of its states.
        self.gate.set(&policy, self.entry.is_none());
        drop(policy);
        if let (Some(entry), true) = (&self.entry, before != after) {
            self.freeze_if_forced(entry);
            entry.change(after);
        }
        answer
    }
}

/// For the connection's I/O.
impl Tracker {
    /// Whether bytes that were read must be reported to [`read`](Self::read), before the engine gets them.
    #[inline]
    pub fn looks_at_reads(&self) -> bool {
        self.gate.has(READS | AWAITS_HEAD)
    }

    /// Reports bytes that came from the client.
    pub fn read(&self, bytes: &[u8]) {
        let is_noted = bytes.is_empty() || self.gate.more();
        // Asked after `more`: another task may have left the fast path meanwhile.
        if !is_noted && self.gate.has(READS) {
            self.policy(|it| it.on_read(bytes));
        }
    }

    /// Reports the result of a write.
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

    /// Whether a head of HTTP/1 is being read or waited for.
    #[inline]
    pub fn awaits_head(&self) -> bool {
        self.gate.has(AWAITS_HEAD)
    }

    /// Reports that our direction was closed. `has_more`: bytes have come after the last request, so more may follow.
    pub fn half_closed(&self, has_more: bool) {
        self.policy(|it| {
            it.on_half_closed();
            if has_more {
                it.on_more();
            }
        });
    }

    /// Whether a read that found nothing matters: a request of HTTP/1 [is in flight](Self::is_serving), or the connection
    /// [may leave](Self::may_leave).
    #[inline]
    pub fn looks_at_pending_reads(&self) -> bool {
        self.gate.has(SERVES | LEAVES)
    }

    /// Whether the connection may be one that leaves for a successor, now or later.
    pub fn is_leavable(&self) -> bool {
        self.leave.is_some()
    }

    /// Whether the connection may leave for a successor now, if the engine holds none of its bytes. Ask it when a read has found
    /// nothing.
    #[inline]
    pub fn may_leave(&self) -> bool {
        self.gate.has(LEAVES)
    }

    /// Reports whether the engine holds bytes of the connection, or may, so that it must not leave as it is now.
    pub fn stays(&self, stays: bool) {
        if let Some(leave) = &self.leave {
            leave.stays(stays);
        }
        if self.may_leave() {
            self.policy(|_| ());
        }
    }

    /// Lets the connection leave, if it still may and fewer than the permitted streams are on their way. Otherwise the task is
    /// woken when it may.
    ///
    /// Call it right after a read has found nothing. If it returns `true`, the engine must be given the end of the stream, and
    /// nothing more may be read, written or closed. The stream comes out at the [`Departures`](crate::Departures) when the I/O
    /// object is dropped.
    #[cold]
    pub fn leave(&self, cx: &mut Context<'_>) -> bool {
        let Some(leave) = self.leave.as_ref().filter(|_| !self.is_forced()) else { return false };
        let Some(permit) = leave.permit(cx) else { return false };
        let leaves = self.policy(Policy::on_leave);
        if leaves {
            // With the label that it was accepted with, by which its peer can be asked.
            let name = self.entry.as_ref().and_then(|it| it.name());
            let guard = name.map_or_else(|| self.guard.clone(), |name| self.guard.labelled(name.clone()));
            leave.leave(guard, permit);
        }
        leaves
    }

    /// Whether the connection began with a handshake.
    pub(crate) fn has_handshake(&self) -> bool {
        self.handshake.is_some()
    }

    /// Fails once the drain is closed by force. Call it first in every read and write, each with a `closed` of its own.
    ///
    /// # Errors
    ///
    /// [`ConnectionAborted`](io::ErrorKind::ConnectionAborted): the drain was closed by force.
    #[inline]
    pub fn check_forced_close(&self, closed: &mut Closed, cx: &mut Context<'_>) -> io::Result<()> {
        let is_forced = if self.driver.is_alone() { self.is_forced() } else { Pin::new(closed).poll(cx).is_ready() };
        if is_forced {
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the drain was closed by force"));
        }
        Ok(())
    }

    /// The same, with a `closed` that is made when it is needed: when another task may have a part of the connection.
    ///
    /// # Errors
    ///
    /// As [`check_forced_close`](Self::check_forced_close).
    #[inline]
    pub fn check_forced_close_lazily(&self, closed: &mut Option<Box<Closed>>, cx: &mut Context<'_>) -> io::Result<()> {
        if self.driver.is_alone() && !self.is_forced() {
            return Ok(());
        }
        self.check_forced_close(closed.get_or_insert_with(|| Box::new(self.watcher.closed())), cx)
    }

    /// Whether the drain was closed by force. (A guard is held here, so a closed drain was.)
    #[inline]
    pub(crate) fn is_forced(&self) -> bool {
        self.watcher.state() == State::Closed
    }
}

/// For the connection's requests.
impl Tracker {
    /// Whether the connection is in a list of [`Connections`].
    pub fn is_listed(&self) -> bool {
        self.entry.is_some()
    }

    /// Reports that a request begins. `what` returns its method and path; it is called only if the connection is listed.
    ///
    /// Returns the number to [`end`](Self::end) it by, or `None` if the request must not be served.
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

    /// Reports that the current request is one of HTTP/1.0.
    pub fn http10(&self) {
        // Once is enough: the policy keeps it.
        if self.gate.is_first_http10() {
            self.policy(Policy::on_http10);
        }
    }

    #[inline(never)]
    fn requested(&self, has_body: bool) -> bool {
        self.policy(|it| it.on_request(has_body))
    }

    /// Reports that the head of a response is about to be written. `last`: the request or the response says
    /// `Connection: close`.
    ///
    /// Returns whether the response must say `Connection: close`.
    #[must_use = "the response must say `Connection: close` if this is true"]
    #[inline]
    pub fn response(&self, last: bool) -> bool {
        // The policy hears of the drain when the connection's task runs; this response may be earlier.
        let state = self.watcher.state();
        let is_draining = state != State::Running;
        if is_draining && state == State::Closed {
            // The response cannot be written any more. Not reported, so that `last_words` answers `503`.
            return true;
        }
        let is_told = is_draining || self.notice.as_deref().is_some_and(Notice::is_due);
        if !is_told && !last && self.gate.response() {
            return false;
        }
        self.responded(is_draining, is_told, last)
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

    /// Reports that a request ended or was cut.
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

    /// Reports that the current response is an upgrade. Call it before its head is written, and so before the handler has the
    /// I/O.
    pub fn upgraded(&self) {
        self.share();
        self.policy(Policy::on_upgrade);
    }

    /// Reports that an upgraded stream of HTTP/2 has ended. It wakes the connection's task, since the stream may be in another.
    pub fn tunnel_ended(&self) {
        self.policy(|it| {
            it.on_response_resumes();
            it.on_response_end();
        });
        self.driver.wake();
    }
}

/// For the connection's driver.
impl Tracker {
    /// Reports that another task than that of the [`Drive`](crate::Drive) may have a part of the I/O from here on.
    pub fn share(&self) {
        self.driver.share();
    }

    /// Keeps the waker of the connection's task, to be woken when a tunnel ends.
    pub(crate) fn polled_by(&self, waker: &Waker) {
        self.driver.polled_by(waker);
    }

    /// Whether the policy must be asked for a step.
    #[inline]
    pub(crate) fn asks_for_steps(&self) -> bool {
        self.gate.has(STEPS)
    }

    /// Reports that the connection was polled, and has not left.
    pub(crate) fn has_stayed(&self) {
        if let Some(leave) = &self.leave {
            leave.pass();
        }
    }

    /// Reports that the connection is not polled any more.
    pub(crate) fn over(&self) {
        self.share();
        if let Some(leave) = &self.leave {
            leave.over();
        }
    }

    /// Reports that a timer has run out.
    pub(crate) fn timer_over(&self, timer: Timer) {
        if self.policy(|it| it.needs_unacknowledged(timer)) {
            // Outside the lock: it is a system call.
            // The label of the accept loop's guard. A listed connection has another guard.
            let label = self.entry.as_ref().map_or_else(|| self.guard.label(), |entry| entry.name());
            let peer = label.and_then(Label::downcast_ref::<Peer>);
            let bytes = peer.and_then(Peer::unacknowledged);
            self.policy(|it| it.on_unacknowledged(bytes));
        }
        self.policy(|it| it.on_timer(timer));
    }

    /// Counts that a bound closed the connection with a request or response in flight.
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

/// The maximum age of one connection: up to a tenth more or less than `age`.
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
