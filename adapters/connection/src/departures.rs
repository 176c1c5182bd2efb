//! `Departures`: the streams of connections that have left for a successor.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::handshake::Accepted;
use crate::leave::Leave;
use crate::permits::{Permit, Permits};
use ebbtide::Guard;

/// The streams of idle connections of HTTP/1, given up open while the service drains. A successor serves the next request on
/// them. `I` is the stream as the HTTP adapter gets it.
///
/// Nothing leaves before [`begin`](Self::begin) and the start of the drain. Then a connection leaves as soon as it is between
/// two requests, and no byte of the next one was read. It ends without a FIN, and its client notices nothing.
///
/// One in flight leaves after its response, which does not say `Connection: close`. So does one in the middle of a request
/// head. HTTP/2, TLS and upgraded connections do not leave: they drain as they always do.
///
/// The wrapper that lets a connection leave is `Leaving` in `ebbtide-hyper` and `ebbtide-async-h1`. The runtime adapters have
/// `Detach`, which makes a socket of a stream.
///
/// | the stream of a [`Departed`] connection | do |
/// |---|---|
/// | the successor has it, and has said so | drop the `Departed` |
/// | the successor did not take it | [`into_parts`](Departed::into_parts), and serve it again with the guard that was in it |
///
/// A guard goes with each stream, so the drain waits until the successor has it. Only so many streams are on their way at a
/// time. The other connections are served here meanwhile, so no client waits for a long queue. They wait without a limit of
/// their own: if the successor does not go on, call [`end`](Self::end).
///
/// # Examples
///
/// ```
/// use ebbtide::Drain;
/// use ebbtide_connection::Departures;
/// # struct Stream;
/// # async fn give(_: &Stream) -> bool { true }
/// # fn serve_again(_: Stream, _: ebbtide::Guard) {}
/// # async fn hand_over(drain: Drain) {
///
/// let mut departures = Departures::<Stream>::new(64);
/// let exit = departures.exit(); // for the accept loop, and from there for each connection
/// # drop(exit);
///
/// departures.begin(); // the successor is ready
/// let drained = drain.start();
/// while let Some(departed) = departures.next().await {
///     if !give(departed.io()).await {
///         departures.end(); // the successor has failed: from here on, drain as ever
///         let (stream, guard) = departed.into_parts();
///         serve_again(stream, guard);
///     }
/// }
/// # let _ = drained.await;
/// # }
/// ```
pub struct Departures<I> {
    shared: Arc<Shared<I>>,
}

/// The way out for connections: what leaves by it comes out at its [`Departures`]. A clone is the same way.
pub struct Exit<I> {
    shared: Arc<Shared<I>>,
}

struct Shared<I> {
    permits: Arc<Permits>,
    queue: Mutex<Queue<I>>,
}

struct Queue<I> {
    departed: VecDeque<Departed<I>>,
    waker: Option<Waker>,
    /// How many [`Exit`]s there are.
    exits: usize,
    /// Nobody takes them any more.
    is_over: bool,
}

/// A connection that has left: its stream, with nothing read that was not answered, and nothing unwritten.
///
/// It counts as on its way until this is dropped or taken apart. Dropping it closes the stream: without a FIN, if another
/// process has the socket, too.
pub struct Departed<I> {
    // Closed before the drain may end.
    io: I,
    guard: Guard,
    permit: Permit,
}

/// The part of a connection that gives its stream up. It is for authors of an adapter.
///
/// It belongs into the I/O object next to the stream, and [`end`](Self::end) into the object's `Drop`. The engine reads the end
/// of its stream when the connection leaves, and ends, and so the I/O object is dropped.
pub struct Departing<I> {
    exit: Exit<I>,
    leave: Arc<Leave>,
}

impl<I> Departures<I> {
    /// No departures yet. At most `most` streams will be on their way at a time: 64 is a good number.
    ///
    /// # Panics
    ///
    /// If `most` is 0: nothing could ever leave.
    #[must_use]
    #[track_caller]
    pub fn new(most: usize) -> Self {
        assert!(most > 0, "with no stream on its way at a time, no connection could ever leave");
        let queue = Queue { departed: VecDeque::new(), waker: None, exits: 0, is_over: false };
        Self { shared: Arc::new(Shared { permits: Permits::new(most), queue: Mutex::new(queue) }) }
    }

    /// The way out for connections.
    #[must_use]
    pub fn exit(&self) -> Exit<I> {
        Exit::new(&self.shared)
    }

    /// Lets connections leave once they drain. Call it before the drain is started: there is a successor.
    pub fn begin(&self) {
        self.shared.permits.open();
    }

    /// Lets no more connections leave: they drain as without a successor, and their graces begin now.
    ///
    /// Those that have left are still in the queue.
    pub fn end(&self) {
        self.shared.permits.close();
    }

    /// The next connection that has left; `None` once none can follow, since each [`Exit`] and each connection is gone.
    ///
    /// Drop an `Exit` of your own, or this never ends.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any time: no connection is lost.
    pub async fn next(&mut self) -> Option<Departed<I>> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Polls for the next connection that has left: see [`next`](Self::next).
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Departed<I>>> {
        let waker = cx.waker().clone();
        let mut queue = self.shared.queue();
        if let Some(departed) = queue.departed.pop_front() {
            return Poll::Ready(Some(departed));
        }
        if queue.exits == 0 {
            return Poll::Ready(None);
        }
        let old = queue.waker.replace(waker);
        drop(queue);
        // Outside the lock: the drop of a waker runs foreign code.
        drop(old);
        Poll::Pending
    }
}

impl<I> Drop for Departures<I> {
    /// Lets no more connections leave, and closes the streams that nobody has taken.
    fn drop(&mut self) {
        self.end();
        let left = {
            let mut queue = self.shared.queue();
            queue.is_over = true;
            std::mem::take(&mut queue.departed)
        };
        drop(left);
    }
}

impl<I> Exit<I> {
    fn new(shared: &Arc<Shared<I>>) -> Self {
        shared.queue().exits += 1;
        Self { shared: shared.clone() }
    }
}

impl<I> Clone for Exit<I> {
    fn clone(&self) -> Self {
        Self::new(&self.shared)
    }
}

impl<I> Drop for Exit<I> {
    fn drop(&mut self) {
        let waker = {
            let mut queue = self.shared.queue();
            queue.exits -= 1;
            if queue.exits == 0 { queue.waker.take() } else { None }
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<I> Shared<I> {
    fn queue(&self) -> MutexGuard<'_, Queue<I>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, departed: Departed<I>) {
        let (waker, refused) = {
            let mut queue = self.queue();
            if queue.is_over {
                (None, Some(departed))
            } else {
                queue.departed.push_back(departed);
                (queue.waker.take(), None)
            }
        };
        drop(refused);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<I> Departing<I> {
    /// The connection of this guard may leave by this exit. Serve it with the [`Accepted`] that is returned.
    pub fn new(guard: impl Into<Accepted>, exit: &Exit<I>) -> (Self, Accepted) {
        let leave = Arc::new(Leave::new(exit.shared.permits.clone()));
        let accepted = Accepted { leave: Some(leave.clone()), ..guard.into() };
        (Self { exit: exit.clone(), leave }, accepted)
    }

    /// Reports that the I/O object is dropped. If the connection has left, its stream comes out at the [`Departures`].
    pub fn end(&self, io: I) {
        if let Some((guard, permit)) = self.leave.left() {
            self.exit.shared.push(Departed { io, guard, permit });
        }
    }
}

impl<I> Departed<I> {
    /// The stream.
    pub fn io(&self) -> &I {
        &self.io
    }

    /// The guard that goes with it: the drain waits for it. Its label is that of the connection.
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// Converts the stream, for example into a socket of the standard library.
    ///
    /// # Errors
    ///
    /// Those of `convert`. The stream is closed then, if `convert` has it dropped.
    pub fn try_map<J>(self, convert: impl FnOnce(I) -> io::Result<J>) -> io::Result<Departed<J>> {
        let Self { io, guard, permit } = self;
        Ok(Departed { io: convert(io)?, guard, permit })
    }

    /// Takes the stream back, with its guard, and lets another connection leave in its place.
    ///
    /// Serve it again with this guard, and it drains like a connection that was just accepted. A request that comes within
    /// [`Bounds::silent`](crate::Bounds::silent) is answered, and then it is closed.
    pub fn into_parts(self) -> (I, Guard) {
        (self.io, self.guard)
    }
}

impl<I> fmt::Debug for Departures<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let queued = self.shared.queue().departed.len();
        f.debug_struct("Departures").field("is_open", &self.shared.permits.is_open()).field("queued", &queued).finish()
    }
}

impl<I> fmt::Debug for Exit<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exit").field("is_open", &self.shared.permits.is_open()).finish()
    }
}

impl<I> fmt::Debug for Departed<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Departed").field("guard", &self.guard).finish_non_exhaustive()
    }
}

impl<I> fmt::Debug for Departing<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Departing").field("exit", &self.exit).finish_non_exhaustive()
    }
}
