//! A connection that says goodbye by itself.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ebbtide::Watcher;
use futures_core::Stream;
use futures_sink::Sink;

use crate::error::Error;

/// How long messages that were under way when the drain began are still listened for.
const LAST_WORDS: Duration = Duration::from_millis(20);
/// How long the whole of a goodbye may take, if nobody says otherwise.
const FAREWELL: Duration = Duration::from_secs(5);

/// A WebSocket, or another stream and sink of messages, that says goodbye by itself once the drain begins.
///
/// Read and write it in one task, as the one inside; with `select!`, if the two are to wait side by side. Do not `split` it:
/// of two tasks only the one that polled it last hears of the drain. When the drain begins, then
///
/// 1. messages still come for 20 ms, since they may have been under way, and what you write in answer is written;
/// 2. the goodbye is written: a close frame with 1001, going away (RFC 6455, section 7.4.1), or 1012, service restart;
/// 3. the peer's own is awaited;
/// 4. the stream ends, and whoever writes is told that it is [over](Error::Over).
///
/// All of it takes no longer than a bound, 5 s by default, counted from the first poll after the drain has begun. That holds for your
/// writes too: one that a peer does not read fails then, as [late](Error::Late). Drop the socket when the
/// stream has ended: what holds up the drain is in the connection.
///
/// It acts when it is polled, by a read or a write. After a message was read, writes are answers to it until the next
/// read, and so go before the goodbye. A handler that only writes says goodbye by its first write after the 20 ms. One
/// that has read a message and never reads again says none, and its writes fail after the bound.
///
/// # Cancel safety
///
/// As safe as the socket inside: what it does by itself is kept in it, not in the futures of its methods.
///
/// # Examples
///
/// See the [crate's](crate).
pub struct Goodbye<S, M, T, F> {
    socket: S,
    /// Until it is said.
    last: Option<M>,
    watcher: Watcher,
    timer: T,
    bound: Duration,
    /// When the bound is over; once the drain has begun.
    bounded: Option<Pin<Box<F>>>,
    step: Step<F>,
    /// A message was handed out, and not yet another one asked for.
    owes: bool,
}

enum Step<F> {
    Open,
    LastWords(Pin<Box<F>>),
    /// To be written.
    Saying,
    /// Written, maybe not yet sent.
    Said,
    Over,
}

impl<S, M, T, F> Goodbye<S, M, T, F>
where
    T: Fn(Duration) -> F,
    F: Future,
{
    /// A socket that says `goodbye` when the watcher's drain begins. `timer` is the runtime's sleep: `tokio::time::sleep`,
    /// `smol::Timer::after`.
    pub fn new(socket: S, goodbye: M, watcher: Watcher, timer: T) -> Self {
        let last = Some(goodbye);
        Self { socket, last, watcher, timer, bound: FAREWELL, bounded: None, step: Step::Open, owes: false }
    }

    /// Takes no longer than this after the drain began.
    pub fn bound(mut self, bound: Duration) -> Self {
        self.bound = bound;
        self
    }
}

impl<S, M, E, T, F> Goodbye<S, M, T, F>
where
    S: Stream<Item = Result<M, E>> + Sink<M, Error = E> + Unpin,
    T: Fn(Duration) -> F,
    F: Future,
{
    /// The next message; `None` at the end, which is also that of a goodbye.
    ///
    /// # Errors
    ///
    /// Those of the socket.
    pub async fn recv(&mut self) -> Option<Result<M, E>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// Sends a message.
    ///
    /// # Errors
    ///
    /// Those of the socket, and that the goodbye was said.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it may have sent the message or not.
    pub async fn send(&mut self, message: M) -> Result<(), Error<E>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_ready(cx)).await?;
        Pin::new(&mut *self).start_send(message)?;
        poll_fn(|cx| Pin::new(&mut *self).poll_flush(cx)).await
    }

    /// Takes the steps that need nothing of the peer. Returns whether time is up, or everything done.
    fn poll_over(&mut self, cx: &mut Context<'_>) -> bool {
        if matches!(self.step, Step::Open) && Pin::new(&mut self.watcher).poll(cx).is_ready() {
            self.bounded = Some(Box::pin((self.timer)(self.bound)));
            self.step = Step::LastWords(Box::pin((self.timer)(LAST_WORDS.min(self.bound))));
        }
        if self.bounded.as_mut().is_some_and(|it| it.as_mut().poll(cx).is_ready()) {
            self.bounded = None;
            self.step = Step::Over;
        }
        matches!(self.step, Step::Over)
    }

    /// What a write is told then.
    fn over(&self) -> Error<E> {
        if self.bounded.is_some() { Error::Over } else { Error::Late }
    }

    /// Whether it is time to say goodbye, since nobody is owed an answer and the last words are over.
    fn poll_leaving(&mut self, cx: &mut Context<'_>) -> bool {
        if let Step::LastWords(timer) = &mut self.step {
            if !self.owes && timer.as_mut().poll(cx).is_ready() {
                self.step = Step::Saying;
            }
        }
        matches!(self.step, Step::Saying | Step::Said)
    }

    /// Says goodbye, and waits for the peer's.
    fn poll_leave(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if matches!(self.step, Step::Saying) {
            let mut written = ready!(Pin::new(&mut self.socket).poll_ready(cx));
            if let (Ok(()), Some(goodbye)) = (&written, self.last.take()) {
                written = Pin::new(&mut self.socket).start_send(goodbye);
            }
            // An error is one of the connection: the peer closed first, or is gone.
            self.step = if written.is_ok() { Step::Said } else { Step::Over };
        }
        if matches!(self.step, Step::Said) {
            // Reading goes on while the goodbye waits: a peer may have to be rid of its messages before it reads.
            let _ = Pin::new(&mut self.socket).poll_flush(cx);
            if let Some(Ok(_)) = ready!(Pin::new(&mut self.socket).poll_next(cx)) {
                // One at a time, so that one who sends without a pause does not get around the bound.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        self.step = Step::Over;
        Poll::Ready(())
    }
}

impl<S, M, E, T, F> Stream for Goodbye<S, M, T, F>
where
    S: Stream<Item = Result<M, E>> + Sink<M, Error = E> + Unpin,
    T: Fn(Duration) -> F,
    F: Future,
{
    type Item = Result<M, E>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        this.owes = false;
        if this.poll_over(cx) {
            return Poll::Ready(None);
        }
        if this.poll_leaving(cx) {
            return this.poll_leave(cx).map(|()| None);
        }
        let next = ready!(Pin::new(&mut this.socket).poll_next(cx));
        this.owes = true;
        Poll::Ready(next)
    }
}

impl<S, M, E, T, F> Sink<M> for Goodbye<S, M, T, F>
where
    S: Stream<Item = Result<M, E>> + Sink<M, Error = E> + Unpin,
    T: Fn(Duration) -> F,
    F: Future,
{
    type Error = Error<E>;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error<E>>> {
        let this = self.get_mut();
        if this.poll_over(cx) {
            return Poll::Ready(Err(this.over()));
        }
        if this.poll_leaving(cx) {
            return this.poll_leave(cx).map(|()| Err(Error::Over));
        }
        Pin::new(&mut this.socket).poll_ready(cx).map_err(Error::Socket)
    }

    fn start_send(self: Pin<&mut Self>, message: M) -> Result<(), Error<E>> {
        Pin::new(&mut self.get_mut().socket).start_send(message).map_err(Error::Socket)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error<E>>> {
        let this = self.get_mut();
        if this.poll_over(cx) {
            return Poll::Ready(Err(this.over()));
        }
        Pin::new(&mut this.socket).poll_flush(cx).map_err(Error::Socket)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error<E>>> {
        let this = self.get_mut();
        if this.poll_over(cx) {
            return Poll::Ready(Err(this.over()));
        }
        Pin::new(&mut this.socket).poll_close(cx).map_err(Error::Socket)
    }
}

// Its timers are boxed, the clock is only called, and the goodbye is handed out.
impl<S: Unpin, M, T, F> Unpin for Goodbye<S, M, T, F> {}

impl<S: fmt::Debug, M, T, F> fmt::Debug for Goodbye<S, M, T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Goodbye").field("socket", &self.socket).field("bound", &self.bound).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::task::Waker;

    use ebbtide::Drain;
    use futures_util::StreamExt;

    use super::*;

    type Message = &'static str;
    /// What it says.
    const GOODBYE: Message = "goodbye";

    /// A peer that sends what is in `sends`, and reads or not.
    #[derive(Debug, Default)]
    struct Peer {
        sends: VecDeque<Message>,
        got: Vec<Message>,
        reads: bool,
        left: bool,
    }

    impl Stream for Peer {
        type Item = Result<Message, Infallible>;

        fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            match self.sends.pop_front() {
                Some(message) => Poll::Ready(Some(Ok(message))),
                None if self.left => Poll::Ready(None),
                None => Poll::Pending,
            }
        }
    }

    impl Sink<Message> for Peer {
        type Error = Infallible;

        fn poll_ready(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            if self.reads { Poll::Ready(Ok(())) } else { Poll::Pending }
        }

        fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), Infallible> {
            self.got.push(message);
            Ok(())
        }

        fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            self.poll_ready(cx)
        }

        fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            self.poll_ready(cx)
        }
    }

    type Timer = Pin<Box<dyn Future<Output = ()>>>;
    type Clock = Box<dyn Fn(Duration) -> Timer>;

    /// A drain, a clock in milliseconds that stands until it is set, and a socket with a bound of 5 s.
    fn open() -> (Drain, Arc<AtomicU64>, Goodbye<Peer, Message, Clock, Timer>) {
        let (drain, clock) = (Drain::new(), Arc::<AtomicU64>::default());
        let time = clock.clone();
        let timer: Clock = Box::new(move |bound| {
            let time = time.clone();
            let until = u128::from(time.load(Ordering::SeqCst)) + bound.as_millis();
            Box::pin(poll_fn(move |_| {
                if u128::from(time.load(Ordering::SeqCst)) >= until { Poll::Ready(()) } else { Poll::Pending }
            }))
        });
        let peer = Peer { reads: true, ..Peer::default() };
        let socket = Goodbye::new(peer, GOODBYE, drain.watcher(), timer);
        (drain, clock, socket)
    }

    fn once<F: Future>(future: F) -> Poll<F::Output> {
        pin!(future).poll(&mut Context::from_waker(Waker::noop()))
    }

    fn goodbyes(peer: &Peer) -> usize {
        peer.got.iter().filter(|it| **it == GOODBYE).count()
    }

    #[test]
    fn what_crossed_the_news_is_answered_before_the_goodbye() {
        let (drain, clock, mut socket) = open();
        assert!(once(socket.next()).is_pending());
        drop(drain.start());
        assert!(once(socket.next()).is_pending());
        socket.socket.sends.push_back("last");
        let Poll::Ready(Some(Ok(message))) = once(socket.next()) else { panic!("it was received") };
        // The answer takes longer than the last words.
        clock.store(1000, Ordering::SeqCst);
        assert!(matches!(once(socket.send(message)), Poll::Ready(Ok(()))));
        assert!(once(socket.next()).is_pending());
        assert_eq!(socket.socket.got[0], "last");
        assert_eq!((socket.socket.got.len(), goodbyes(&socket.socket)), (2, 1));
    }

    #[test]
    fn the_peers_close_ends_it_and_is_waited_for() {
        let (drain, clock, mut socket) = open();
        drop(drain.start());
        assert!(once(socket.next()).is_pending());
        clock.store(20, Ordering::SeqCst);
        assert!(once(socket.next()).is_pending());
        assert_eq!(goodbyes(&socket.socket), 1);
        clock.store(4999, Ordering::SeqCst);
        socket.socket.sends.push_back("late");
        assert!(once(socket.next()).is_pending(), "what comes behind the goodbye is nobody's");
        socket.socket.left = true;
        assert!(matches!(once(socket.next()), Poll::Ready(None)));
        assert!(matches!(once(socket.send("late")), Poll::Ready(Err(Error::Over))));
    }

    #[test]
    fn a_peer_that_does_not_answer_is_waited_for_no_longer_than_the_bound() {
        let (drain, clock, mut socket) = open();
        drop(drain.start());
        assert!(once(socket.next()).is_pending());
        clock.store(4999, Ordering::SeqCst);
        assert!(once(socket.next()).is_pending());
        clock.store(5000, Ordering::SeqCst);
        assert!(matches!(once(socket.next()), Poll::Ready(None)));
    }

    #[test]
    fn a_write_that_the_peer_does_not_read_fails_at_the_bound() {
        let (drain, clock, mut socket) = open();
        socket.socket.sends.push_back("much");
        assert!(once(socket.next()).is_ready());
        socket.socket.reads = false;
        assert!(once(socket.send("answer")).is_pending());
        drop(drain.start());
        assert!(once(socket.send("answer")).is_pending());
        clock.store(5000, Ordering::SeqCst);
        assert!(matches!(once(socket.send("answer")), Poll::Ready(Err(Error::Late))));
        assert!(matches!(once(socket.next()), Poll::Ready(None)));
    }

    #[test]
    fn a_goodbye_that_the_peer_does_not_read_gives_up_at_the_bound() {
        let (drain, clock, mut socket) = open();
        socket.socket.reads = false;
        drop(drain.start());
        assert!(once(socket.next()).is_pending());
        clock.store(100, Ordering::SeqCst);
        assert!(once(socket.next()).is_pending());
        clock.store(5000, Ordering::SeqCst);
        assert!(matches!(once(socket.next()), Poll::Ready(None)));
        assert_eq!(goodbyes(&socket.socket), 0, "nothing is written when the bound is over");
    }

    #[test]
    fn one_who_only_writes_says_goodbye_too() {
        let (drain, clock, mut socket) = open();
        assert!(matches!(once(socket.send("tick")), Poll::Ready(Ok(()))));
        drop(drain.start());
        assert!(matches!(once(socket.send("tick")), Poll::Ready(Ok(()))));
        clock.store(20, Ordering::SeqCst);
        assert!(once(socket.send("tick")).is_pending());
        assert_eq!((socket.socket.got.len(), goodbyes(&socket.socket)), (3, 1));
        socket.socket.left = true;
        assert!(matches!(once(socket.send("tick")), Poll::Ready(Err(Error::Over))));
    }
}
