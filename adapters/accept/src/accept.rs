//! `Accept`: the accept loop, which yields connections with their guards.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ebbtide::{Cause, Closed, Guard, State, Watcher};

use crate::emptying::Emptying;
use crate::error_kind::AcceptErrorKind;
use crate::hook::{Failure, Hook, Told};
use crate::permits::Permits;
use crate::runtime::{Listener, PAUSE, Runtime};

/// The output of [`Accept::poll_next`]: a connection with its guard, or `None` at the end.
pub type Accepted<S> = io::Result<Option<(S, Guard)>>;

/// An accept loop: yields the connections of a listener, each with a guard, until the drain has begun and the queue is empty.
///
/// # Cancel safety
///
/// Dropping it closes the listener and resets the connections in its queue. If it is dropped before its end while draining,
/// its guard is [given up](Guard::give_up): the outcome of the drain says so.
pub struct Accept<R: Runtime, L: Listener<R>> {
    source: Source<R, L>,
    guard: Option<Guard>,
    draining: Watcher,
    closed: Closed,
    pause: Option<Pin<Box<R::Sleep>>>,
    owners: Owners,
    permits: Option<Permits>,
    hook: Hook,
    /// Whether it was polled before the drain began.
    has_run: bool,
}

/// Whether other processes or loops have the listening socket, too.
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

    /// Declares that the listening socket has other owners: when the drain begins, its queue is left to them.
    pub fn shared(&mut self) {
        self.owners = Owners::More;
    }

    /// Declares that the listening socket has no other owner.
    pub fn sole_owner(&mut self) {
        self.owners = Owners::This;
    }

    /// Limits the number of open connections. Others wait in the kernel's queue.
    ///
    /// When the drain begins, these are accepted, so that the port can close, and handed out one by one. A connection counts
    /// for as long as a guard with its label is held.
    ///
    /// # Panics
    ///
    /// If `most` is 0: no connection would be served, and a drain would wait for queued ones for ever.
    #[track_caller]
    pub fn max_connections(&mut self, most: usize) {
        assert!(most > 0, "a limit of 0 connections would serve nobody, and its drain would never end");
        self.permits = Some(Permits::new(most));
    }

    /// Calls `told` with every error of `accept`.
    pub fn on_error(&mut self, told: impl Fn(&Failure<'_>) + Send + Sync + 'static) {
        self.hook = Hook::new(told);
    }

    pub(crate) fn told(&self) -> Option<&Told> {
        self.hook.told()
    }

    /// The next connection with its guard; `None` once the listener has closed and the last connection was returned.
    ///
    /// # Errors
    ///
    /// [`AcceptErrorKind::Listener`]: the listener can accept no more, and this is the end. Also, after the last connection, if
    /// the last [`Drain`](ebbtide::Drain) was dropped before this was first polled.
    ///
    /// # Cancel safety
    ///
    /// It may stop being polled at any time: no connection is lost between two calls.
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
                // Polled before the permits: new clients must not wait for those.
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

    /// Whether the drain has begun and the socket is still that of a running service.
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
        // The listener before the guard: when the drain is closed, the port is closed.
        self.source = Source::Over;
        self.guard = None;
        Poll::Ready(error.or_else(|| self.never_ran()).map_or(Ok(None), Err))
    }

    /// The error if the loop never ran, which would otherwise look like a clean end.
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
        // The queue of a shared listener is left to its other owners. While the service runs, `give_up` does nothing.
        if !is_over && self.owners != Owners::More {
            guard.labelled(DROPPED).give_up();
        }
    }
}

/// The label in the outcome of a drain whose accept loop was dropped before its end.
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
