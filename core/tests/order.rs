//! Drains under one roof.
#![cfg(not(loom))]

mod by_hand;

use std::future::{pending, ready};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Poll, Waker};

use by_hand::{Count, poll};
use ebbtide::{Drain, Guard, Order, State};

fn guard(drain: &Drain) -> Guard {
    drain.guard().expect("running")
}

fn three() -> ([Drain; 3], Order) {
    let drains = [Drain::new(), Drain::new(), Drain::new()];
    let [first, also_first, last] = &drains;
    let order = Order::new()
        .then([("main", first.clone()), ("admin", also_first.clone())])
        .then([("diagnostics", last.clone())]);
    (drains, order)
}

#[test]
fn the_parts_of_a_stage_start_together_and_the_next_stage_after_all_of_them() {
    let ([main, admin, diagnostics], order) = three();
    let (in_main, in_admin) = (guard(&main), guard(&admin));
    let drained = order.drain().start();
    assert_eq!([main.state(), admin.state()], [State::Draining; 2]);
    drop(in_main);
    assert_eq!((main.state(), diagnostics.state()), (State::Closed, State::Running));
    drop(in_admin);
    assert_eq!(diagnostics.state(), State::Closed);
    assert_eq!(poll(drained, Waker::noop()), Poll::Ready(Ok(())));
}

#[test]
fn the_whole_closes_once_with_the_last_part() {
    let ([_, _, diagnostics], order) = three();
    let held = guard(&diagnostics);
    let mut drained = order.drain().start();
    let (count, waker) = Count::waker();
    assert!(poll(&mut drained, &waker).is_pending());
    assert_eq!(diagnostics.state(), State::Draining, "nothing held the stage before it");
    drop(held);
    assert_eq!(count.wakes(), 1);
    assert_eq!(poll(drained, Waker::noop()), Poll::Ready(Ok(())));
}

#[test]
fn one_deadline_is_over_all_and_each_part_tells_what_it_cut() {
    let ([main, admin, diagnostics], order) = three();
    let _held = (guard(&main), guard(&diagnostics));
    let bounded = order.drain().start().deadline(ready(()));
    let Poll::Ready(Err(overdue)) = poll(bounded, Waker::noop()) else { panic!("nothing was cut") };
    assert_eq!(overdue.to_string(), "closed by force: 2 guards were still held (diagnostics, main)");
    for part in [&main, &diagnostics] {
        assert!(matches!(poll(part.start(), Waker::noop()), Poll::Ready(Err(cut)) if cut.guards() == 1));
    }
    assert_eq!(poll(admin.start(), Waker::noop()), Poll::Ready(Ok(())));
}

#[test]
fn an_order_without_parts_closes_at_once() {
    let order = Order::new();
    assert_eq!(poll(order.drain().start(), Waker::noop()), Poll::Ready(Ok(())));
    let empty_stage = Order::new().then::<&str>([]).then([("main", Drain::new())]);
    assert_eq!(poll(empty_stage.drain().start(), Waker::noop()), Poll::Ready(Ok(())));
}

#[test]
fn a_part_that_has_closed_by_itself_is_not_waited_for() {
    let main = Drain::new();
    drop(main.start());
    let order = Order::new().then([("main", main)]);
    assert_eq!(poll(order.drain().start(), Waker::noop()), Poll::Ready(Ok(())));
}

#[test]
fn a_dropped_order_starts() {
    let (drains, order) = three();
    drop(order);
    assert_eq!(drains.map(|it| it.state()), [State::Closed; 3]);
}

#[test]
fn a_part_that_fails_starts_all_and_the_first_cause_is_kept() {
    let ([main, ..], order) = three();
    let held = guard(&main);
    let refused = io::Error::from(io::ErrorKind::AddrInUse);
    assert_eq!(poll(order.part("admin", guard(&main), ready(Err::<(), _>(refused))), Waker::noop()), Poll::Ready(None));
    assert_eq!(main.state(), State::Draining);
    assert_eq!(poll(order.part("main", held.clone(), ready(Err::<(), _>("later"))), Waker::noop()), Poll::Ready(None));
    let failure = order.failure().expect("two of them");
    assert_eq!(failure.label().to_string(), "admin");
    assert!(failure.to_string().starts_with("admin failed: "), "{failure}");
    assert!(std::error::Error::source(&failure).is_some());
}

#[test]
fn a_part_that_panics_starts_all() {
    let ([main, ..], order) = three();
    let part = order
        .part("main", guard(&main), async { if main.guards() == 1 { panic!("oh") } else { Ok::<(), String>(()) } });
    assert!(catch_unwind(AssertUnwindSafe(|| poll(part, Waker::noop()))).is_err());
    assert_eq!(main.state(), State::Closed);
    assert_eq!(order.failure().unwrap().to_string(), "main failed: it panicked, or was dropped before its end");
}

#[test]
fn a_part_that_is_dropped_while_running_is_a_failure() {
    let ([main, ..], order) = three();
    drop(order.part("main", guard(&main), pending::<Result<(), String>>()));
    assert_eq!(order.failure().map(|it| it.label().to_string()).as_deref(), Some("main"));
}

#[test]
fn a_part_that_is_dropped_while_draining_is_no_failure() {
    let ([main, ..], order) = three();
    let _held = guard(&main);
    let part = order.part("main", guard(&main), pending::<Result<(), String>>());
    drop(order.drain().start());
    drop(part);
    assert!(order.failure().is_none());
}

#[test]
fn a_part_that_ends_well_starts_nothing() {
    let ([main, ..], order) = three();
    let mut part = Box::pin(order.part("main", guard(&main), ready(Ok::<_, String>(7))));
    assert_eq!(poll(part.as_mut(), Waker::noop()), Poll::Ready(Some(7)));
    assert_eq!(poll(part.as_mut(), Waker::noop()), Poll::Ready(None));
    drop(part);
    assert_eq!((main.state(), order.failure().is_none()), (State::Running, true));
}
