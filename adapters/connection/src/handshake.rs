//! `Handshake`: what a client sends before HTTP, such as a TLS handshake.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::leave::Leave;
use crate::policy::Policy;
use ebbtide::Guard;

/// The guard of a connection, and the handshake that precedes HTTP on it, if there is one.
///
/// A guard converts into one by `From`. Code that does a handshake makes one by [`Handshake::begin`]. A connection that may
/// leave for a successor has one by [`Departing::new`](crate::Departing::new).
#[derive(Debug)]
pub struct Accepted {
    pub(crate) guard: Guard,
    pub(crate) handshake: Option<Handshake>,
    pub(crate) leave: Option<Arc<Leave>>,
}

impl From<Guard> for Accepted {
    fn from(guard: Guard) -> Self {
        Self { guard, handshake: None, leave: None }
    }
}

/// The progress of what precedes HTTP on a connection: a TLS handshake, a PROXY header, or the like.
///
/// The code that reads it reports the progress here, and the connection's policy bounds it. A client that sends nothing is a
/// silent one ([`Bounds::silent`](crate::Bounds::silent)). One that stops halfway has the time of half a head
/// ([`Bounds::head`](crate::Bounds::head)).
///
/// Do the handshake in the I/O object that the HTTP adapter is given, when it is first polled to read. Then there is only the
/// HTTP connection to poll and to drop.
///
/// # Examples
///
/// ```
/// use ebbtide::Drain;
/// use ebbtide_connection::Handshake;
///
/// let drain = Drain::new();
/// let guard = drain.watcher().guard().expect("running");
/// let (handshake, guard) = Handshake::begin(guard); // in place of the guard: Http::serve takes either
/// handshake.heard(); // some bytes of it have come
/// handshake.over(); // it is complete, and HTTP follows
/// # drop(guard);
/// ```
#[derive(Clone, Debug)]
pub struct Handshake(Arc<AtomicU8>);

const SILENT: u8 = 0;
const HEARD: u8 = 1;
const OVER: u8 = 2;

// Relaxed throughout: the word orders no other memory, and the connection is one task.
impl Handshake {
    /// Begins a handshake on the connection of this guard.
    pub fn begin(guard: Guard) -> (Self, Accepted) {
        let handshake = Self(Arc::new(AtomicU8::new(SILENT)));
        (handshake.clone(), Accepted { guard, handshake: Some(handshake), leave: None })
    }

    /// Reports that bytes of it came from the client.
    #[inline]
    pub fn heard(&self) {
        if self.0.load(Ordering::Relaxed) == SILENT {
            self.0.store(HEARD, Ordering::Relaxed);
        }
    }

    /// Reports that it is complete, and HTTP follows.
    pub fn over(&self) {
        self.0.store(OVER, Ordering::Relaxed);
    }

    /// Reports the progress to the policy. Called under its lock, before any later event.
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
