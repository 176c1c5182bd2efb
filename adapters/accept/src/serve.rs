//! `Serve`: the accept loop, with a task for each connection.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ebbtide::Guard;

use crate::accept::Accept;
use crate::hook::Failure;
use crate::runtime::{Listener, Runtime, Spawn};
use crate::task::{Ended, Report, Task};

/// The future of a runtime adapter's `serve`: accepts connections, and spawns a task for each.
///
/// It is ready when the drain has begun and the listener is closed. Connections may still be open: to wait for them, await the
/// drain.
///
/// # Errors
///
/// The error of a listener that can accept no more. Also, if the last [`Drain`](ebbtide::Drain) was dropped before this was
/// first polled, so that only queued connections were served.
///
/// # Cancel safety
///
/// It ends by itself. Dropping it earlier closes the listener and resets the connections in its queue; while draining, the
/// outcome of the drain says so. Connections that were accepted go on.
#[must_use = "futures do nothing unless polled"]
pub struct Serve<R: Runtime, L: Listener<R>, F> {
    accept: Accept<R, L>,
    connection: F,
}

/// How many connections are accepted in one poll. On a runtime without a cooperative budget, a flood of new connections would
/// otherwise keep open ones from being served.
const BURST: usize = 64;

impl<R: Runtime, L: Listener<R>, F> Serve<R, L, F> {
    /// Accepts from `listener` until the drain of `guard` begins, and spawns the future of `connection` for each stream.
    ///
    /// Each connection has a guard of its own, for which the drain waits. If `connection` drops the guard before it returns,
    /// the drain waits for the task instead. A task that is still running when the drain closes is dropped.
    pub fn new<Fut>(listener: L, guard: Guard, connection: F) -> Self
    where
        R: Spawn<Task<Fut>>,
        F: FnMut(L::Stream, Guard) -> Fut,
        Fut: Future<Output: Ended>,
    {
        Self { accept: Accept::new(listener, guard), connection }
    }

    /// Declares that the listening socket has other owners: systemd, a parent, a successor, or another accept loop.
    ///
    /// When the drain begins, accepting stops at once, and queued connections are left to them. By default, queued connections
    /// are accepted and served.
    ///
    /// Without this, on Linux, other owners of a TCP listener get no new connections while the queue is emptied. Other owners of
    /// a Unix listener can never accept again: for these sockets the kernel's refusal cannot be undone.
    pub fn shared(mut self) -> Self {
        self.accept.shared();
        self
    }

    /// Declares that the listening socket has no other owner: it was bound by this process, and neither cloned nor passed on.
    ///
    /// By default the socket is opened for other owners again just before it is closed. A client that connects in the
    /// microsecond between the two is reset; with this setting there is no such moment.
    ///
    /// If the socket does have other owners, those of a TCP listener can never accept again, on Linux.
    pub fn sole_owner(mut self) -> Self {
        self.accept.sole_owner();
        self
    }

    /// Limits the number of open connections. Others wait in the kernel's queue, and none is lost. By default there is no limit.
    ///
    /// When the drain begins, the queued connections are accepted, so that the port can close, and served one by one as others
    /// end. A connection counts for as long as its guard, or a clone of it, is held.
    ///
    /// # Panics
    ///
    /// If `most` is 0: no connection would be served, and a drain would wait for queued ones for ever.
    #[track_caller]
    pub fn max_connections(mut self, most: usize) -> Self {
        self.accept.max_connections(most);
        self
    }

    /// Calls `told` with every error: of accepting, and of connections whose future returned one or panicked.
    ///
    /// By default, errors that do not end this future are ignored. A lack of descriptors or memory is found every 10 ms while
    /// it lasts, and reported once a second. The listener's own error is reported and returned. Clients can cause as many errors
    /// of connections as they like, so limit what you log. A connection that a forced close drops reports none; it is in the
    /// outcome of the drain.
    ///
    /// `told` runs in the accept loop and in the tasks of connections, so it should be short. A panic of it is caught and
    /// ignored; with `panic = "abort"` it ends the process.
    pub fn on_error(mut self, told: impl Fn(&Failure<'_>) + Send + Sync + 'static) -> Self {
        self.accept.on_error(told);
        self
    }
}

// No field is structurally pinned.
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
            // A closure such as `|stream, _: Guard|`, or one that does not move its guard into the future, has dropped it by
            // now. Then the task holds one, or the drain would not wait for the connection.
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
