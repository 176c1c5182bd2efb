//! The lame duck time, in a time of the test's own.

#![cfg(not(loom))]

mod by_hand;

use std::cell::Cell;
use std::future::{Future, poll_fn, ready};
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use by_hand::{Count, poll};
use ebbtide::{Drain, Guard, LameDuck, State, Turn};

const WINDOW: Duration = Duration::from_secs(5);

fn guard(drain: &Drain) -> Guard {
    drain.guard().expect("running")
}

fn turns(guard: &Guard, many: usize) -> Vec<Turn> {
    (0..many).map(|_| guard.turn().expect("it is not over")).collect()
}

/// What time it is since it began.
#[derive(Clone, Default)]
struct Clock(Rc<Cell<Duration>>);

impl Clock {
    fn sleep(&self, time: Duration) -> impl Future<Output = ()> + use<> {
        let (now, until) = (self.0.clone(), self.0.get() + time);
        poll_fn(move |_| if now.get() >= until { Poll::Ready(()) } else { Poll::Pending })
    }
}

/// Lets the time pass in steps, and asks after each what is so. Returns whether it is over.
fn pass(lame_duck: LameDuck, step: Duration, steps: u32, mut then: impl FnMut()) -> bool {
    let clock = Clock::default();
    let timers = clock.clone();
    let mut passing = Box::pin(lame_duck.pass(move |time| timers.sleep(time)));
    let mut is_over = poll(passing.as_mut(), Waker::noop()).is_ready();
    for _ in 0..steps {
        clock.0.set(clock.0.get() + step);
        is_over = is_over || poll(passing.as_mut(), Waker::noop()).is_ready();
        then();
    }
    is_over
}

#[test]
fn a_time_without_an_end_is_over_when_the_drain_starts() {
    let drain = Drain::new();
    let connection = guard(&drain);
    let lame_duck = LameDuck::new(&drain, Duration::MAX);
    let turn = connection.turn().expect("it is not over");
    let mut passing = Box::pin(lame_duck.pass(|time| {
        assert!(time >= Duration::MAX / 256, "{time:?}");
        std::future::pending::<()>()
    }));
    assert!(poll(passing.as_mut(), Waker::noop()).is_pending());
    assert!(!turn.has_come());
    drop(drain.start());
    assert!(poll(passing.as_mut(), Waker::noop()).is_ready());
}

#[test]
fn turns_are_spread_evenly_over_the_time() {
    const MANY: usize = 10_000;
    let drain = Drain::new();
    let lame_duck = LameDuck::new(&drain, WINDOW);
    let connection = guard(&drain);
    let turns = turns(&connection, MANY);
    let (mut before, mut fullest) = (0, 0);
    let is_over = pass(lame_duck, Duration::from_millis(100), 50, || {
        let come = turns.iter().filter(|turn| turn.has_come()).count();
        fullest = fullest.max(come - before);
        before = come;
    });
    assert!(is_over);
    assert_eq!(before, MANY);
    let mean = MANY / 50;
    assert!(fullest * 2 <= mean * 3, "{fullest} in the fullest tenth of a second, {mean} in the mean");
}

#[test]
fn a_watcher_of_a_turn_is_woken_in_it_and_no_other_is() {
    let drain = Drain::new();
    let lame_duck = LameDuck::new(&drain, WINDOW);
    let connection = guard(&drain);
    let turn = connection.turn().expect("there is one");
    let (count, waker) = Count::waker();
    let mut told = turn.watcher().clone();
    assert!(poll(&mut told, &waker).is_pending());
    let mut drained = drain.watcher();
    // Wherever they are made.
    let clones = (0..8).map(|_| {
        thread::spawn({
            let watcher = turn.watcher();
            move || watcher.clone()
        })
    });
    let clones: Vec<_> = clones.map(|it| it.join().expect("no panic")).collect();
    assert!(pass(lame_duck, WINDOW, 1, || ()));
    assert_eq!(count.wakes(), 1);
    assert!(clones.into_iter().all(|it| poll(it, &waker).is_ready()));
    assert!(poll(&mut told, &waker).is_ready());
    assert!(poll(&mut drained, Waker::noop()).is_pending(), "the drain is for somebody else to start");
    assert_eq!((told.state(), drain.state()), (State::Running, State::Running));
    assert!(told.guard().is_some(), "a guard of the drain, which runs on");
    assert_eq!(drain.guards(), 1);
}

#[test]
fn the_start_of_the_drain_is_every_turn() {
    let drain = Drain::new();
    let lame_duck = LameDuck::new(&drain, WINDOW);
    let connection = guard(&drain);
    let turns = turns(&connection, 100);
    let (count, waker) = Count::waker();
    let mut told: Vec<_> = turns.iter().map(Turn::watcher).collect();
    assert!(told.iter_mut().all(|it| poll(it, &waker).is_pending()));
    drop(drain.start());
    assert_eq!(count.wakes(), 100);
    assert!(told.iter_mut().all(|it| poll(it, &waker).is_ready()));
    assert!(pass(lame_duck, Duration::ZERO, 0, || ()), "it is over, though no time has passed");
    assert!(connection.turn().is_none());
}

#[test]
fn a_turn_that_is_taken_in_the_time_is_still_to_come() {
    let drain = Drain::new();
    let lame_duck = LameDuck::new(&drain, WINDOW);
    let connection = guard(&drain);
    assert!(turns(&connection, 100).iter().all(|turn| !turn.is_late()));
    let mut taken = Vec::new();
    pass(lame_duck, WINDOW / 50, 49, || {
        let turns = turns(&connection, 20);
        assert!(turns.iter().all(|turn| turn.is_late() && !turn.has_come()));
        taken.extend(turns);
    });
    assert!(taken[..20].iter().filter(|turn| turn.has_come()).count() > 15, "they come before the end");
}

#[test]
fn a_second_time_before_the_same_drain_takes_nobody_out_of_the_first() {
    let drain = Drain::new();
    let first = LameDuck::new(&drain, WINDOW);
    let connection = guard(&drain);
    let turns = turns(&connection, 100);
    assert!(pass(LameDuck::new(&drain, WINDOW / 5), WINDOW, 1, || ()));
    assert!(turns.iter().all(|turn| !turn.has_come()));
    assert!(pass(first, WINDOW, 1, || ()));
    assert!(turns.iter().all(Turn::has_come));
}

#[test]
fn all_at_the_end_no_turn_comes_before_the_drain() {
    let drain = Drain::new();
    let connection = guard(&drain);
    let lame_duck = LameDuck::all_at_the_end(&drain, WINDOW);
    assert!(connection.turn().is_none());
    assert!(pass(lame_duck, WINDOW, 1, || ()));
}

#[test]
fn a_time_of_nothing_is_over_at_once() {
    let drain = Drain::new();
    let connection = guard(&drain);
    let lame_duck = LameDuck::new(&drain, Duration::ZERO);
    assert!(connection.turn().is_none());
    assert!(poll(Box::pin(lame_duck.pass(ready)), Waker::noop()).is_ready());
}
