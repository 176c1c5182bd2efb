//! What precedes HTTP on a connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::policy::Policy;
use ebbtide::Guard;

/// What a connection begins with: its guard, and the handshake that precedes HTTP on it, if there is one.
///
/// A guard alone is one. What makes another is whoever does the handshake, by [`Handshake::begin`].
#[derive(Debug)]
pub struct Accepted {
    pub(crate) guard: Guard,
    pub(crate) handshake: Option<Handshake>,
}

impl From<Guard> for Accepted {
    fn from(guard: Guard) -> Self {
        Self { guard, handshake: None }
    }
}

/// How far a connection is with what precedes HTTP: a TLS handshake, a PROXY header, anything.
///
/// Whoever reads that tells it here, and the connection's policy bounds it: a client that says nothing is a silent one,
/// and one that stops halfway has the time of half a head. The handshake is to be done by the I/O that the HTTP adapter
/// is given, when it is first polled to read: so nothing but the HTTP connection is to be driven, waited for or dropped.
///
/// # Examples
///
/// ```
/// use ebbtide::Drain;
/// use ebbtide_connection::Handshake;
///
/// let drain = Drain::new();
/// let guard = drain.watcher().guard().expect("running");
/// let (handshake, guard) = Handshake::begin(guard); // in the place of the guard: Http::serve takes both
/// handshake.heard(); // the client has said something
/// handshake.over(); // it has said all that precedes HTTP
/// # drop(guard);
/// ```
#[derive(Clone, Debug)]
pub struct Handshake(Arc<AtomicU8>);

const SILENT: u8 = 0;
const HEARD: u8 = 1;
const OVER: u8 = 2;

// Relaxed throughout: the word is all there is, and the connection that it is about is one task.
impl Handshake {
    /// Begins the connection of this guard.
    pub fn begin(guard: Guard) -> (Self, Accepted) {
        let handshake = Self(Arc::new(AtomicU8::new(SILENT)));
        (handshake.clone(), Accepted { guard, handshake: Some(handshake) })
    }

    /// Some of it came from the client.
    #[inline]
    pub fn heard(&self) {
        if self.0.load(Ordering::Relaxed) == SILENT {
            self.0.store(HEARD, Ordering::Relaxed);
        }
    }

    /// It is over, and HTTP follows.
    pub fn over(&self) {
        self.0.store(OVER, Ordering::Relaxed);
    }

    /// Under the policy's lock, before that is told anything that is later.
    pub(crate) fn tell(&self, policy: &mut Policy) {
        match self.0.load(Ordering::Relaxed) {
            SILENT => {}
            HEARD => policy.on_handshake(),
            _ => policy.on_handshake_end(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::Bounds;
    use crate::policy::Timer;
    use ebbtide::Drain;

    use super::*;
    use crate::Tracker;

    #[test]
    fn the_policy_is_told_before_it_is_asked() {
        let (drain, bounds) = (Drain::new(), Bounds::default());
        let (handshake, accepted) = Handshake::begin(drain.watcher().guard().expect("running"));
        let tracker = Tracker::new(accepted, bounds, None);
        let bound = || tracker.policy(|it| it.wait(Timer::State)).map_or(Duration::ZERO, |wait| wait.after);
        tracker.policy(Policy::on_drain);
        assert_eq!(bound(), bounds.silent);
        handshake.heard();
        assert_eq!(bound(), bounds.head);
        handshake.over();
        handshake.heard();
        assert_eq!(bound(), bounds.silent);
        tracker.read(b"GET / HTTP/1.1\r\nHo");
        assert_eq!(bound(), bounds.head);
    }
}
