//! Time that passes when nothing else is to be done.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
#[cfg(any(feature = "hyper", feature = "tokio"))]
use std::time::Instant;

/// A clock that stands still until it is told to go on, or tokio's, paused.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    /// What the beginning is to those who count in instants.
    #[cfg(any(feature = "hyper", feature = "tokio"))]
    start: Instant,
    hands: Hands,
}

#[derive(Clone, Debug)]
enum Hands {
    Own(Arc<Mutex<Timers>>),
    #[cfg(feature = "tokio")]
    Tokio(tokio::runtime::Handle),
}

#[derive(Debug, Default)]
struct Timers {
    now: Duration,
    next: u64,
    /// By deadline, and then in the order in which they were set.
    set: BTreeMap<(Duration, u64), Waker>,
}

/// Ready when its time has come.
///
/// # Cancel safety
///
/// Dropping it takes the timer away.
#[must_use = "futures do nothing unless polled"]
pub struct Sleep {
    kind: Kind,
}

enum Kind {
    Own {
        timers: Arc<Mutex<Timers>>,
        deadline: Duration,
        key: u64,
    },
    #[cfg(feature = "tokio")]
    Tokio(Pin<Box<tokio::time::Sleep>>),
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self {
            #[cfg(any(feature = "hyper", feature = "tokio"))]
            start: Instant::now(),
            hands: Hands::Own(Arc::default()),
        }
    }

    /// That of a runtime whose time is paused.
    #[cfg(feature = "tokio")]
    pub(crate) fn tokio(runtime: tokio::runtime::Handle) -> Self {
        let start = {
            let _context = runtime.enter();
            tokio::time::Instant::now().into_std()
        };
        Self { start, hands: Hands::Tokio(runtime) }
    }

    /// Since the beginning.
    pub(crate) fn now(&self) -> Duration {
        match &self.hands {
            Hands::Own(timers) => lock(timers).now,
            #[cfg(feature = "tokio")]
            Hands::Tokio(runtime) => {
                let _context = runtime.enter();
                tokio::time::Instant::now().into_std() - self.start
            }
        }
    }

    #[cfg(feature = "hyper")]
    pub(crate) fn start(&self) -> Instant {
        self.start
    }

    /// Until so long after the beginning.
    pub(crate) fn sleep_until(&self, deadline: Duration) -> Sleep {
        let kind = match &self.hands {
            Hands::Own(timers) => {
                let mut set = lock(timers);
                set.next += 1;
                Kind::Own { timers: timers.clone(), deadline, key: set.next }
            }
            #[cfg(feature = "tokio")]
            Hands::Tokio(runtime) => {
                let _context = runtime.enter();
                Kind::Tokio(Box::pin(tokio::time::sleep_until((self.start + deadline).into())))
            }
        };
        Sleep { kind }
    }

    /// Goes on to the next timer, if that is not behind `limit`, and else to the limit. Returns whether there was one.
    pub(crate) fn advance(&self, limit: Duration) -> bool {
        match &self.hands {
            Hands::Own(timers) => advance(timers, limit),
            #[cfg(feature = "tokio")]
            Hands::Tokio(_) => unreachable!("it goes on by itself"),
        }
    }

    /// When the next timer is due; `None` if there is none, or if that is not known.
    pub(crate) fn next(&self) -> Option<Duration> {
        match &self.hands {
            Hands::Own(timers) => lock(timers).set.first_key_value().map(|((deadline, _), _)| *deadline),
            #[cfg(feature = "tokio")]
            Hands::Tokio(_) => None,
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.kind {
            Kind::Own { timers, deadline, key } => {
                let mut timers = lock(timers);
                if timers.now >= *deadline {
                    return Poll::Ready(());
                }
                let before = timers.set.insert((*deadline, *key), cx.waker().clone());
                // Not under the lock: a waker's drop may be anybody's code.
                drop(timers);
                drop(before);
                Poll::Pending
            }
            #[cfg(feature = "tokio")]
            Kind::Tokio(sleep) => sleep.as_mut().poll(cx),
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        match &self.kind {
            Kind::Own { timers, deadline, key } => {
                let waker = lock(timers).set.remove(&(*deadline, *key));
                drop(waker);
            }
            #[cfg(feature = "tokio")]
            Kind::Tokio(_) => {}
        }
    }
}

fn advance(timers: &Mutex<Timers>, limit: Duration) -> bool {
    let mut timers = lock(timers);
    let next = timers.set.first_key_value().map(|((deadline, _), _)| *deadline).filter(|it| *it <= limit);
    timers.now = timers.now.max(next.unwrap_or(limit));
    let Some(next) = next else { return false };
    let later = timers.set.split_off(&(next, u64::MAX));
    let due = std::mem::replace(&mut timers.set, later);
    drop(timers);
    due.into_values().for_each(Waker::wake);
    true
}

fn lock(timers: &Mutex<Timers>) -> MutexGuard<'_, Timers> {
    timers.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").finish_non_exhaustive()
    }
}
