//! `Grace`: a short time after the beginning of a drain.

use alloc::boxed::Box;
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;

use crate::until::{End, Until};
use crate::watcher::Watcher;

impl Watcher {
    /// A grace period for reads: no limit while the service runs, and `time` in all once draining has begun.
    ///
    /// A protocol of your own needs it to serve what its client had already sent;
    /// [`until_draining`](Self::until_draining) would drop that unread. Make one per connection, and not one per read: a client
    /// that goes on sending would start each anew. `sleep` is the runtime's, such as `tokio::time::sleep`.
    ///
    /// # Examples
    ///
    /// A protocol of lines, whose commands may come as fast as the client likes:
    ///
    /// ```
    /// use core::time::Duration;
    /// use ebbtide::Guard;
    /// # use std::future::{Future, pending, ready};
    ///
    /// async fn session(mut lines: Lines, guard: Guard) {
    ///     let mut grace = guard.watcher().grace(Duration::from_millis(100), sleep);
    ///     while let Some(Some(line)) = grace.during(lines.next()).await {
    ///         answer(&line).await; // not in the grace: what was begun is finished
    ///     }
    /// }
    /// # fn sleep(_: Duration) -> impl Future<Output = ()> { ready(()) }
    /// # async fn answer(_: &str) {}
    /// # struct Lines(Vec<String>);
    /// # impl Lines { async fn next(&mut self) -> Option<String> { self.0.pop() } }
    /// # let drain = ebbtide::Drain::new();
    /// # let guard = drain.guard().expect("running");
    /// # let _ = drain.start();
    /// # futures_lite::future::block_on(session(Lines(vec!["sent".into()]), guard));
    /// ```
    pub fn grace<S, T>(self, time: Duration, sleep: S) -> Grace<S, T>
    where
        S: Fn(Duration) -> T,
        T: Future,
    {
        Grace { watcher: self, time, sleep, timer: Timer::NotYet }
    }
}

/// The future of [`Watcher::grace`]: ready when draining has begun and the grace period has passed.
///
/// The period starts with the first poll after draining has begun, so a task that was busy has all of it. It may be polled
/// again after it was ready.
///
/// # Cancel safety
///
/// It may stop being polled at any time; its timer runs on.
#[must_use = "futures do nothing unless polled"]
pub struct Grace<S, T> {
    watcher: Watcher,
    time: Duration,
    sleep: S,
    timer: Timer<T>,
}

enum Timer<T> {
    NotYet,
    Runs(Pin<Box<T>>),
    Over,
}

impl<S, T> Grace<S, T>
where
    S: Fn(Duration) -> T,
    T: Future,
{
    /// Runs `future` until the grace period has passed: then `future` is dropped, and the output is `None`.
    ///
    /// The grace is polled first, so a future that is always ready ends with it, too.
    ///
    /// # Cancel safety
    ///
    /// As cancel safe as `future`, which is dropped when the period has passed.
    pub fn during<F: Future>(&mut self, future: F) -> Until<&mut Self, F> {
        Until::new(self, future)
    }
}

// What is pinned in it is boxed.
impl<S, T> Unpin for Grace<S, T> {}

impl<S, T> Future for Grace<S, T>
where
    S: Fn(Duration) -> T,
    T: Future,
{
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { watcher, time, sleep, timer } = &mut *self;
        loop {
            match timer {
                Timer::NotYet => {
                    ready!(Pin::new(&mut *watcher).poll(cx));
                    *timer = Timer::Runs(Box::pin(sleep(*time)));
                }
                Timer::Runs(runs) => {
                    ready!(runs.as_mut().poll(cx));
                    *timer = Timer::Over;
                }
                Timer::Over => return Poll::Ready(()),
            }
        }
    }
}

impl<S, T> End for &mut Grace<S, T>
where
    S: Fn(Duration) -> T,
    T: Future,
{
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut **self).poll(cx)
    }
}

impl<S, T> fmt::Debug for Grace<S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grace").field("watcher", &self.watcher).field("time", &self.time).finish_non_exhaustive()
    }
}
