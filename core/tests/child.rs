//! Drains that are a part of another.

#![cfg(not(loom))]

mod by_hand;

use std::future::ready;
use std::task::{Poll, Waker};
use std::time::Duration;

use by_hand::{Count, poll};
use ebbtide::{Drain, Guard, LameDuck, Overdue, State};

fn guard(drain: &Drain) -> Guard {
    drain.guard().expect("running")
}

fn family() -> (Drain, Drain) {
    let parent = Drain::new();
    let child = parent.watcher().child("child");
    (parent, child)
}

fn outcome(drain: &Drain) -> Result<(), Overdue> {
    let Poll::Ready(outcome) = poll(drain.start(), Waker::noop()) else { panic!("not closed") };
    outcome
}

#[test]
fn a_child_starts_with_its_parent_for_the_same_reason_and_is_waited_for() {
    let (parent, child) = family();
    let held = guard(&child);
    assert_eq!(parent.held()[0].to_string(), "child");
    let mut drained = parent.start_because("a signal");
    let (count, waker) = Count::waker();
    assert!(poll(&mut drained, &waker).is_pending());
    assert_eq!((parent.state(), child.state()), (State::Draining, State::Draining));
    assert_eq!(child.cause(), parent.cause());
    drop(held);
    assert_eq!(count.wakes(), 1);
    assert_eq!((outcome(&parent), outcome(&child)), (Ok(()), Ok(())));
}

#[test]
fn a_child_may_end_before_its_parent_and_leaves_nothing_behind() {
    let (parent, child) = family();
    let held = guard(&child);
    drop(child.start());
    assert_eq!((parent.state(), parent.guards()), (State::Running, 1));
    drop(held);
    assert_eq!((parent.state(), parent.guards(), parent.held().len()), (State::Running, 0, 0));
    assert_eq!(outcome(&child), Ok(()));
}

#[test]
fn the_last_drain_of_a_child_starts_it_though_its_parent_knows_of_it() {
    let (parent, child) = family();
    let watcher = child.watcher();
    drop(child);
    assert_eq!((watcher.state(), parent.state(), parent.guards()), (State::Closed, State::Running, 0));
}

#[test]
fn a_forced_close_of_the_parent_closes_the_child_and_tells_what_that_has_cut() {
    let (parent, child) = family();
    let grandchild = child.watcher().child("grandchild");
    let held = (child.watcher().labelled("upload"), guard(&grandchild), guard(&parent));
    let deadline = parent.start().deadline(ready(()));
    let Poll::Ready(Err(overdue)) = poll(deadline, Waker::noop()) else { panic!("nothing was cut") };
    assert_eq!(grandchild.state(), State::Closed);
    let told = "closed by force: 3 guards were still held (child: grandchild, child: upload, 1 guard without a label)";
    assert_eq!(overdue.to_string(), told);
    drop(held);
}

#[test]
fn what_a_child_has_cut_counts_while_its_parent_drains_and_is_its_own_affair_before() {
    let (parent, child) = family();
    let another = parent.watcher().child("another");
    let held = (guard(&child), guard(&another));
    child.close();
    drop(parent.start());
    another.close();
    let overdue = outcome(&parent).expect_err("one was cut");
    assert_eq!((overdue.guards(), overdue.held()[0].to_string().as_str()), (1, "another"));
    drop(held);
}

#[test]
fn a_child_of_a_drain_that_has_begun_is_closed_when_it_comes() {
    let parent = Drain::new();
    let (held, watcher) = (guard(&parent), parent.watcher());
    drop(parent.start());
    let child = watcher.child("late");
    assert_eq!((child.state(), child.cause()), (State::Closed, parent.cause()));
    drop(held);
    assert_eq!(outcome(&parent), Ok(()));
}

#[test]
fn a_child_of_a_connection_with_a_turn_of_its_own_starts_with_the_drain() {
    let parent = Drain::new();
    let lame_duck = LameDuck::new(&parent, Duration::from_secs(5));
    let connection = guard(&parent);
    let turn = connection.turn().expect("there is such a time");
    let child = turn.watcher().child("child");
    let mut passing = Box::pin(lame_duck.pass(|_| ready(())));
    assert!(poll(passing.as_mut(), Waker::noop()).is_ready());
    assert!(turn.has_come());
    assert_eq!(child.state(), State::Running);
    drop((parent, connection));
    assert_eq!(child.state(), State::Closed);
}
