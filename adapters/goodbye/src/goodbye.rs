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
use crate::leaving::{Leaving, Pause, Side, Step};

/// How long the whole of a goodbye may take, if nobody says otherwise.
const FAREWELL: Duration = Duration::from_secs(5);

/// A WebSocket, or another stream and sink of messages, that says goodbye by itself once the drain begins.
///
/// Read and write it as the one inside, in one task or `split` in two. When the drain begins, then
///
/// 1. messages still come for 20 ms, since they may have been under way, and what you write in answer is written;
/// 2. the goodbye is written: a close frame with 1001, going away (RFC 6455, section 7.4.1), or 1012, service restart;
/// 3. the peer's own is awaited;
/// 4. the stream ends, and whoever writes is told that it is [over](Error::Over).
///
/// All of it takes no longer than a [bound](Self::bound), 5 s by default, counted from the first poll after the drain has
/// begun. That holds for your writes too: one that a peer does not read fails then, as [late](Error::Late). Drop the socket
/// when the stream has ended: what holds up the drain is in the connection.
///
/// It acts when it is polled, by a read or a write. After a message was read, writes are [answers](Self::answers) to it until
/// the next read, and go before the goodbye for half of the bound. A handler that only writes says goodbye by its first write
/// in the drain. If it has read before, it does so by its first write after that time. If the socket is split, the reader
/// reads on at
/// once, so an answer has the 20 ms.
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
    /// Two, since who reads and who writes may be two tasks.
    reader: Watcher,
    writer: Watcher,
    timer: T,
    bound: Duration,
    answers: Option<Duration>,
    /// Once the drain has begun.
    leaving: Option<Leaving<F>>,
    pause: Pause,
}

impl<S, M, T, F> Goodbye<S, M, T, F>
where
    T: Fn(Duration) -> F,
    F: Future,
{
    /// A socket that says `goodbye` when the watcher's drain begins. `timer` is the runtime's sleep: `tokio::time::sleep`,
    /// `smol::Timer::after`.
    pub fn new(socket: S, goodbye: M, watcher: Watcher, timer: T) -> Self {
        Self {
            socket,
            last: Some(goodbye),
            reader: watcher.clone(),
            writer: watcher,
            timer,
            bound: FAREWELL,
            answers: None,
            leaving: None,
            pause: Pause::None,
        }
    }

    /// Takes no longer than this after the drain began.
    pub fn bound(mut self, bound: Duration) -> Self {
        self.bound = bound;
        self
    }

    /// How long after the beginning of the drain what is written behind a message counts as its answer, and goes before the
    /// goodbye. Default: half of the [bound](Self::bound).
    ///
    /// [`Duration::ZERO`] is for a feed: a handler that reads once, to know what is wanted, and only writes from then on. It
    /// says goodbye by its first write.
    pub fn answers(mut self, time: Duration) -> Self {
        self.answers = Some(time);
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

    /// Takes the steps that need nothing of the peer, for the task of this side.
    fn poll_step(&mut self, side: Side, cx: &mut Context<'_>) -> Step {
        let watcher = match side {
            Side::Read => &mut self.reader,
            Side::Write => &mut self.writer,
        };
        if self.leaving.is_none() && Pin::new(watcher).poll(cx).is_pending() {
            return Step::Open;
        }
        let leaving = self.leaving.get_or_insert_with(|| {
            let answers = self.answers.unwrap_or(self.bound / 2);
            Leaving::begin(&self.timer, self.bound, answers)
        });
        leaving.poll(side, cx, self.pause)
    }

    /// Says goodbye, and waits for the peer's.
    fn poll_say(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(leaving) = &mut self.leaving else { return Poll::Ready(()) };
        // Whichever of two tasks is polled does it for both, so the socket is to wake both.
        let waker = leaving.waker().clone();
        let both = &mut Context::from_waker(&waker);
        if leaving.step() == Step::Saying {
            let mut written = ready!(Pin::new(&mut self.socket).poll_ready(both));
            if let (Ok(()), Some(goodbye)) = (&written, self.last.take()) {
                written = Pin::new(&mut self.socket).start_send(goodbye);
            }
            // An error is one of the connection: the peer closed first, or is gone.
            leaving.go(if written.is_ok() { Step::Said } else { Step::Over });
        }
        if leaving.step() == Step::Said {
            // Reading goes on while the goodbye waits: a peer may have to be rid of its messages before it reads.
            let _ = Pin::new(&mut self.socket).poll_flush(both);
            if let Some(Ok(_)) = ready!(Pin::new(&mut self.socket).poll_next(both)) {
                // One at a time, so that one who sends without a pause does not get around the bound.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        leaving.go(Step::Over);
        Poll::Ready(())
    }

    /// What is done to the socket by a task that writes, unless it is over; by both if there is a goodbye to be said.
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<Result<(), E>>,
    ) -> Poll<Result<(), Error<E>>> {
        let step = self.poll_step(Side::Write, cx);
        let socket = Pin::new(&mut self.socket);
        match (step, &self.leaving) {
            (Step::Over, _) => Poll::Ready(Err(Error::Over)),
            (Step::Late, _) => Poll::Ready(Err(Error::Late)),
            (Step::Saying | Step::Said, Some(leaving)) => {
                write(socket, &mut Context::from_waker(leaving.waker())).map_err(Error::Socket)
            }
            _ => write(socket, cx).map_err(Error::Socket),
        }
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
        this.pause = Pause::Message;
        match this.poll_step(Side::Read, cx) {
            Step::Open | Step::Answering => {
                let next = ready!(Pin::new(&mut this.socket).poll_next(cx));
                this.pause = Pause::Answer;
                Poll::Ready(next)
            }
            Step::Saying | Step::Said => this.poll_say(cx).map(|()| None),
            Step::Over | Step::Late => Poll::Ready(None),
        }
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
        match this.poll_step(Side::Write, cx) {
            Step::Open | Step::Answering => Pin::new(&mut this.socket).poll_ready(cx).map_err(Error::Socket),
            Step::Saying | Step::Said => this.poll_say(cx).map(|()| Err(Error::Over)),
            Step::Over => Poll::Ready(Err(Error::Over)),
            Step::Late => Poll::Ready(Err(Error::Late)),
        }
    }

    fn start_send(self: Pin<&mut Self>, message: M) -> Result<(), Error<E>> {
        let this = self.get_mut();
        // The other half of a split socket may have said goodbye since this one was ready.
        match this.leaving.as_ref().map_or(Step::Open, Leaving::step) {
            Step::Said | Step::Over => Err(Error::Over),
            Step::Late => Err(Error::Late),
            Step::Open | Step::Answering | Step::Saying => {
                Pin::new(&mut this.socket).start_send(message).map_err(Error::Socket)
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error<E>>> {
        self.get_mut().poll_write(cx, S::poll_flush)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error<E>>> {
        self.get_mut().poll_write(cx, S::poll_close)
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
mod tests;
