//! The loop, with a task for each connection.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ebbtide::Guard;

use crate::accept::{Accept, Listener, Runtime, Spawn};
use crate::hook::Failure;
use crate::task::{Ended, Report, Task};

/// The future of a runtime adapter's `serve`: [`Accept`], with a task for each connection.
///
/// It is over when the drain has begun and its listener is closed, and not when its connections are: for those, wait for the
/// drain.
///
/// # Errors
///
/// That of a listener which can accept no more. Or that the last [`Drain`](ebbtide::Drain) had been dropped before this ran,
/// so that it has served nobody but who was queued.
///
/// # Cancel safety
///
/// It ends by itself. Dropping it earlier closes the listener and resets what is in its queue; the outcome of a drain that
/// has begun says so. The connections go on.
#[must_use = "futures do nothing unless polled"]
pub struct Serve<R: Runtime, L: Listener<R>, F> {
    accept: Accept<R, L>,
    connection: F,
}

/// How many connections are accepted in one poll. A crowd at the door would otherwise keep those who are in from being
/// served, on runtimes that have no budget of their own for a task.
const BURST: usize = 64;

impl<R: Runtime, L: Listener<R>, F> Serve<R, L, F> {
    /// Accepts from `listener` until the drain of `guard` begins, and spawns `connection` for each with a guard of its
    /// own, for which the drain waits. If `connection` drops it before it returns, the task is waited for instead. A task
    /// that is still there when the drain closes is dropped.
    pub fn new<Fut>(listener: L, guard: Guard, connection: F) -> Self
    where
        R: Spawn<Task<Fut>>,
        F: FnMut(L::Stream, Guard) -> Fut,
        Fut: Future<Output: Ended>,
    {
        Self { accept: Accept::new(listener, guard), connection }
    }

    /// Leaves the listening socket to its other owners when the drain begins: systemd, a parent, a successor, another
    /// accept loop. Accepting stops at once, and what is queued stays for them. Default: the socket is taken for this
    /// loop's own, so what is queued is served.
    ///
    /// Without this other owners of a TCP listener lose their newcomers for a moment, while its queue is emptied; those of
    /// a Unix listener can never accept again, on Linux, because what keeps newcomers out cannot be taken back.
    pub fn shared(mut self) -> Self {
        self.accept.shared();
        self
    }

    /// Says that nobody else has the listening socket: it was bound by this process, and neither cloned nor handed on.
    /// Default: others may have it, so what is done to it for the drain is taken back before it is closed, and a client
    /// that connects in the microsecond between the two is reset.
    ///
    /// If it is not true, the other owners of a TCP listener can never accept again, on Linux.
    pub fn sole_owner(mut self) -> Self {
        self.accept.sole_owner();
        self
    }

    /// Has no more than so many connections at a time, labelled with their peers. What comes meanwhile stays in the
    /// kernel's queue: nothing is lost. When the drain begins those are accepted, so that newcomers are refused at once,
    /// and served one by one as others end. Default: no limit.
    ///
    /// A connection is one for as long as its guard, or a clone of that, is held.
    ///
    /// # Panics
    ///
    /// If `most` is 0: nobody would be served, and a drain would wait for ever for who is queued.
    #[track_caller]
    pub fn max_connections(mut self, most: usize) -> Self {
        self.accept.max_connections(most);
        self
    }

    /// Tells of every error: of accepting, and of connections whose future ended with one, or panicked. Default: nobody is
    /// told of errors that do not end this future.
    ///
    /// A lack of descriptors or memory is met every 10 ms while it lasts, and told once a second. The listener's own
    /// error is told and returned. Clients cause errors of connections as they like, so a log wants a limit. A connection that
    /// a forced close drops ends with none: what it cut is the drain's to tell.
    ///
    /// It is called where connections are accepted and served, which wait for it. A panic of it is caught, and changes
    /// nothing; with `panic = "abort"` it ends the process.
    pub fn on_error(mut self, told: impl Fn(&Failure<'_>) + Send + Sync + 'static) -> Self {
        self.accept.on_error(told);
        self
    }
}

// Nothing in it is pinned where it lies.
impl<R: Runtime, L: Listener<R>, F> Unpin for Serve<R, L, F> {}

impl<R, L, F, Fut> Future for Serve<R, L, F>
where
    R: Spawn<Task<Fut>>,
    L: Listener<R>,
    F: FnMut(L::Stream, Guard) -> Fut,
    Fut: Future<Output: Ended>,
{
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        for _ in 0..BURST {
            let Some((stream, guard)) = ready!(this.accept.poll_next(cx))? else { return Poll::Ready(Ok(())) };
            let (watcher, kept) = (guard.watcher(), guard.clone());
            let future = watcher.until_closed((this.connection)(stream, guard));
            // Whoever writes `|stream, _: Guard|`, or does not move it into the future, has dropped it by now: then the
            // task has one instead, or the first close would cut what it does.
            let is_dropped = kept.is_only();
            let report = this.accept.told().map(|told| Report { told: told.clone(), peer: kept.label().cloned() });
            R::spawn(Task::new(future, is_dropped.then_some(kept), report));
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<R: Runtime, L: Listener<R>, F> fmt::Debug for Serve<R, L, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serve").field("accept", &self.accept).finish_non_exhaustive()
    }
}
