//! `LameDuck`: the time between the signal to stop and the beginning of the drain.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::future::{Future, poll_fn};
use core::task::Poll;
use core::time::Duration;

use crate::drain::Drain;
use crate::guard::Guard;
use crate::shared::{Shared, WatcherCount};
use crate::sync::Arc;
use crate::watcher::Watcher;

/// The lame duck time of a drain: the service is no longer ready, but serves as before, until the drain starts.
///
/// A load balancer needs seconds to notice that a server is not ready any more. Until then it sends new connections, and
/// they must be served. So the drain starts not with the signal, but at the end of this time. Readiness checks fail from the
/// signal on.
///
/// In this time connections can be told to end, each at its own instant. The instants are spread evenly over the time. So ten
/// thousand `WebSockets` do not all reconnect to the next server at once. The holder of a connection's guard takes its [`Turn`]
/// by [`Guard::turn`], as ebbtide's HTTP adapters do. From its turn on, the watcher in the connection's
/// requests is ready, and its HTTP/1 responses say `Connection: close` (RFC 9112, section 9.6). In this time no connection is
/// closed, and no HTTP/2 GOAWAY is sent.
///
/// It has no clock: [`pass`](Self::pass) takes one. The signal starts a drain of its own, and this one starts when the time
/// has passed.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use ebbtide::{Drain, LameDuck};
///
/// # async fn sleep(_: Duration) {}
/// # futures_lite::future::block_on(async {
/// let (asked, server) = (Drain::new(), Drain::new());
/// let lame_duck = LameDuck::new(&server, Duration::from_secs(5));
///
/// let _ = asked.start(); // as signals do: not ready from here on
/// assert_eq!(server.state(), ebbtide::State::Running);
///
/// asked.watcher().await;
/// lame_duck.pass(sleep).await; // connections are told, one after the other
/// server.start().await.expect("nothing was held");
/// # });
/// ```
#[derive(Debug)]
#[must_use = "the drain starts only once `pass` has been awaited"]
pub struct LameDuck {
    watcher: Watcher,
    window: Duration,
    turns: u32,
}

/// At most this many turns, of some hundred bytes and a timer each.
const MAX_TURNS: u32 = 256;
/// At least this time from one turn to the next.
const MIN_STEP: Duration = Duration::from_millis(10);

impl LameDuck {
    /// A lame duck time of length `window` before `drain`, with turns for its connections.
    ///
    /// If it is not the first one of this drain, it has no turns: connections have theirs in the first.
    pub fn new(drain: &Drain, window: Duration) -> Self {
        let turns = u32::try_from(window.as_millis() / MIN_STEP.as_millis()).unwrap_or(MAX_TURNS).min(MAX_TURNS);
        let watcher = drain.watcher();
        let makes = Shared::make_turns(watcher.shared(), turns as usize);
        Self { watcher, window, turns: if makes { turns } else { 0 } }
    }

    /// A lame duck time without turns: all connections are told at its end, when the drain starts.
    pub fn all_at_the_end(drain: &Drain, window: Duration) -> Self {
        Self { watcher: drain.watcher(), window, turns: 0 }
    }

    /// The length of this time.
    #[must_use]
    pub fn window(&self) -> Duration {
        self.window
    }

    /// Starts the lame duck time, and is ready when it has passed, or when the drain has started before that.
    ///
    /// `sleep` makes the timers, such as `tokio::time::sleep`. All of them, one per turn, are made at the beginning, so the
    /// turns are spread evenly even if a poll is late.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped, no more turns come before the drain starts.
    pub async fn pass<T: Future>(self, sleep: impl Fn(Duration) -> T) {
        let Self { watcher, window, turns } = self;
        let shared = watcher.shared().clone();
        shared.begin_turns();
        // The last step is the end.
        let steps = turns.max(1);
        // A window so long that it overflows is as good as endless.
        let end = |step| window.checked_mul(step).map_or(window, |it| it / steps);
        let mut timers: Vec<_> = (1..=steps).map(|step| Some(Box::pin(sleep(end(step))))).collect();
        let passed = poll_fn(move |cx| {
            // Poll all of them: some timers start only when they are first polled.
            for timer in &mut timers {
                if timer.as_mut().is_some_and(|it| it.as_mut().poll(cx).is_ready()) {
                    *timer = None;
                    shared.next_turn();
                }
            }
            if timers.last().is_some_and(Option::is_some) { Poll::Pending } else { Poll::Ready(()) }
        });
        watcher.until_draining(passed).await;
    }
}

impl Guard {
    /// A turn in the [lame duck time](LameDuck) of the drain: the instant at which one connection is told to end.
    ///
    /// `None` if the drain has no lame duck time, or it has passed. It takes a lock.
    #[must_use]
    pub fn turn(&self) -> Option<Turn> {
        self.shared().take_turn().map(|(watcher_count, is_late)| Turn::new(watcher_count, is_late))
    }
}

/// The instant in a [`LameDuck`] time at which one connection is told that the drain is about to start.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use ebbtide::{Drain, LameDuck};
///
/// let drain = Drain::new();
/// let lame_duck = LameDuck::new(&drain, Duration::from_secs(5));
/// let connection = drain.guard().expect("running");
/// let turn = connection.turn().expect("there is such a time");
/// assert!(!turn.has_come() && !turn.is_late());
/// # drop(lame_duck);
/// ```
pub struct Turn {
    watcher_count: Arc<WatcherCount>,
    is_late: bool,
}

impl Turn {
    pub(crate) fn new(watcher_count: Arc<WatcherCount>, is_late: bool) -> Self {
        Self { watcher_count, is_late }
    }

    /// A watcher that is ready from this turn on, and in any case once the drain has started.
    ///
    /// In all else it is a watcher of the drain, with its guards and its state. That is [`Running`](crate::State::Running)
    /// until the lame duck time has passed.
    pub fn watcher(&self) -> Watcher {
        Watcher::new(self.watcher_count.clone())
    }

    /// Whether the turn has come, or the drain has started.
    #[inline]
    #[must_use]
    pub fn has_come(&self) -> bool {
        self.watcher_count.is_told()
    }

    /// Whether the turn was taken after the lame duck time had begun, for a connection that was accepted in it. Such a
    /// connection should serve at least one request before it is told to end.
    #[must_use]
    pub fn is_late(&self) -> bool {
        self.is_late
    }
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn")
            .field("has_come", &self.has_come())
            .field("is_late", &self.is_late)
            .finish_non_exhaustive()
    }
}
