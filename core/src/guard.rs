//! The right to hold up the close.

use core::fmt;
use core::future::Future;
use core::task::{Context, Poll};

use crate::label::Label;
use crate::lame_duck::Turn;
use crate::overdue::Overdue;
use crate::shared::{GuardCount, Shared, WatcherCount};
use crate::state::State;
use crate::sync::Arc;
use crate::until::{End, Until};
use crate::waker_list::Registration;
use crate::watcher::Watcher;

/// The right to hold up the close: while a guard is held, the drain waits.
///
/// Take one for every piece of work that must not be lost, before the work can be lost, and drop it when the work
/// is done; a return, an early exit and a panic are the same then. A clone is a guard of its own, and may be made
/// at any time, also while draining: work may beget work.
///
/// When time is up the drain is [`Closed`](State::Closed) *though this guard is still held*, and what was guarded should
/// end: [`during`](Self::during) sees to that. To wait for the *beginning* of the drain, await the guard's
/// [`watcher`](Self::watcher); to wait for its end under a guard, that watcher's [`closed`](Watcher::closed). The guard itself
/// is no future, so that neither is mistaken for the other:
///
/// ```compile_fail,E0277
/// # async fn session(guard: ebbtide::Guard) {
/// guard.await; // when the drain begins? when it is over?
/// # }
/// ```
///
/// Who holds a guard must not wait for the end of its drain, which waits for the guard: see
/// [`Drained`](crate::Drained). A guard that is kept in `main` while that waits for the drain holds it up to its deadline.
/// So move the guard to who works under it, or give it a [label](Watcher::labelled), such as
/// [`Label::here`]: then the outcome says whose it was.
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

    /// A watcher of the drain that this guard holds up. It hears of its start, not of a [turn](Self::turn) before that.
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

    /// A guard like a clone of this one, but under this label; also while draining.
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
        // A holder is never refused.
        Shared::labelled(&self.guard_count.shared, &label.into(), true).map_or_else(|| self.clone(), Self::new)
    }

    /// A turn in the [lame duck time](crate::LameDuck) of the drain, for a connection that is told of the end in its own
    /// time; `None` if there is no such time, or it is over.
    ///
    /// It takes a lock.
    #[must_use]
    pub fn turn(&self) -> Option<Turn> {
        self.guard_count.shared.take_turn().map(|(watcher_count, is_late)| Turn::new(watcher_count, is_late))
    }

    /// What it counts under.
    #[must_use]
    pub fn label(&self) -> Option<&Label> {
        self.guard_count.label()
    }

    /// Whether nobody else has its label at this moment: no other guard, and if the label is [live](Label::live), nothing that
    /// has kept a clone of it. `false` if it has none.
    ///
    /// For whoever has handed out a clone, and wants to know whether that went on or was dropped.
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

    /// How far the drain has come; [`Closed`](State::Closed) means that time is up.
    #[inline]
    #[must_use]
    pub fn state(&self) -> State {
        self.guard_count.shared.state()
    }

    /// Releases this guard as one that was cut: what it stood for is lost, though nothing was closed by force.
    ///
    /// The outcome of the drain says so, by [`Overdue`](crate::Overdue) and under the guard's label, if the drain had begun:
    /// what is lost while the service runs is the service's own to tell.
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
            self.shared().lose(Overdue::given_up(self.label().cloned()));
        }
    }

    /// Runs `future` under this guard. A forced close drops it, and the answer is `None`.
    ///
    /// The future goes first and the guard after it, on a panic too: whoever sees the drain closed cleanly sees
    /// all that the future did, down to its last `drop`.
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
