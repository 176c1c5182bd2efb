//! A WebSocket's goodbye: a handler that reads and writes as ever leaves well, and in bounded time, when the drain begins.
//!
//! It depends on nothing of these examples: a watcher of the drain, a timer, and tungstenite's messages are all.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ebbtide::Watcher;
use futures_util::{FutureExt, Sink, SinkExt, Stream, StreamExt};
use hyper_tungstenite::tungstenite::protocol::CloseFrame;
use hyper_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use hyper_tungstenite::tungstenite::{Error, Message};

/// How long messages that were under way when the drain began are still listened for.
const LAST_WORDS: Duration = Duration::from_millis(20);
/// How long the whole of a goodbye may take, if nobody says otherwise.
const FAREWELL: Duration = Duration::from_secs(5);

/// A WebSocket that says goodbye by itself once the drain begins.
///
/// Read and write it as the one inside. When the drain begins, then
///
/// 1. messages still come for 20 ms, since they may have been under way, and what you write in answer is written;
/// 2. the close frame is written: 1001, going away (RFC 6455, section 7.4.1);
/// 3. the peer's own is awaited;
/// 4. the stream ends, and whoever writes is told that the connection is closed.
///
/// All of it takes no longer than a bound, 5 s by default, counted from the beginning of the drain. That holds for your
/// writes too: one that a peer does not read fails then, with [`io::ErrorKind::TimedOut`]. Drop the socket when the
/// stream has ended: what holds up the drain is in the connection.
///
/// It acts when it is polled, by a read or a write. After a message was read, writes are answers to it until the next
/// read, and so go before the goodbye. A handler that only writes says goodbye by its first write after the 20 ms.
///
/// # Cancel safety
///
/// As safe as the socket inside: what it does by itself is kept in it, not in the futures of its methods.
pub struct Goodbye<S, T, F> {
    socket: S,
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

impl<S, T, F> Goodbye<S, T, F>
where
    S: Stream<Item = Result<Message, Error>> + Sink<Message, Error = Error> + Unpin,
    T: Fn(Duration) -> F,
    F: Future<Output = ()>,
{
    /// A WebSocket that leaves when the watcher's drain begins. `timer` is the runtime's sleep.
    pub fn new(socket: S, watcher: Watcher, timer: T) -> Self {
        Self { socket, watcher, timer, bound: FAREWELL, bounded: None, step: Step::Open, owes: false }
    }

    /// Takes no longer than this after the drain began.
    #[must_use]
    pub fn bound(mut self, bound: Duration) -> Self {
        self.bound = bound;
        self
    }

    /// Takes the steps that need nothing of the peer. Returns whether time is up, or everything done.
    fn poll_over(&mut self, cx: &mut Context<'_>) -> bool {
        if matches!(self.step, Step::Open) && self.watcher.poll_unpin(cx).is_ready() {
            self.bounded = Some(Box::pin((self.timer)(self.bound)));
            self.step = Step::LastWords(Box::pin((self.timer)(LAST_WORDS.min(self.bound))));
        }
        if self.bounded.as_mut().is_some_and(|it| it.poll_unpin(cx).is_ready()) {
            self.bounded = None;
            self.step = Step::Over;
        }
        matches!(self.step, Step::Over)
    }

    /// What a write is told then.
    fn over(&self) -> Error {
        match &self.bounded {
            Some(_) => Error::ConnectionClosed,
            None => Error::Io(io::Error::new(io::ErrorKind::TimedOut, "the peer did not read its goodbye in time")),
        }
    }

    /// Whether it is time to say goodbye, since nobody is owed an answer and the last words are over.
    fn poll_leaving(&mut self, cx: &mut Context<'_>) -> bool {
        if let Step::LastWords(timer) = &mut self.step {
            if !self.owes && timer.poll_unpin(cx).is_ready() {
                self.step = Step::Saying;
            }
        }
        matches!(self.step, Step::Saying | Step::Said)
    }

    /// Says goodbye, and waits for the peer's.
    fn poll_leave(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if matches!(self.step, Step::Saying) {
            let away = Message::Close(Some(CloseFrame { code: CloseCode::Away, reason: "draining".into() }));
            let written = ready!(self.socket.poll_ready_unpin(cx)).and_then(|()| self.socket.start_send_unpin(away));
            // An error is one of the connection: the peer closed first, or is gone.
            self.step = if written.is_ok() { Step::Said } else { Step::Over };
        }
        if matches!(self.step, Step::Said) {
            // Reading goes on while the close frame waits: a peer may have to be rid of its messages before it reads.
            let _ = self.socket.poll_flush_unpin(cx);
            if let Some(Ok(_)) = ready!(self.socket.poll_next_unpin(cx)) {
                // One at a time, so that one who sends without a pause does not get around the bound.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        self.step = Step::Over;
        Poll::Ready(())
    }
}

impl<S, T, F> Stream for Goodbye<S, T, F>
where
    S: Stream<Item = Result<Message, Error>> + Sink<Message, Error = Error> + Unpin,
    T: Fn(Duration) -> F,
    F: Future<Output = ()>,
{
    type Item = Result<Message, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        this.owes = false;
        if this.poll_over(cx) {
            return Poll::Ready(None);
        }
        if this.poll_leaving(cx) {
            return this.poll_leave(cx).map(|()| None);
        }
        let next = ready!(this.socket.poll_next_unpin(cx));
        this.owes = true;
        Poll::Ready(next)
    }
}

impl<S, T, F> Sink<Message> for Goodbye<S, T, F>
where
    S: Stream<Item = Result<Message, Error>> + Sink<Message, Error = Error> + Unpin,
    T: Fn(Duration) -> F,
    F: Future<Output = ()>,
{
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let this = self.get_mut();
        if this.poll_over(cx) {
            return Poll::Ready(Err(this.over()));
        }
        if this.poll_leaving(cx) {
            return this.poll_leave(cx).map(|()| Err(Error::ConnectionClosed));
        }
        this.socket.poll_ready_unpin(cx)
    }

    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        self.get_mut().socket.start_send_unpin(message)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let this = self.get_mut();
        if this.poll_over(cx) { Poll::Ready(Err(this.over())) } else { this.socket.poll_flush_unpin(cx) }
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let this = self.get_mut();
        if this.poll_over(cx) { Poll::Ready(Err(this.over())) } else { this.socket.poll_close_unpin(cx) }
    }
}

// Its timers are boxed, and the clock is only called.
impl<S: Unpin, T, F> Unpin for Goodbye<S, T, F> {}

impl<S: fmt::Debug, T, F> fmt::Debug for Goodbye<S, T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Goodbye").field("socket", &self.socket).field("bound", &self.bound).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::future::poll_fn;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use ebbtide::Drain;
    use futures_util::task::noop_waker_ref;

    use super::*;

    /// A peer that sends what is in `sends`, and reads or not.
    #[derive(Debug, Default)]
    struct Peer {
        sends: VecDeque<Message>,
        got: Vec<Message>,
        reads: bool,
        left: bool,
    }

    impl Stream for Peer {
        type Item = Result<Message, Error>;

        fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            match self.sends.pop_front() {
                Some(message) => Poll::Ready(Some(Ok(message))),
                None if self.left => Poll::Ready(None),
                None => Poll::Pending,
            }
        }
    }

    impl Sink<Message> for Peer {
        type Error = Error;

        fn poll_ready(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
            if self.reads { Poll::Ready(Ok(())) } else { Poll::Pending }
        }

        fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
            self.got.push(message);
            Ok(())
        }

        fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
            self.poll_ready(cx)
        }

        fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
            self.poll_ready(cx)
        }
    }

    type Timer = Pin<Box<dyn Future<Output = ()>>>;
    type Clock = Box<dyn Fn(Duration) -> Timer>;

    /// A drain, a clock in milliseconds that stands until it is set, and a socket with a bound of 5 s.
    fn open() -> (Drain, Arc<AtomicU64>, Goodbye<Peer, Clock, Timer>) {
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
        let socket = Goodbye::new(peer, drain.watcher(), timer);
        (drain, clock, socket)
    }

    fn once<F: Future + Unpin>(mut future: F) -> Poll<F::Output> {
        future.poll_unpin(&mut Context::from_waker(noop_waker_ref()))
    }

    fn goodbyes(peer: &Peer) -> usize {
        let away = |it: &&Message| matches!(it, Message::Close(Some(close)) if close.code == CloseCode::Away);
        peer.got.iter().filter(away).count()
    }

    #[test]
    fn what_crossed_the_news_is_answered_before_the_goodbye() {
        let (drain, clock, mut socket) = open();
        assert!(once(socket.next()).is_pending());
        drop(drain.start());
        assert!(once(socket.next()).is_pending());
        socket.socket.sends.push_back(Message::text("last"));
        let Poll::Ready(Some(Ok(message))) = once(socket.next()) else { panic!("it was received") };
        // The answer takes longer than the last words.
        clock.store(1000, Ordering::SeqCst);
        assert!(matches!(once(socket.send(message)), Poll::Ready(Ok(()))));
        assert!(once(socket.next()).is_pending());
        assert_eq!(socket.socket.got[0], Message::text("last"));
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
        socket.socket.sends.push_back(Message::text("late"));
        assert!(once(socket.next()).is_pending(), "what comes behind the goodbye is nobody's");
        socket.socket.left = true;
        assert!(matches!(once(socket.next()), Poll::Ready(None)));
        assert!(matches!(once(socket.send("late".into())), Poll::Ready(Err(Error::ConnectionClosed))));
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
        socket.socket.sends.push_back(Message::text("much"));
        assert!(once(socket.next()).is_ready());
        socket.socket.reads = false;
        assert!(once(socket.send("answer".into())).is_pending());
        drop(drain.start());
        assert!(once(socket.send("answer".into())).is_pending());
        clock.store(5000, Ordering::SeqCst);
        let Poll::Ready(Err(Error::Io(error))) = once(socket.send("answer".into())) else {
            panic!("it is not written")
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
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
        assert!(matches!(once(socket.send("tick".into())), Poll::Ready(Ok(()))));
        drop(drain.start());
        assert!(matches!(once(socket.send("tick".into())), Poll::Ready(Ok(()))));
        clock.store(20, Ordering::SeqCst);
        assert!(once(socket.send("tick".into())).is_pending());
        assert_eq!((socket.socket.got.len(), goodbyes(&socket.socket)), (3, 1));
        socket.socket.left = true;
        assert!(matches!(once(socket.send("tick".into())), Poll::Ready(Err(Error::ConnectionClosed))));
    }
}
