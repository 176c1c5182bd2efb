//! Programs that compile and are wrong: what says so. `docs/misuse.md` lists them, with those that no test of the core shows.

#![cfg(not(loom))]

mod by_hand;

use std::error::Error;
use std::future::{pending, ready};
use std::task::{Poll, Waker};

use by_hand::{Count, poll};
use ebbtide::{Cause, Drain, Draining, Guard, Label, Overdue, State};

fn overdue(drain: &Drain) -> Overdue {
    let Poll::Ready(Err(overdue)) = poll(drain.start().deadline(ready(())), Waker::noop()) else {
        panic!("nothing was cut")
    };
    overdue
}

#[test]
fn an_outcome_that_main_ends_with_is_printed_in_words() {
    let drain = Drain::new();
    let held = drain.guard();
    // What `main` prints of an error is its `Debug`.
    let error: Box<dyn Error> = overdue(&drain).into();
    assert_eq!(format!("Error: {error:?}"), "Error: closed by force: 1 guard without a label was still held");
    drop(held);
    let refused: Box<dyn Error> = drain.guard().ok_or(Draining).expect_err("it has begun").into();
    assert_eq!(format!("Error: {refused:?}"), "Error: draining has begun: no new work is taken");
}

#[test]
fn a_signal_before_the_first_guard_is_an_error_and_no_panic() {
    fn begin(drain: &Drain) -> Result<Guard, Draining> {
        drop(drain.start()); // as a signal would, from its own thread
        let guard = drain.guard().ok_or(Draining)?;
        Ok(guard)
    }
    assert!(begin(&Drain::new()).is_err());
}

#[test]
fn a_guard_of_a_drain_that_nobody_keeps_knows_why_it_drains() {
    let guard = Drain::new().guard().expect("it lives until the end of this line");
    assert_eq!(guard.state(), State::Draining);
    assert_eq!(guard.watcher().cause(), Some(Cause::Dropped));
    assert_eq!(Cause::Dropped.to_string(), "the last `Drain` was dropped");
}

#[test]
fn a_drain_that_was_dropped_by_a_helper_says_so() {
    fn helper() -> Option<Guard> {
        let drain = Drain::new();
        drain.guard()
    }
    let cause = helper().expect("it was running").watcher().cause();
    assert_eq!(cause, Some(Cause::Dropped));
}

#[test]
fn a_drain_without_words_tells_where_it_was_started() {
    let drain = Drain::new();
    drop(drain.start());
    let told = drain.cause().expect("it has begun").to_string();
    assert!(told.starts_with("started at ") && told.contains("misuse.rs:"), "{told}");
    // Whoever is first; those who come later start nothing.
    drop(drain.start_because("too late"));
    assert_eq!(drain.cause().expect("it has begun").to_string(), told);
}

#[test]
fn a_guard_that_is_kept_over_the_wait_is_named_by_the_outcome() {
    let drain = Drain::new();
    let (_kept, _placed) = (drain.guard(), drain.watcher().labelled(Label::here()));
    let told = overdue(&drain).to_string();
    assert!(told.contains("misuse.rs:") && told.ends_with(", 1 guard without a label)"), "{told}");
}

#[test]
fn a_handler_that_waits_for_the_end_under_its_own_guard_is_cut_by_the_deadline_and_named() {
    let drain = Drain::new();
    let handler = drain.watcher().labelled("POST /shutdown").expect("running");
    let ends = drain.clone();
    let mut handler = Box::pin(handler.during(async move { ends.start().await }));
    assert!(poll(handler.as_mut(), Waker::noop()).is_pending());
    assert_eq!(overdue(&drain).held()[0].to_string(), "POST /shutdown");
    assert_eq!(poll(handler.as_mut(), Waker::noop()), Poll::Ready(None));
}

#[test]
fn work_under_a_guard_that_waits_for_the_close_does_not_hang() {
    // What awaiting the guard itself was for: it does not compile any more.
    let drain = Drain::new();
    let guard = drain.guard().expect("running");
    let mut time_is_up = guard.watcher().closed();
    drop(drain.start());
    assert!(poll(&mut time_is_up, Waker::noop()).is_pending());
    drain.close();
    assert!(poll(&mut time_is_up, Waker::noop()).is_ready());
    drop(guard);
}

#[test]
fn what_is_given_up_in_a_drain_is_in_its_outcome() {
    let drain = Drain::new();
    let while_running = drain.guard().expect("running");
    let (queue, rest) = (drain.watcher().labelled("queue").expect("running"), drain.guard());
    while_running.give_up();
    let mut drained = drain.start();
    queue.give_up();
    let (count, waker) = Count::waker();
    assert!(poll(&mut drained, &waker).is_pending(), "another guard is held");
    drop(rest);
    assert_eq!(count.wakes(), 1);
    let Poll::Ready(Err(overdue)) = poll(&mut drained, Waker::noop()) else { panic!("a queue was lost") };
    assert_eq!(overdue.to_string(), "closed, but not well: 1 guard was given up (queue)");
    assert_eq!(poll(drained, Waker::noop()), Poll::Ready(Err(overdue)), "it is frozen");
}

#[test]
fn what_is_given_up_is_added_to_what_a_forced_close_cuts() {
    let drain = Drain::new();
    let (given_up, held) = (drain.guard().expect("running"), drain.watcher().labelled("upload"));
    let mut work = Box::pin(drain.guard().expect("running").during(pending::<()>()));
    assert!(poll(work.as_mut(), Waker::noop()).is_pending());
    drop(drain.start());
    given_up.give_up();
    let told = "closed by force: 3 guards were still held (upload, 2 guards without a label)";
    assert_eq!(overdue(&drain).to_string(), told);
    // Too late.
    held.expect("running").give_up();
    assert_eq!(overdue(&drain).to_string(), told);
}
