//! What the parts of one connection know of each other: its guard and its policy.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ebbtide::connection::{Bounds, Policy};
use ebbtide::{Guard, Label, State, Watcher};
use hyper::Request;

use crate::connections::{Connections, Live, Seen};

/// Lives until the last part of the connection is gone, and the guard with it.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) guard: Guard,
    pub(crate) watcher: Watcher,
    policy: Mutex<Policy>,
    /// What the policy heeds, as of the last that it was told.
    heeds: AtomicU8,
    /// Whether `Serving` drives the connection, and nobody else has its I/O.
    driven: AtomicBool,
    /// Where the connection is kept for those who ask; the others pay nothing for it.
    seen: Option<Arc<Seen>>,
    requests: AtomicU64,
}

pub(crate) const READS: u8 = 1;
pub(crate) const WRITES: u8 = 2;
pub(crate) const STEPS: u8 = 4;

impl Record {
    pub(crate) fn new(guard: Guard, bounds: Bounds, connections: Option<&Connections>) -> Arc<Self> {
        let seen = connections.map(|it| it.accept(guard.label().cloned()));
        let guard = match &seen {
            Some(seen) => guard.labelled(Label::live(Live(seen.clone()))),
            None => guard,
        };
        let (watcher, policy) = (guard.watcher(), Mutex::new(Policy::new(bounds)));
        let (heeds, requests) = (AtomicU8::new(READS), AtomicU64::new(0));
        Arc::new(Self { guard, watcher, policy, heeds, driven: AtomicBool::new(true), seen, requests })
    }

    /// Asks or tells the policy. HTTP/1 has one task and never waits here; the streams of HTTP/2 hardly do.
    pub(crate) fn policy<R>(&self, f: impl FnOnce(&mut Policy) -> R) -> R {
        let mut policy = self.policy.lock().unwrap_or_else(PoisonError::into_inner);
        let before = policy.state();
        let answer = f(&mut policy);
        let after = policy.state();
        let heeds = policy.heeds();
        let bit = |is: bool, bit: u8| if is { bit } else { 0 };
        let heeds = bit(heeds.reads, READS) | bit(heeds.writes, WRITES) | bit(heeds.steps, STEPS);
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
    pub(crate) fn heeds(&self, what: u8) -> bool {
        self.heeds.load(Ordering::Relaxed) & what != 0
    }

    /// Whether the I/O may leave it to `Serving` to be woken.
    pub(crate) fn is_driven(&self) -> bool {
        // Acquire, with the Release below: whoever gets the I/O later finds it so.
        self.driven.load(Ordering::Acquire)
    }

    /// From here on somebody else may have the I/O.
    pub(crate) fn hand_over(&self) {
        self.driven.store(false, Ordering::Release);
    }

    /// Whether the drain was closed by force: its guard is held here, so a drain that is closed was.
    pub(crate) fn is_cut(&self) -> bool {
        self.watcher.state() == State::Closed
    }

    /// Whether anybody looks at the connection's states.
    pub(crate) fn is_seen(&self) -> bool {
        self.seen.is_some()
    }

    /// A request begins. Returns its number, by which it ends; `None` where it is not to be served.
    pub(crate) fn begin<B>(&self, request: &Request<B>, has_body: bool) -> Option<u64> {
        let Some(seen) = &self.seen else {
            return self.policy(|it| it.request(has_body)).then_some(0);
        };
        // Relaxed: a number, that is all.
        let id = self.requests.fetch_add(1, Ordering::Relaxed);
        seen.begin(id, request.method().clone(), request.uri().path().into());
        if !self.policy(|it| it.request(has_body)) {
            seen.end(id);
            return None;
        }
        Some(id)
    }

    /// A request ended, or was cut.
    pub(crate) fn end(&self, id: u64) {
        if let Some(seen) = &self.seen {
            self.freeze_if_cut(seen);
            seen.end(id);
        }
        self.policy(Policy::response_ended);
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
