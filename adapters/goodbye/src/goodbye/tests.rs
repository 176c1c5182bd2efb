use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Wake, Waker};

use ebbtide::Drain;
use futures_util::StreamExt;

use super::*;

type Message = &'static str;
/// What it says.
const GOODBYE: Message = "goodbye";

/// A peer that sends what is in `sends`, and reads or not. As a socket does, it knows one task for each direction.
#[derive(Debug, Default)]
struct Peer {
    sends: VecDeque<Message>,
    got: Vec<Message>,
    reads: bool,
    left: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Stream for Peer {
    type Item = Result<Message, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.sends.pop_front() {
            Some(message) => Poll::Ready(Some(Ok(message))),
            None if self.left => Poll::Ready(None),
            None => {
                self.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Sink<Message> for Peer {
    type Error = Infallible;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        if self.reads {
            return Poll::Ready(Ok(()));
        }
        self.writer = Some(cx.waker().clone());
        Poll::Pending
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

impl Peer {
    /// Closes, and wakes who reads.
    fn leave(&mut self) {
        self.left = true;
        self.reader.take().expect("somebody reads").wake();
    }
}

type Timer = Pin<Box<dyn Future<Output = ()>>>;

/// A clock in milliseconds that stands until it is set. As a runtime does, it knows one task for each timer.
#[derive(Clone, Default)]
struct Clock(Arc<Mutex<Ticks>>);

#[derive(Default)]
struct Ticks {
    now: u128,
    timers: Vec<(u128, Option<Waker>)>,
}

impl Clock {
    fn ticks(&self) -> MutexGuard<'_, Ticks> {
        self.0.lock().expect("no panic")
    }

    fn timer(&self, time: Duration) -> Timer {
        let mut ticks = self.ticks();
        let (clock, at, until) = (self.clone(), ticks.timers.len(), ticks.now + time.as_millis());
        ticks.timers.push((until, None));
        Box::pin(poll_fn(move |cx| {
            let mut ticks = clock.ticks();
            if ticks.now >= until {
                return Poll::Ready(());
            }
            ticks.timers[at].1 = Some(cx.waker().clone());
            Poll::Pending
        }))
    }

    fn set(&self, now: u128) {
        let mut ticks = self.ticks();
        ticks.now = now;
        let due: Vec<_> = ticks.timers.iter_mut().filter(|it| it.0 <= now).filter_map(|it| it.1.take()).collect();
        drop(ticks);
        due.into_iter().for_each(Waker::wake);
    }
}

type Socket = Goodbye<Peer, Message, Box<dyn Fn(Duration) -> Timer>, Timer>;

/// A drain, a clock, and a socket with a bound of 5 s.
fn open() -> (Drain, Clock, Socket) {
    let (drain, clock) = (Drain::new(), Clock::default());
    let time = clock.clone();
    let peer = Peer { reads: true, ..Peer::default() };
    let socket = Goodbye::new(peer, GOODBYE, drain.watcher(), Box::new(move |it| time.timer(it)) as Box<_>);
    (drain, clock, socket)
}

fn once<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// A task, and whether it was woken.
#[derive(Default)]
struct Task(AtomicBool);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Task {
    fn poll<F: Future>(self: &Arc<Self>, future: F) -> Poll<F::Output> {
        pin!(future).poll(&mut Context::from_waker(&self.clone().into()))
    }

    /// Whether it was, since this was asked.
    fn is_woken(&self) -> bool {
        self.0.swap(false, Ordering::SeqCst)
    }
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
    clock.set(1000);
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
    clock.set(20);
    assert!(once(socket.next()).is_pending());
    assert_eq!(goodbyes(&socket.socket), 1);
    clock.set(4999);
    socket.socket.sends.push_back("late");
    assert!(once(socket.next()).is_pending(), "what comes behind the goodbye is nobody's");
    assert!(once(socket.next()).is_pending());
    socket.socket.leave();
    assert!(matches!(once(socket.next()), Poll::Ready(None)));
    assert!(matches!(once(socket.send("late")), Poll::Ready(Err(Error::Over))));
}

#[test]
fn a_peer_that_does_not_answer_is_waited_for_no_longer_than_the_bound() {
    let (drain, clock, mut socket) = open();
    drop(drain.start());
    assert!(once(socket.next()).is_pending());
    clock.set(4999);
    assert!(once(socket.next()).is_pending());
    clock.set(5000);
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
    clock.set(5000);
    assert!(matches!(once(socket.send("answer")), Poll::Ready(Err(Error::Late))));
    assert!(matches!(once(socket.next()), Poll::Ready(None)));
}

#[test]
fn a_goodbye_that_the_peer_does_not_read_gives_up_at_the_bound() {
    let (drain, clock, mut socket) = open();
    socket.socket.reads = false;
    drop(drain.start());
    assert!(once(socket.next()).is_pending());
    clock.set(100);
    assert!(once(socket.next()).is_pending());
    clock.set(5000);
    assert!(matches!(once(socket.next()), Poll::Ready(None)));
    assert_eq!(goodbyes(&socket.socket), 0, "nothing is written when the bound is over");
}

#[test]
fn one_who_only_writes_says_goodbye_by_its_first_write_in_the_drain() {
    let (drain, _, mut socket) = open();
    assert!(matches!(once(socket.send("tick")), Poll::Ready(Ok(()))));
    drop(drain.start());
    assert!(once(socket.send("tick")).is_pending());
    assert_eq!((socket.socket.got.len(), goodbyes(&socket.socket)), (2, 1));
    socket.socket.leave();
    assert!(matches!(once(socket.send("tick")), Poll::Ready(Err(Error::Over))));
}

/// A socket whose handler has read once, and has written since.
fn subscribed() -> (Drain, Clock, Socket) {
    let (drain, clock, mut socket) = open();
    socket.socket.sends.push_back("subscribe");
    assert!(once(socket.next()).is_ready());
    assert!(matches!(once(socket.send("tick")), Poll::Ready(Ok(()))));
    (drain, clock, socket)
}

#[test]
fn one_who_reads_once_and_then_only_writes_says_goodbye_when_half_of_the_bound_is_over() {
    let (drain, clock, mut socket) = subscribed();
    drop(drain.start());
    for now in [0, 20, 2499] {
        clock.set(now);
        assert!(matches!(once(socket.send("tick")), Poll::Ready(Ok(()))), "it may be an answer");
    }
    clock.set(2500);
    assert!(once(socket.send("tick")).is_pending());
    assert_eq!((socket.socket.got.last(), goodbyes(&socket.socket)), (Some(&GOODBYE), 1));
    socket.socket.leave();
    assert!(matches!(once(socket.send("tick")), Poll::Ready(Err(Error::Over))));
}

#[test]
fn a_feed_owes_no_answers_and_says_goodbye_by_its_first_write() {
    let (drain, _, socket) = subscribed();
    let mut socket = socket.answers(Duration::ZERO);
    drop(drain.start());
    assert!(once(socket.send("tick")).is_pending());
    assert_eq!((socket.socket.got.last(), goodbyes(&socket.socket)), (Some(&GOODBYE), 1));
}

#[test]
fn one_who_waits_for_a_slow_peer_hears_that_the_time_for_answers_is_over() {
    let (drain, clock, mut socket) = subscribed();
    let writer = Arc::<Task>::default();
    socket.socket.reads = false;
    drop(drain.start());
    assert!(writer.poll(socket.send("tick")).is_pending());
    assert!(!writer.is_woken());
    clock.set(2500);
    assert!(writer.is_woken());
}

/// A socket that one task reads and another writes, to a peer that does neither.
fn split() -> (Drain, Clock, Socket, Arc<Task>, Arc<Task>) {
    let (drain, clock, mut socket) = open();
    let (reader, writer) = (Arc::<Task>::default(), Arc::<Task>::default());
    socket.socket.reads = false;
    assert!(reader.poll(socket.next()).is_pending());
    assert!(writer.poll(socket.send("tick")).is_pending());
    (drain, clock, socket, reader, writer)
}

#[test]
fn who_reads_and_who_writes_both_hear_of_the_drain() {
    for first in ["the reader", "the writer"] {
        let (drain, clock, mut socket, reader, writer) = split();
        drop(drain.start());
        assert!(reader.is_woken() && writer.is_woken());
        // Whichever of them is polled first.
        if first == "the reader" {
            assert!(reader.poll(socket.next()).is_pending());
            assert!(writer.poll(socket.send("tick")).is_pending());
        } else {
            assert!(writer.poll(socket.send("tick")).is_pending());
            assert!(reader.poll(socket.next()).is_pending());
        }
        clock.set(20);
        assert!(reader.is_woken() && writer.is_woken());
    }
}

#[test]
fn who_reads_and_who_writes_both_hear_that_the_bound_is_over() {
    let (drain, clock, mut socket, reader, writer) = split();
    drop(drain.start());
    for now in [0, 20] {
        clock.set(now);
        assert!(reader.poll(socket.next()).is_pending());
        assert!(writer.poll(socket.send("tick")).is_pending());
    }
    // What was woken for the steps themselves.
    assert!(reader.poll(socket.next()).is_pending());
    assert!(writer.poll(socket.send("tick")).is_pending());
    let _ = (reader.is_woken(), writer.is_woken());
    clock.set(5000);
    assert!(reader.is_woken() && writer.is_woken());
    assert!(matches!(reader.poll(socket.next()), Poll::Ready(None)));
    assert!(matches!(writer.poll(socket.send("tick")), Poll::Ready(Err(Error::Late))));
}

#[test]
fn a_peer_that_reads_again_wakes_who_says_goodbye_though_another_task_was_polled_last() {
    let (drain, clock, mut socket, reader, writer) = split();
    drop(drain.start());
    for now in [0, 20, 20] {
        clock.set(now);
        assert!(writer.poll(socket.send("tick")).is_pending());
        assert!(reader.poll(socket.next()).is_pending());
    }
    let _ = (reader.is_woken(), writer.is_woken());
    socket.socket.reads = true;
    socket.socket.writer.take().expect("somebody writes").wake();
    assert!(reader.is_woken() && writer.is_woken());
    assert!(writer.poll(socket.send("tick")).is_pending());
    assert_eq!(goodbyes(&socket.socket), 1);
}

#[test]
fn the_task_that_ends_the_goodbye_wakes_the_other() {
    let (drain, clock, mut socket, reader, writer) = split();
    socket.socket.reads = true;
    drop(drain.start());
    assert!(reader.poll(socket.next()).is_pending());
    clock.set(20);
    for _ in 0..2 {
        assert!(reader.poll(socket.next()).is_pending());
        assert!(writer.poll(socket.send("tick")).is_pending());
    }
    let _ = (reader.is_woken(), writer.is_woken());
    // Before the socket has told either.
    socket.socket.left = true;
    assert!(matches!(reader.poll(socket.next()), Poll::Ready(None)));
    assert!(writer.is_woken());
    assert!(matches!(writer.poll(socket.send("tick")), Poll::Ready(Err(Error::Over))));
}

#[test]
fn what_was_to_be_sent_when_the_other_task_said_goodbye_is_refused() {
    let (drain, clock, mut socket, reader, _) = split();
    socket.socket.reads = true;
    drop(drain.start());
    assert!(matches!(once(poll_fn(|cx| Pin::new(&mut socket).poll_ready(cx))), Poll::Ready(Ok(()))));
    assert!(reader.poll(socket.next()).is_pending());
    clock.set(20);
    assert!(reader.poll(socket.next()).is_pending());
    assert!(matches!(Pin::new(&mut socket).start_send("late"), Err(Error::Over)));
    assert_eq!(socket.socket.got, [GOODBYE]);
}
