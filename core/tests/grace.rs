//! The little time behind the beginning of a drain.

#![cfg(not(loom))]

mod by_hand;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, pending, poll_fn, ready};
use std::task::{Poll, Waker};
use std::time::Duration;

use by_hand::{Count, poll};
use ebbtide::{Drain, Grace};

const TIME: Duration = Duration::from_millis(100);

/// A clock that stands until it is set, and how many timers it has made.
#[derive(Default)]
struct Clock(Cell<Duration>, Cell<u32>);

impl Clock {
    fn sleep(&self, time: Duration) -> impl Future<Output = ()> {
        self.1.set(self.1.get() + 1);
        let end = self.0.get() + time;
        poll_fn(move |_| if self.0.get() >= end { Poll::Ready(()) } else { Poll::Pending })
    }
}

#[test]
fn a_future_is_waited_for_without_a_bound_while_the_service_runs() {
    let (drain, clock) = (Drain::new(), Clock::default());
    let mut grace = drain.watcher().grace(TIME, |time| clock.sleep(time));
    assert!(poll(grace.during(pending::<()>()), Waker::noop()).is_pending());
    clock.0.set(10 * TIME);
    assert!(poll(grace.during(pending::<()>()), Waker::noop()).is_pending());
    assert_eq!(poll(grace.during(ready(7)), Waker::noop()), Poll::Ready(Some(7)));
    assert_eq!(clock.1.get(), 0, "a timer that nobody needs");
}

#[test]
fn once_draining_has_begun_it_is_waited_for_no_longer_than_the_grace() {
    let (drain, clock) = (Drain::new(), Clock::default());
    let mut grace = drain.watcher().grace(TIME, |time| clock.sleep(time));
    let (count, waker) = Count::waker();
    assert!(poll(grace.during(pending::<()>()), &waker).is_pending());
    drop(drain.start());
    let mut waits = grace.during(pending::<()>());
    assert!(poll(&mut waits, &waker).is_pending());
    drop(waits);
    assert_eq!(count.wakes(), 1);
    assert_eq!(poll(grace.during(ready("sent before")), &waker), Poll::Ready(Some("sent before")));
    clock.0.set(TIME);
    assert_eq!(poll(grace.during(pending::<()>()), &waker), Poll::Ready(None));
    assert_eq!(poll(grace.during(ready(())), &waker), Poll::Ready(None), "who is always ready does not outrun it");
    assert_eq!(clock.1.get(), 1, "it is one grace for all");
}

#[test]
fn a_drain_wakes_who_waits_with_a_grace() {
    let (drain, clock) = (Drain::new(), Clock::default());
    let mut grace = drain.watcher().grace(TIME, |time| clock.sleep(time));
    let (count, waker) = Count::waker();
    let mut waits = Box::pin(grace.during(pending::<()>()));
    assert!(poll(waits.as_mut(), &waker).is_pending());
    drop(drain.start());
    assert_eq!(count.wakes(), 1);
}

#[test]
fn a_task_that_was_busy_at_the_beginning_has_all_of_its_grace() {
    let (drain, clock) = (Drain::new(), Clock::default());
    let mut grace = drain.watcher().grace(TIME, |time| clock.sleep(time));
    drop(drain.start());
    clock.0.set(10 * TIME);
    assert!(poll(&mut grace, Waker::noop()).is_pending());
    clock.0.set(11 * TIME);
    assert!(poll(&mut grace, Waker::noop()).is_ready());
    assert!(poll(&mut grace, Waker::noop()).is_ready(), "and again");
}

#[test]
fn a_loop_over_lines_answers_what_was_sent_before_the_drain_and_ends() {
    /// Lines as a socket has them: some are there, and then no more.
    async fn next(lines: &RefCell<VecDeque<u32>>) -> u32 {
        poll_fn(|_| lines.borrow_mut().pop_front().map_or(Poll::Pending, Poll::Ready)).await
    }
    async fn session<S, T>(mut grace: Grace<S, T>, lines: &RefCell<VecDeque<u32>>, answered: &Cell<u32>)
    where
        S: Fn(Duration) -> T,
        T: Future,
    {
        while let Some(line) = grace.during(next(lines)).await {
            answered.set(answered.get() + line);
        }
    }
    let (drain, clock) = (Drain::new(), Clock::default());
    let (lines, answered) = (RefCell::new(VecDeque::from([1, 2, 4])), Cell::new(0));
    let grace = drain.watcher().grace(TIME, |time| clock.sleep(time));
    drop(drain.start());
    let mut session = Box::pin(session(grace, &lines, &answered));
    assert!(poll(session.as_mut(), Waker::noop()).is_pending());
    assert_eq!(answered.get(), 7);
    clock.0.set(TIME);
    assert!(poll(session.as_mut(), Waker::noop()).is_ready());
}
