//! `Emptying`: a listener between the beginning of the drain and its close.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use crate::error_kind::AcceptErrorKind;
use crate::hook::Hook;
use crate::queue::{Coming, Queue, Socket};
use crate::runtime::{PAUSE, Runtime};

/// Accepts the queue of a listener, and waits for handshakes that are under way.
pub(crate) struct Emptying<R: Runtime, L: Socket> {
    queue: Queue<L>,
    /// When to check again; `None` once the listener has closed.
    next: Option<Sleep<R>>,
    /// The limit of the wait, from when a handshake was first seen.
    bound: Option<Sleep<R>>,
    failed: Option<io::Error>,
}

type Sleep<R> = Pin<Box<<R as Runtime>::Sleep>>;

/// How long to wait for handshakes that are under way.
///
/// Each takes a round trip after the kernel has answered its SYN. That is 300 ms between the most distant places on Earth, some
/// more on a crowded link. A client repeats a SYN that was dropped after one second (RFC 6298, section 2.1). This is less, so
/// the first repetition is refused. A packet that was lost is repeated after a second, too, and is not waited for. It could
/// not be told from a SYN flood any sooner.
const HANDSHAKE: Duration = Duration::from_millis(500);
/// The same if the kernel does not tell whether there are any: as long as the grace of an idle connection.
const GRACE: Duration = Duration::from_millis(100);
/// The time between two checks, by which the first byte of a client may be delayed.
const TICK: Duration = Duration::from_millis(4);

impl<R: Runtime, L: Socket> Emptying<R, L> {
    /// Accepts what is queued, and refuses new connections.
    pub(crate) fn new(socket: L, alone: bool, hook: &mut Hook) -> Self {
        let mut this =
            Self { queue: Queue::new(socket, alone, |error| hook.tell(&error)), next: None, bound: None, failed: None };
        this.look(hook, false);
        this
    }

    /// Accepts what has come, and closes the port when no handshake is under way. It also wakes when there is a connection to
    /// [pop](Self::pop).
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, hook: &mut Hook) {
        while let Some(next) = &mut self.next {
            let is_time_up = self.bound.as_mut().is_some_and(|it| it.as_mut().poll(cx).is_ready());
            if !is_time_up && next.as_mut().poll(cx).is_pending() {
                return;
            }
            self.look(hook, is_time_up);
        }
    }

    /// Checks once more, and sets the next timers or closes the port.
    fn look(&mut self, hook: &mut Hook, is_time_up: bool) {
        // Asked before the queue is accepted: a handshake that has completed by now is in the queue then.
        let coming = if is_time_up { Coming::Nobody } else { self.queue.coming() };
        let bound = match (self.queue.look(|error| hook.tell(&error)), coming) {
            (Ok(()), Coming::Nobody) => return self.close(),
            (Ok(()), Coming::Somebody) => HANDSHAKE,
            (Ok(()), Coming::Perhaps) => GRACE,
            (Err(error), _) if AcceptErrorKind::of(&error) == AcceptErrorKind::Exhaustion => {
                hook.tell(&error);
                // A connection is queued, and there is no descriptor for it: wait without a limit.
                (self.next, self.bound) = (Some(Box::pin(R::sleep(PAUSE))), None);
                return;
            }
            (Err(error), _) => {
                self.failed = Some(error);
                return self.close();
            }
        };
        self.next = Some(Box::pin(R::sleep(TICK)));
        self.bound.get_or_insert_with(|| Box::pin(R::sleep(bound)));
    }

    fn close(&mut self) {
        self.queue.close();
        (self.next, self.bound) = (None, None);
    }

    /// The next connection.
    pub(crate) fn pop(&mut self) -> Option<L::Stream> {
        self.queue.pop()
    }

    /// Whether the port is closed and no connection is left.
    pub(crate) fn is_over(&self) -> bool {
        self.next.is_none() && self.queue.is_empty()
    }

    /// The error by which the listener failed before its close, if it did.
    pub(crate) fn failure(&mut self) -> Option<io::Error> {
        self.failed.take()
    }
}

impl<R: Runtime, L: Socket> fmt::Debug for Emptying<R, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emptying").field("is_closed", &self.next.is_none()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::future::PollFn;
    use std::rc::Rc;
    use std::task::{Poll, Waker};

    use ebbtide_socket::Peer;

    use super::*;
    use crate::accept::Accept;
    use crate::runtime::Listener;

    thread_local!(static NOW: Cell<Duration> = const { Cell::new(Duration::ZERO) });

    /// A runtime with a clock that the test advances.
    enum Virtual {}

    impl Runtime for Virtual {
        type Sleep = PollFn<Box<dyn FnMut(&mut Context<'_>) -> Poll<()>>>;

        fn sleep(time: Duration) -> Self::Sleep {
            let end = NOW.get() + time;
            std::future::poll_fn(Box::new(move |_| if NOW.get() >= end { Poll::Ready(()) } else { Poll::Pending }))
        }
    }

    /// The kernel's side of a listener.
    #[derive(Clone, Default)]
    struct Kernel {
        half_open: Rc<Cell<Option<usize>>>,
        queued: Rc<RefCell<Vec<io::Result<u8>>>>,
        is_open: Rc<()>,
    }

    impl Socket for Kernel {
        type Stream = u8;

        fn accept(&self) -> io::Result<u8> {
            self.queued.borrow_mut().pop().unwrap_or(Err(io::ErrorKind::WouldBlock.into()))
        }

        fn refuse(&self) -> bool {
            true
        }

        fn half_open(&self) -> Option<usize> {
            self.half_open.get()
        }
    }

    impl Kernel {
        fn empty(&self) -> Emptying<Virtual, Self> {
            Emptying::new(self.clone(), false, &mut Hook::default())
        }

        fn is_open(&self) -> bool {
            Rc::strong_count(&self.is_open) > 1
        }

        /// Advances the clock until the port closes, and returns how long that took.
        fn closes_after(&self, emptying: &mut Emptying<Virtual, Self>) -> Duration {
            let begun = NOW.get();
            while self.is_open() {
                NOW.set(NOW.get() + Duration::from_millis(1));
                emptying.poll(&mut Context::from_waker(Waker::noop()), &mut Hook::default());
                assert!(NOW.get() < begun + Duration::from_secs(60), "it never closes");
            }
            NOW.get().saturating_sub(begun)
        }
    }

    #[test]
    fn a_listener_without_handshakes_closes_at_once() {
        let kernel = Kernel::default();
        kernel.half_open.set(Some(0));
        kernel.queued.borrow_mut().push(Ok(7));
        let mut emptying = kernel.empty();
        assert!(!kernel.is_open());
        assert_eq!(emptying.pop(), Some(7));
        assert!(emptying.is_over());
    }

    #[test]
    fn a_client_in_its_handshake_is_accepted_before_the_port_closes() {
        let kernel = Kernel::default();
        kernel.half_open.set(Some(1));
        let mut emptying = kernel.empty();
        assert!(kernel.is_open() && !emptying.is_over());
        NOW.set(NOW.get() + Duration::from_millis(150));
        kernel.half_open.set(Some(0));
        kernel.queued.borrow_mut().push(Ok(7));
        assert!(kernel.closes_after(&mut emptying) <= TICK);
        assert_eq!(emptying.pop(), Some(7));
    }

    #[test]
    fn a_handshake_that_never_completes_is_waited_for_no_longer_than_the_bound() {
        let kernel = Kernel::default();
        kernel.half_open.set(Some(1));
        assert_eq!(kernel.closes_after(&mut kernel.empty()), HANDSHAKE);
        kernel.half_open.set(None);
        assert_eq!(kernel.closes_after(&mut kernel.empty()), GRACE);
    }

    impl Listener<Virtual> for Kernel {
        type Stream = u8;
        type Socket = Self;

        fn poll_accept(&mut self, _: &mut Context<'_>) -> Poll<io::Result<u8>> {
            self.queued.borrow_mut().pop().map_or(Poll::Pending, Poll::Ready)
        }

        fn into_socket(self) -> io::Result<Self> {
            Ok(self)
        }

        fn peer(stream: &u8) -> Peer {
            Peer::named(stream.to_string())
        }

        fn adopt(stream: u8) -> io::Result<u8> {
            Ok(stream)
        }
    }

    #[test]
    fn a_limit_that_is_reached_keeps_no_port_open_and_loses_nobody() {
        let (kernel, drain) = (Kernel::default(), ebbtide::Drain::new());
        let mut cx = Context::from_waker(Waker::noop());
        let mut accept: Accept<Virtual, _> = Accept::new(kernel.clone(), drain.guard().expect("running"));
        accept.max_connections(1);
        kernel.queued.borrow_mut().push(Ok(7));
        let Poll::Ready(Ok(Some((7, first)))) = accept.poll_next(&mut cx) else { panic!("it is accepted") };

        kernel.half_open.set(Some(1));
        drop(drain.start());
        assert!(accept.poll_next(&mut cx).is_pending());
        assert!(kernel.is_open(), "somebody is half way");
        kernel.half_open.set(Some(0));
        kernel.queued.borrow_mut().push(Ok(8));
        NOW.set(NOW.get() + TICK);
        assert!(accept.poll_next(&mut cx).is_pending(), "more than the limit");
        assert!(!kernel.is_open(), "newcomers wait for a permit");
        drop(first);
        assert!(matches!(accept.poll_next(&mut cx), Poll::Ready(Ok(Some((8, _))))));
        assert!(matches!(accept.poll_next(&mut cx), Poll::Ready(Ok(None))));
    }

    #[test]
    fn a_hook_that_panics_ends_neither_the_listener_nor_its_drain() {
        let (kernel, drain) = (Kernel::default(), ebbtide::Drain::new());
        let mut cx = Context::from_waker(Waker::noop());
        let mut accept: Accept<Virtual, _> = Accept::new(kernel.clone(), drain.watcher().guard().expect("running"));
        let (sender, told) = std::sync::mpsc::channel();
        accept.on_error(move |failure| {
            sender.send(failure.to_string()).expect("it is heard");
            panic!("the hook's");
        });
        let gone = || Err(io::ErrorKind::ConnectionAborted.into());
        kernel.queued.borrow_mut().extend([Ok(7), gone()]);
        assert!(matches!(accept.poll_next(&mut cx), Poll::Ready(Ok(Some((7, _))))));
        kernel.half_open.set(Some(0));
        kernel.queued.borrow_mut().extend([Ok(8), gone()]);
        drop(drain.start());
        assert!(matches!(accept.poll_next(&mut cx), Poll::Ready(Ok(Some((8, _))))));
        assert!(matches!(accept.poll_next(&mut cx), Poll::Ready(Ok(None))));
        assert_eq!(told.try_iter().count(), 2);
    }

    #[test]
    fn a_queued_connection_is_waited_for_until_there_is_a_descriptor() {
        let kernel = Kernel::default();
        kernel.half_open.set(Some(0));
        let lack = || Err(io::ErrorKind::OutOfMemory.into());
        kernel.queued.borrow_mut().push(Ok(7));
        kernel.queued.borrow_mut().extend((0..200).map(|_| lack()));
        let mut emptying = kernel.empty();
        assert!(kernel.closes_after(&mut emptying) > HANDSHAKE);
        assert_eq!(emptying.pop(), Some(7));
    }
}
