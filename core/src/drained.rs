//! `Drained`: the future of a drain's outcome.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use crate::overdue::Overdue;
use crate::shared::WatcherCount;
use crate::state::State;
use crate::sync::Arc;
use crate::waker_list::Registration;

/// The future of a drain's outcome: `Ok` when the last guard was dropped, [`Overdue`] if the drain was closed by force.
///
/// It is woken once, as the last guard is dropped; there is no polling. It may be polled again after it was ready. Every
/// clone has the same outcome.
///
/// Do not await it while you hold a guard of the same drain: each would wait for the other. A common case is a `/shutdown`
/// handler that starts the drain and awaits its end before it answers: its own request holds a guard. Start the drain there,
/// drop this future, and answer. If the task must wait, set a [`deadline`](Self::deadline).
///
/// # Cancel safety
///
/// Dropping it changes nothing: the drain goes on.
///
/// # Examples
///
/// ```
/// # futures_lite::future::block_on(async {
/// let drain = ebbtide::Drain::new();
/// let drained = drain.start();
/// assert_eq!(drained.await, Ok(()));
/// # });
/// ```
#[must_use = "the drain has started; await this to know when it is over"]
pub struct Drained {
    watcher_count: Arc<WatcherCount>,
    registration: Registration,
}

impl Drained {
    pub(crate) fn new(watcher_count: Arc<WatcherCount>) -> Self {
        Self { watcher_count, registration: Registration::NONE }
    }

    /// Bounds the wait: if `timer` is ready first, the drain is closed by force.
    ///
    /// Any future can be the timer: a runtime's sleep, a hardware timer, a channel. A timer that is ready at once closes at
    /// once; one that is never ready sets no bound. If both are ready, the end is a clean one.
    ///
    /// # Cancel safety
    ///
    /// Dropping it closes nothing: the drain goes on, without this deadline.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// let drain = ebbtide::Drain::new();
    /// let guard = drain.guard();
    /// let at_once = std::future::ready(());
    /// let overdue = drain.start().deadline(at_once).await.unwrap_err();
    /// assert_eq!(overdue.guards(), 1);
    /// # drop(guard);
    /// # });
    /// ```
    pub fn deadline<T: Future<Output = ()>>(self, timer: T) -> Deadline<T> {
        Deadline { drained: self, timer }
    }
}

impl Clone for Drained {
    fn clone(&self) -> Self {
        Self::new(self.watcher_count.shared.watcher_count(&self.watcher_count))
    }
}

impl Future for Drained {
    type Output = Result<(), Overdue>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { watcher_count, registration } = &mut *self;
        let shared = &*watcher_count.shared;
        ready!(registration.poll(cx.waker(), move || shared.state() >= State::Closed, || watcher_count.closed()));
        watcher_count.shared.outcome().map_or(Poll::Pending, Poll::Ready)
    }
}

impl Drop for Drained {
    fn drop(&mut self) {
        self.registration.forget(|| self.watcher_count.closed());
    }
}

impl fmt::Debug for Drained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drained").field("state", &self.watcher_count.shared.state()).finish_non_exhaustive()
    }
}

/// The future of [`Drain::released`](crate::Drain::released): ready once every guard has been dropped.
///
/// # Cancel safety
///
/// Dropping it loses nothing.
#[must_use = "futures do nothing unless polled"]
pub struct Released {
    watcher_count: Arc<WatcherCount>,
    registration: Registration,
}

impl Released {
    pub(crate) fn new(watcher_count: Arc<WatcherCount>) -> Self {
        Self { watcher_count, registration: Registration::NONE }
    }
}

impl Future for Released {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { watcher_count, registration } = &mut *self;
        let shared = &*watcher_count.shared;
        registration.poll(cx.waker(), || shared.is_released(), || shared.released())
    }
}

impl Drop for Released {
    fn drop(&mut self) {
        self.registration.forget(|| self.watcher_count.shared.released());
    }
}

impl fmt::Debug for Released {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Released").field("guards", &self.watcher_count.shared.guards()).finish_non_exhaustive()
    }
}

pin_project! {
    /// The future of [`Drained::deadline`]: the outcome of the drain, or of its forced close when the timer is ready.
    #[derive(Debug)]
    #[must_use = "the deadline is kept only while this is polled"]
    pub struct Deadline<T> {
        drained: Drained,
        #[pin]
        timer: T,
    }
}

impl<T: Future<Output = ()>> Future for Deadline<T> {
    type Output = Result<(), Overdue>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Poll::Ready(outcome) = Pin::new(&mut *this.drained).poll(cx) {
            return Poll::Ready(outcome);
        }
        // Never polled after it was ready: from then on the line above answers.
        ready!(this.timer.as_mut().poll(cx));
        this.drained.watcher_count.shared.close();
        Pin::new(this.drained).poll(cx)
    }
}
