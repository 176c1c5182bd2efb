//! `Watcher`: the handle that observes a drain, and the future of its beginning.

use core::fmt;
use core::future::Future;
use core::ops::Range;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;

use crate::cause::Cause;
use crate::guard::Guard;
use crate::label::Label;
use crate::overdue::Overdue;
use crate::shared::{Shared, WatcherCount};
use crate::state::State;
use crate::sync::Arc;
use crate::until::{End, Until};
use crate::waker_list::Registration;

/// A handle that observes a drain, and a future that is ready once draining has begun.
///
/// Give a clone to everything that should know of the drain. The drain does not wait for watchers. A watcher that is made
/// later is ready at once, and every watcher may be polled again after it was ready. It is `'static + Send + Sync`, so it can
/// be the future of any `with_graceful_shutdown(future)`.
///
/// Cloning touches no counter that all threads share. Polling again with the same waker is one load and one comparison.
///
/// # Cancel safety
///
/// Dropping a watcher loses nothing; its waker is removed.
///
/// # Examples
///
/// ```
/// use ebbtide::{Drain, Watcher};
///
/// async fn tell(watcher: Watcher) {
///     watcher.await;
///     println!("the service is draining");
/// }
/// # let drain = Drain::new();
/// # let watcher = drain.watcher();
/// # let _ = drain.start();
/// # futures_lite::future::block_on(tell(watcher));
/// ```
#[must_use = "a watcher does nothing unless it is polled or asked for a guard"]
pub struct Watcher {
    watcher_count: Arc<WatcherCount>,
    registration: Registration,
}

/// How many places there are in a span.
const POSITIONS: f64 = 4_294_967_296.0;

impl Watcher {
    #[inline]
    pub(crate) fn new(watcher_count: Arc<WatcherCount>) -> Self {
        Self { watcher_count, registration: Registration::NONE }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.watcher_count.shared
    }

    pub(crate) fn watcher_count(&self) -> &Arc<WatcherCount> {
        &self.watcher_count
    }

    /// A guard, or `None` once draining has begun.
    ///
    /// After [`Drain::start`](crate::Drain::start) has returned it is `None`. If `start` runs on another thread meanwhile, the
    /// guard is either refused, or given and waited for: there is no window between.
    ///
    /// # Examples
    ///
    /// ```
    /// let drain = ebbtide::Drain::new();
    /// let watcher = drain.watcher();
    /// let guard = watcher.guard().expect("running");
    /// let _ = drain.start();
    /// assert!(watcher.guard().is_none());
    /// # drop(guard);
    /// ```
    #[inline]
    #[must_use = "a guard that is dropped holds nothing up"]
    pub fn guard(&self) -> Option<Guard> {
        self.watcher_count.shared.guard_count().map(Guard::new)
    }

    /// A guard that is counted under a label, or `None` once draining has begun.
    ///
    /// [`Drain::held`](crate::Drain::held) and [`Overdue::held`](crate::Overdue::held) list the labels with their guards.
    ///
    /// This call takes a lock, looks the label up, and allocates if the label is not in use. Clones and drops cost the same as
    /// without a label.
    ///
    /// # Examples
    ///
    /// ```
    /// use ebbtide::{Drain, Label};
    ///
    /// let drain = Drain::new();
    /// let watcher = drain.watcher();
    /// let uploads = [watcher.labelled("upload"), watcher.labelled("upload")];
    /// let placed = watcher.labelled(Label::here());
    /// assert_eq!(drain.held()[0].to_string(), "2 x upload");
    /// # drop((uploads, placed));
    /// ```
    #[must_use = "a guard that is dropped holds nothing up"]
    pub fn labelled(&self, label: impl Into<Label>) -> Option<Guard> {
        Shared::labelled(&self.watcher_count.shared, &label.into(), false).map(Guard::new)
    }

    /// The state of the drain.
    #[inline]
    #[must_use]
    pub fn state(&self) -> State {
        self.watcher_count.shared.state()
    }

    /// Why the drain began; `None` while it has not.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// # let drain = ebbtide::Drain::new();
    /// # let mut watcher = drain.watcher();
    /// # let _ = drain.start_because("SIGTERM");
    /// (&mut watcher).await;
    /// println!("draining: {}", watcher.cause().expect("it has begun")); // draining: SIGTERM
    /// # });
    /// ```
    #[must_use]
    pub fn cause(&self) -> Option<Cause> {
        self.watcher_count.shared.cause()
    }

    /// The outcome of the drain, as [`Drained`](crate::Drained) returns it; `None` while it is not closed.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// let drain = ebbtide::Drain::new();
    /// let watcher = drain.watcher();
    /// assert_eq!(watcher.outcome(), None);
    ///
    /// drop(drain);
    /// watcher.closed().await;
    /// assert_eq!(watcher.outcome(), Some(Ok(())));
    /// # });
    /// ```
    #[must_use]
    pub fn outcome(&self) -> Option<Result<(), Overdue>> {
        self.watcher_count.shared.outcome()
    }

    /// A time within `span`, another one for each who asks. Those of one drain are spread evenly over it.
    ///
    /// It is for clients that are to come back after the drain, such as by the `retry` field of server-sent events or by
    /// `Retry-After`. Told the same time, all of them would come back in one instant. The times are no random numbers but
    /// a Weyl sequence, so a hundred of them leave no gap and make no crowd. A span that is empty is its start.
    ///
    /// # Examples
    ///
    /// ```
    /// # use core::time::Duration;
    /// # let drain = ebbtide::Drain::new();
    /// let span = Duration::from_secs(1)..Duration::from_secs(5);
    /// let retry = drain.watcher().spread(span.clone());
    /// assert!(span.contains(&retry));
    /// ```
    #[must_use]
    pub fn spread(&self, span: Range<Duration>) -> Duration {
        let position = f64::from(self.shared().take_position()) / POSITIONS;
        span.start.saturating_add(span.end.saturating_sub(span.start).mul_f64(position))
    }

    /// A future that is ready once the drain is [`Closed`](State::Closed), cleanly or by force.
    ///
    /// Use it for work that must end with the drain but holds no guard of its own, such as the second half of a connection.
    /// [`outcome`](Self::outcome) tells how the drain ended. This is not a [`Drained`](crate::Drained): that can close the
    /// drain by a deadline, and a watcher only observes.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// let drain = ebbtide::Drain::new();
    /// let closed = drain.watcher().closed();
    /// drain.close();
    /// closed.await;
    /// # });
    /// ```
    pub fn closed(&self) -> Closed {
        Closed {
            watcher_count: self.watcher_count.shared.watcher_count(&self.watcher_count),
            registration: Registration::NONE,
        }
    }

    /// Runs `future` until draining has begun: then `future` is dropped, and the output is `None`.
    ///
    /// The drain is polled first, so it ends a future that is always ready, too.
    ///
    /// Use it only if dropping `future` loses nothing. For work, use [`Guard::during`](crate::Guard::during). To read what a
    /// client may have sent already, use [`grace`](Self::grace). An accept loop such as `ebbtide_tokio::serve` ends by itself.
    /// If it is dropped here or in a `select!`, the connections in its queue are reset, and the outcome of the drain says so.
    ///
    /// # Cancel safety
    ///
    /// As cancel safe as `future`, which is dropped when the drain begins.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// let drain = ebbtide::Drain::new();
    /// let endless = drain.watcher().until_draining(std::future::pending::<()>());
    /// let _ = drain.start();
    /// assert_eq!(endless.await, None);
    /// # });
    /// ```
    pub fn until_draining<F: Future>(self, future: F) -> Until<Self, F> {
        Until::new(self, future)
    }

    /// Runs `future` until the drain is [`Closed`](State::Closed): then `future` is dropped, and the output is `None`.
    ///
    /// Unlike with [`Guard::during`](crate::Guard::during), the drain does not wait for `future`. Use it if the work has a
    /// guard elsewhere.
    ///
    /// # Cancel safety
    ///
    /// As cancel safe as `future`, which is dropped when the drain closes.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// let drain = ebbtide::Drain::new();
    /// let endless = drain.watcher().until_closed(std::future::pending::<()>());
    /// drain.close();
    /// assert_eq!(endless.await, None);
    /// # });
    /// ```
    pub fn until_closed<F: Future>(self, future: F) -> Until<Closed, F> {
        Until::new(self.closed(), future)
    }
}

impl Clone for Watcher {
    #[inline]
    fn clone(&self) -> Self {
        Self::new(self.watcher_count.shared.watcher_count(&self.watcher_count))
    }
}

impl Future for Watcher {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { watcher_count, registration } = &mut *self;
        let watcher_count = &**watcher_count;
        registration.poll(cx.waker(), move || watcher_count.is_told(), move || watcher_count.started())
    }
}

impl End for Watcher {
    #[inline]
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(self).poll(cx)
    }
}

impl Drop for Watcher {
    #[inline]
    fn drop(&mut self) {
        self.registration.forget(|| self.watcher_count.started());
    }
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watcher").field("state", &self.state()).finish_non_exhaustive()
    }
}

/// The future of [`Watcher::closed`]: ready once the drain is closed.
///
/// # Cancel safety
///
/// Dropping it loses nothing.
#[must_use = "futures do nothing unless polled"]
pub struct Closed {
    watcher_count: Arc<WatcherCount>,
    registration: Registration,
}

impl Future for Closed {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { watcher_count, registration } = &mut *self;
        let shared = &*watcher_count.shared;
        registration.poll(cx.waker(), move || shared.state() >= State::Closed, || watcher_count.closed())
    }
}

impl End for Closed {
    #[inline]
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(self).poll(cx)
    }
}

impl Drop for Closed {
    fn drop(&mut self) {
        self.registration.forget(|| self.watcher_count.closed());
    }
}

impl fmt::Debug for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Closed").field("state", &self.watcher_count.shared.state()).finish_non_exhaustive()
    }
}
