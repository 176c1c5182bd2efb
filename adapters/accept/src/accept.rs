//! The loop.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ebbtide::{Cause, Closed, Guard, State, Watcher};
use ebbtide_socket::Peer;

use crate::emptying::Emptying;
use crate::error_kind::AcceptErrorKind;
use crate::hook::{Failure, Hook, Told};
use crate::permits::Permits;
use crate::queue::Socket;

/// A runtime, as far as accepting needs it: its clock. Also what makes a [`Listener`] of a foreign type its adapter's
/// own.
pub trait Runtime {
    /// The runtime's sleep.
    type Sleep: Future;

    /// Sleeps.
    fn sleep(time: Duration) -> Self::Sleep;
}

/// A runtime that runs tasks of this type: those that are `Send`, or, if a task stays on its thread, all.
pub trait Spawn<T>: Runtime {
    /// Runs a task in the background, to its end.
    fn spawn(task: T);
}

/// A listener of the runtime `R`.
pub trait Listener<R>: Unpin {
    /// What it accepts.
    type Stream;
    /// What it is underneath.
    type Socket: Socket;

    /// Accepts the next connection.
    ///
    /// # Errors
    ///
    /// Those of `accept`; [`AcceptErrorKind`] tells them apart.
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Self::Stream>>;

    /// Leaves the runtime.
    ///
    /// # Errors
    ///
    /// Those of the runtime's reactor.
    fn into_socket(self) -> io::Result<Self::Socket>;

    /// Who is at the other end.
    fn peer(stream: &Self::Stream) -> Peer;

    /// Takes a connection into the runtime.
    ///
    /// # Errors
    ///
    /// Those of the runtime's reactor.
    fn adopt(stream: <Self::Socket as Socket>::Stream) -> io::Result<Self::Stream>;
}

/// A connection with its guard, or `None` at the end.
pub type Accepted<S> = io::Result<Option<(S, Guard)>>;

/// The connections of a listener, each with its guard, until the drain has begun and the queue is empty.
///
/// # Cancel safety
///
/// Dropping it closes the listener and resets what is in its queue. Before the end, in a drain that has begun, the guard is
/// [given up](Guard::give_up): the outcome of the drain says what was lost.
pub struct Accept<R: Runtime, L: Listener<R>> {
    source: Source<R, L>,
    guard: Option<Guard>,
    draining: Watcher,
    closed: Closed,
    pause: Option<Pin<Box<R::Sleep>>>,
    owners: Owners,
    permits: Option<Permits>,
    hook: Hook,
    /// Whether it was ever polled before the drain began.
    has_run: bool,
}

/// Who has the listening socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owners {
    Unknown,
    This,
    More,
}

enum Source<R: Runtime, L: Listener<R>> {
    Listening(L),
    Emptying(Emptying<R, L::Socket>),
    Over,
}

/// How long to wait for descriptors or memory. Short, since a connection that ends frees both; long enough to cost
/// nothing.
pub(crate) const PAUSE: Duration = Duration::from_millis(10);

impl<R: Runtime, L: Listener<R>> Accept<R, L> {
    /// Accepts from `listener` until the drain of `guard` begins.
    pub fn new(listener: L, guard: Guard) -> Self {
        let draining = guard.watcher();
        Self {
            source: Source::Listening(listener),
            closed: draining.closed(),
            draining,
            guard: Some(guard),
            pause: None,
            owners: Owners::Unknown,
            permits: None,
            hook: Hook::default(),
            has_run: false,
        }
    }

    /// Leaves the listening socket, and what is queued in it, to its other owners when the drain begins.
    pub fn shared(&mut self) {
        self.owners = Owners::More;
    }

    /// Says that nobody else has the listening socket.
    pub fn sole_owner(&mut self) {
        self.owners = Owners::This;
    }

    /// Has no more than so many connections at a time, labelled with their peers. What comes meanwhile stays in the
    /// kernel's queue. When the drain begins it is accepted, so that the port can close, and handed out one by one.
    ///
    /// A connection is one for as long as a guard with its label is held.
    ///
    /// # Panics
    ///
    /// If `most` is 0: nobody would be served, and a drain would wait for ever for who is queued.
    #[track_caller]
    pub fn max_connections(&mut self, most: usize) {
        assert!(most > 0, "a limit of 0 connections would serve nobody, and its drain would never end");
        self.permits = Some(Permits::new(most));
    }

    /// Tells of every error of accepting, with what is done about it.
    pub fn on_error(&mut self, told: impl Fn(&Failure<'_>) + Send + Sync + 'static) {
        self.hook = Hook::new(told);
    }

    pub(crate) fn told(&self) -> Option<&Told> {
        self.hook.told()
    }

    /// The next connection with its guard; `None` once the listener has closed behind the last one.
    ///
    /// # Errors
    ///
    /// That of a listener which can accept no more; nothing comes after it. Or, behind the last connection, that the last
    /// [`Drain`](ebbtide::Drain) had been dropped before this was polled.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Accepted<L::Stream>> {
        self.has_run |= self.draining.state() == State::Running;
        loop {
            if self.guard.is_none() {
                return Poll::Ready(Ok(None));
            }
            if Pin::new(&mut self.closed).poll(cx).is_ready() {
                return self.over(None);
            }
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            if self.is_leaving(cx) {
                if let Err(error) = self.leave() {
                    return self.over(Some(error));
                }
            }
            if let Source::Emptying(emptying) = &mut self.source {
                // Whoever waits for a permit, newcomers are not to wait for that.
                emptying.poll(cx, &mut self.hook);
                if emptying.is_over() {
                    let failure = emptying.failure();
                    return self.over(failure);
                }
            }
            if let Some(permits) = &self.permits {
                ready!(permits.poll_free(cx));
            }
            let accepted = match &mut self.source {
                Source::Over => return self.over(None),
                Source::Listening(listener) => ready!(listener.poll_accept(cx)),
                Source::Emptying(emptying) => {
                    let Some(stream) = emptying.pop() else { return Poll::Pending };
                    L::adopt(stream)
                }
            };
            let error = match accepted {
                Ok(stream) => {
                    let guard = self.guard_for(&stream);
                    return Poll::Ready(Ok(guard.map(|guard| (stream, guard))));
                }
                Err(error) => error,
            };
            match AcceptErrorKind::of(&error) {
                AcceptErrorKind::Connection => self.hook.tell(&error),
                AcceptErrorKind::Exhaustion => {
                    self.hook.tell(&error);
                    self.pause = Some(Box::pin(R::sleep(PAUSE)));
                }
                AcceptErrorKind::Listener => return self.over(Some(error)),
            }
        }
    }

    fn guard_for(&self, stream: &L::Stream) -> Option<Guard> {
        let peer = L::peer(stream);
        let peer = match &self.permits {
            Some(permits) => peer.keeping(permits.take()),
            None => peer,
        };
        Some(self.guard.as_ref()?.labelled(peer.into_label()))
    }

    /// Whether it is still listening though the drain has begun.
    fn is_leaving(&mut self, cx: &mut Context<'_>) -> bool {
        matches!(self.source, Source::Listening(_)) && Pin::new(&mut self.draining).poll(cx).is_ready()
    }

    fn leave(&mut self) -> io::Result<()> {
        if let Source::Listening(listener) = std::mem::replace(&mut self.source, Source::Over) {
            if self.owners != Owners::More {
                self.source = Source::Emptying(Emptying::new(
                    listener.into_socket()?,
                    self.owners == Owners::This,
                    &mut self.hook,
                ));
            }
        }
        Ok(())
    }

    fn over(&mut self, error: Option<io::Error>) -> Poll<Accepted<L::Stream>> {
        if let Some(error) = &error {
            self.hook.tell(error);
        }
        // The listener before the guard: whoever sees the drain closed sees the port closed.
        self.source = Source::Over;
        self.guard = None;
        Poll::Ready(error.or_else(|| self.never_ran()).map_or(Ok(None), Err))
    }

    /// What a program is told that would end at once, and well, as far as it knows.
    fn never_ran(&self) -> Option<io::Error> {
        let dropped = !self.has_run && self.draining.cause() == Some(Cause::Dropped);
        dropped
            .then(|| io::Error::other("nothing was served: the last `Drain` had been dropped, which starts the drain"))
    }
}

impl<R: Runtime, L: Listener<R>> Drop for Accept<R, L> {
    fn drop(&mut self) {
        let is_over = match &self.source {
            Source::Listening(_) => false,
            Source::Emptying(emptying) => emptying.is_over(),
            Source::Over => true,
        };
        self.source = Source::Over;
        let Some(guard) = self.guard.take() else { return };
        // A shared listener's queue is somebody else's; and while the service runs, to close a listener is nobody's loss
        // but its clients', which `give_up` knows.
        if !is_over && self.owners != Owners::More {
            guard.labelled(DROPPED).give_up();
        }
    }
}

/// What the outcome of the drain says of a loop that was dropped before its end.
const DROPPED: &str = "an accept loop that was dropped with its queue; await it instead, it ends by itself";

impl<R: Runtime, L: Listener<R>> fmt::Debug for Accept<R, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match self.source {
            Source::Listening(_) => "listening",
            Source::Emptying(_) => "emptying",
            Source::Over => "over",
        };
        f.debug_struct("Accept").field("source", &source).finish_non_exhaustive()
    }
}
