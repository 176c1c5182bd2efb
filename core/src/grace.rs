//! A little time behind the beginning of a drain.

use alloc::boxed::Box;
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;

use crate::until::{End, Until};
use crate::watcher::Watcher;

impl Watcher {
    /// A grace: for futures that are waited for while the service runs, but once draining has begun no longer than `time`.
    ///
    /// It is what a protocol of your own needs to serve what its client had sent already: with
    /// [`until_draining`](Self::until_draining) that would be dropped unread. Have one per connection, so that a client
    /// that goes on sending does not begin its grace anew. `sleep` is the runtime's.
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

/// A little time behind the beginning of a drain: the future of [`Watcher::grace`], ready when draining has begun and the
/// grace is over.
///
/// It begins when it is first polled in a drain, so a task that was busy at its beginning has all of it. Ready again when
/// it is polled again.
///
/// # Cancel safety
///
/// Not polling it any more loses nothing; the timer runs on.
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
    /// Runs `future` for as long as the grace is not over: then it is dropped, and the answer is `None`.
    ///
    /// The grace is asked first, so a future that is always ready does not outrun it.
    ///
    /// # Cancel safety
    ///
    /// As cancel safe as `future`, which is dropped when the grace is over.
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
