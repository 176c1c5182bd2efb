//! `Guard`: the handle that a drain waits for.

use core::fmt;
use core::future::Future;
use core::task::{Context, Poll};

use crate::label::Label;
use crate::overdue::Overdue;
use crate::shared::{GuardCount, Shared, WatcherCount};
use crate::state::State;
use crate::sync::Arc;
use crate::until::{End, Until};
use crate::waker_list::Registration;
use crate::watcher::Watcher;

/// A handle that keeps the drain from closing: while a guard is held, the drain waits.
///
/// Take one for every piece of work that must not be lost, before it begins, and drop it when the work is done. A return, an
/// early exit and a panic all drop it. A clone is a guard of its own, and may be made at any time, also while draining: for
/// work that starts more work.
///
/// At a deadline the drain is [`Closed`](State::Closed) *though this guard is still held*, and the guarded work should end.
/// [`during`](Self::during) drops it then. To wait for the *beginning* of the drain, await the guard's
/// [`watcher`](Self::watcher). To wait for its end, await [`closed`](Watcher::closed) of that watcher. The guard itself is not
/// a future, since either meaning could be expected:
///
/// ```compile_fail,E0277
/// # async fn session(guard: ebbtide::Guard) {
/// guard.await; // when the drain begins? when it is over?
/// # }
/// ```
///
/// A task that holds a guard must not wait for the end of the drain: each would wait for the other, see
/// [`Drained`](crate::Drained). A guard that is kept in `main` delays the drain until its deadline. So move the guard into the
/// task that does the work. With a [label](Watcher::labelled), such as [`Label::here`], the outcome says whose guard it was.
///
/// # Examples
///
/// ```
/// let drain = ebbtide::Drain::new();
/// let guard = drain.guard().expect("running");
/// let _ = drain.start();
/// assert_eq!(drain.guards(), 1);
/// drop(guard);
/// assert_eq!(drain.state(), ebbtide::State::Closed);
/// ```
#[must_use = "a guard that is dropped holds nothing up"]
pub struct Guard {
    guard_count: Arc<GuardCount>,
    registration: Registration,
}

impl Guard {
    #[inline]
    pub(crate) fn new(guard_count: Arc<GuardCount>) -> Self {
        Self { guard_count, registration: Registration::NONE }
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.guard_count.shared
    }

    /// A watcher of this guard's drain. It is ready at the start of the drain, and not at a [turn](Self::turn) before that.
    ///
    /// # Examples
    ///
    /// ```
    /// let drain = ebbtide::Drain::new();
    /// let guard = drain.guard().expect("running");
    /// assert_eq!(guard.watcher().state(), ebbtide::State::Running);
    /// ```
    pub fn watcher(&self) -> Watcher {
        Watcher::new(WatcherCount::of(&self.guard_count))
    }

    /// Another guard of the same drain, counted under `label`. It is given while draining, too.
    ///
    /// # Examples
    ///
    /// ```
    /// let drain = ebbtide::Drain::new();
    /// let connection = drain.watcher().labelled("connection").expect("running");
    /// let request = connection.labelled("GET /");
    /// assert_eq!(request.label().map(ToString::to_string).as_deref(), Some("GET /"));
    /// ```
    pub fn labelled(&self, label: impl Into<Label>) -> Self {
        // Given, since the caller holds a guard.
        Shared::labelled(&self.guard_count.shared, &label.into(), true).map_or_else(|| self.clone(), Self::new)
    }

    /// The label that this guard is counted under, if any.
    #[must_use]
    pub fn label(&self) -> Option<&Label> {
        self.guard_count.label()
    }

    /// Whether no other guard has the same label at this moment. `false` if this guard has no label.
    ///
    /// If the label is [live](Label::live), a clone of the label counts like a guard. It tells the owner of a guard whether a
    /// clone that was handed out is still in use.
    ///
    /// # Examples
    ///
    /// ```
    /// let drain = ebbtide::Drain::new();
    /// let guard = drain.watcher().labelled("upload").expect("running");
    /// let another = guard.clone();
    /// assert!(!guard.is_only());
    /// drop(another);
    /// assert!(guard.is_only());
    /// ```
    #[must_use]
    pub fn is_only(&self) -> bool {
        // The label has two clones of its own: in the table of labels, and in what the guard counts.
        Arc::strong_count(&self.guard_count) == 1
            && self.label().is_some_and(|label| label.clones().is_none_or(|it| it == 2))
    }

    /// The state of the drain. [`Closed`](State::Closed), though this guard is held, means that it was closed by force.
    #[inline]
    #[must_use]
    pub fn state(&self) -> State {
        self.guard_count.shared.state()
    }

    /// Drops this guard and reports its work as lost, though the drain was not closed by force.
    ///
    /// The outcome of the drain is then an [`Overdue`](crate::Overdue) that names the guard's label. Before the drain has begun
    /// it is a plain drop: work that fails while the service runs is for the service to report.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// let drain = ebbtide::Drain::new();
    /// let guard = drain.watcher().labelled("upload").expect("running");
    /// let drained = drain.start();
    /// guard.give_up();
    /// assert_eq!(drained.await.unwrap_err().to_string(), "closed, but not well: 1 guard was given up (upload)");
    /// # });
    /// ```
    pub fn give_up(self) {
        if self.state() == State::Draining {
            self.shared().record_loss(Overdue::given_up(self.label().cloned()));
        }
    }

    /// Runs `future` under this guard. If the drain is closed by force, `future` is dropped and the output is `None`.
    ///
    /// The future is dropped first and the guard after it, on a panic too. So after a clean close all effects of the future
    /// are visible, including those of its destructors.
    ///
    /// # Cancel safety
    ///
    /// Dropping this drops `future`, then releases the guard.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// let drain = ebbtide::Drain::new();
    /// let guard = drain.guard().expect("running");
    /// let work = guard.during(async { "done" });
    /// assert_eq!(work.await, Some("done"));
    /// # });
    /// ```
    pub fn during<F: Future>(self, future: F) -> Until<Self, F> {
        Until::new(self, future)
    }
}

impl Clone for Guard {
    #[inline]
    fn clone(&self) -> Self {
        Self::new(self.guard_count.clone())
    }
}

impl End for Guard {
    #[inline]
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Self { guard_count, registration } = self;
        let shared = &*guard_count.shared;
        registration.poll(cx.waker(), move || shared.state() >= State::Closed, || guard_count.closed())
    }
}

impl Drop for Guard {
    #[inline]
    fn drop(&mut self) {
        self.registration.forget(|| self.guard_count.closed());
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("state", &self.state()).finish_non_exhaustive()
    }
}
