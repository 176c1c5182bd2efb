//! The time between the news that a service is to end and the beginning of its drain.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::future::{Future, poll_fn};
use core::task::Poll;
use core::time::Duration;

use crate::drain::Drain;
use crate::shared::{Shared, WatcherCount};
use crate::sync::Arc;
use crate::watcher::Watcher;

/// The time in which a service is no longer ready, but goes on as before: the lame duck time of its drain.
///
/// A load balancer needs seconds to notice that a server is not ready any more. Until it has, new connections come, and
/// they are to be served: so the drain does not start with the signal, but when this time is over. What says that the
/// service is ready says no from the signal on.
///
/// Connections may be told in that time: each in its own turn, and the turns are spread evenly over it, so that ten
/// thousand `WebSockets` do not all come back to the next server in one instant. Whoever has a guard of the connection takes
/// a [`Turn`] by [`Guard::turn`](crate::Guard::turn), as ebbtide's HTTP adapters do: in its turn the watcher in the
/// connection's requests is ready, and from it on its HTTP/1 responses say `Connection: close`. No connection is closed in
/// that time, and no GOAWAY is sent.
///
/// It knows no clock: [`pass`](Self::pass) is given one. The signal's drain and this one are two: an [`Order`](crate::Order)
/// starts the second at the end of the first.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use ebbtide::{Drain, LameDuck, Order};
///
/// # async fn sleep(_: Duration) {}
/// # futures_lite::future::block_on(async {
/// let (waiting, server) = (Drain::new(), Drain::new());
/// let lame_duck = LameDuck::new(&server, Duration::from_secs(5));
/// let guard = waiting.guard().expect("running");
///
/// // Signals start `order`: not ready from here on, and the server drains five seconds later.
/// let order = Order::new().then([("lame duck", waiting)]).then([("server", server.clone())]);
/// let drained = order.drain().start();
/// assert_eq!(server.state(), ebbtide::State::Running);
///
/// guard.during(lame_duck.pass(sleep)).await; // in a task of its own
/// assert_eq!(server.state(), ebbtide::State::Closed);
/// # drained.await.expect("nothing was held");
/// # });
/// ```
#[derive(Debug)]
#[must_use = "a lame duck time is to be passed"]
pub struct LameDuck {
    watcher: Watcher,
    window: Duration,
    turns: u32,
}

/// How many turns there are at most, and no more than one in [`STEP`]: a waker and some hundred bytes each.
const MOST: u32 = 256;
const STEP: Duration = Duration::from_millis(10);

impl LameDuck {
    /// A lame duck time before `drain`, in which its connections are told one after the other. If a drain has several such
    /// times, they are told in the first one that was made.
    pub fn new(drain: &Drain, window: Duration) -> Self {
        let turns = u32::try_from(window.as_millis() / STEP.as_millis()).unwrap_or(MOST).min(MOST);
        let watcher = drain.watcher();
        let makes = Shared::make_turns(watcher.shared(), turns as usize);
        Self { watcher, window, turns: if makes { turns } else { 0 } }
    }

    /// The same, but no connection is told before the drain: all of them are at the end.
    pub fn all_at_the_end(drain: &Drain, window: Duration) -> Self {
        Self { watcher: drain.watcher(), window, turns: 0 }
    }

    /// How long it is.
    #[must_use]
    pub fn window(&self) -> Duration {
        self.window
    }

    /// Begins, and is ready when the time is over, or when the drain has started meanwhile. `sleep` makes the timers: one
    /// for each turn, all at the beginning, so that they are even however late a poll is.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped, no more turns come; the start of the drain is the end of the time in any case.
    pub async fn pass<T: Future>(self, sleep: impl Fn(Duration) -> T) {
        let Self { watcher, window, turns } = self;
        let shared = watcher.shared().clone();
        shared.begin_turns();
        // The last one is the end.
        let steps = turns.max(1);
        // A time that is too long to be divided is one that has no end.
        let end = |step| window.checked_mul(step).map_or(window, |it| it / steps);
        let mut timers: Vec<_> = (1..=steps).map(|step| Some(Box::pin(sleep(end(step))))).collect();
        let passed = poll_fn(move |cx| {
            // All of them, since some timers begin only when they are polled.
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

/// When a connection hears of the drain that is about to start: a turn in its [`LameDuck`] time.
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

    /// A watcher that is ready in this turn, and in any case once the drain has started. It is one of the drain in all
    /// else: its guards hold up that one, and its state is that one's, which is [`Running`](crate::State::Running) until
    /// the lame duck time is over.
    pub fn watcher(&self) -> Watcher {
        Watcher::new(self.watcher_count.clone())
    }

    /// Whether the turn has come, or the drain has started.
    #[inline]
    #[must_use]
    pub fn has_come(&self) -> bool {
        self.watcher_count.is_told()
    }

    /// Whether it was taken after the lame duck time had begun: by a connection that has come since, which is to be of
    /// some use before it is told to go.
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
