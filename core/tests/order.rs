//! Drains under one roof.
#![cfg(not(loom))]

mod by_hand;

use std::cell::Cell;
use std::fmt;
use std::future::{pending, poll_fn, ready};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};

use by_hand::{Count, poll};
use ebbtide::{Cause, Drain, Failure, Guard, Label, Order, State};

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
fn the_whole_is_not_well_if_a_stage_was_cut_though_it_was_not_closed_by_force_itself() {
    let ([main, _, diagnostics], order) = three();
    let (_payment, _unnamed, probe) = (main.watcher().labelled("payment"), guard(&main), guard(&diagnostics));
    let mut drained = order.drain().start();
    // As a deadline of its own would.
    main.close();
    assert!(poll(&mut drained, Waker::noop()).is_pending(), "the next stage has a guard");
    drop(probe);
    let Poll::Ready(Err(overdue)) = poll(drained, Waker::noop()) else { panic!("a payment was cut") };
    assert_eq!(overdue.to_string(), "closed by force: 2 guards were still held (main, main: payment)");
}

#[test]
fn the_whole_is_not_well_if_a_part_was_cut_before_it_began() {
    let ([main, ..], order) = three();
    let _held = guard(&main);
    main.close();
    let Poll::Ready(Err(overdue)) = poll(order.drain().start(), Waker::noop()) else { panic!("something was cut") };
    assert_eq!((overdue.guards(), overdue.held()[0].to_string().as_str()), (1, "main"));
}

#[test]
fn a_deadline_over_all_sums_what_all_parts_have_cut_to_the_last_guard() {
    let ([main, admin, diagnostics], order) = three();
    let of_main = [main.watcher().labelled("payment"), main.watcher().labelled("payment"), main.guard()];
    let others = (admin.watcher().labelled("payment"), guard(&diagnostics), guard(order.drain()));
    let Poll::Ready(Err(overdue)) = poll(order.drain().start().deadline(ready(())), Waker::noop()) else {
        panic!("nothing was cut")
    };
    let told = "closed by force: 6 guards were still held (main: 2 x payment, diagnostics, main, admin: payment, 1 guard without a label)";
    assert_eq!(overdue.to_string(), told);
    drop((of_main, others));
    let Poll::Ready(again) = poll(order.drain().start(), Waker::noop()) else { panic!("it is closed") };
    assert_eq!(again, Err(overdue));
}

#[test]
fn an_order_that_is_dropped_while_its_drain_was_cloned_goes_on_leading() {
    fn drains(parts: &[Drain; 2]) -> Drain {
        let [a, b] = parts;
        Order::new().then([("a", a.clone())]).then([("b", b.clone())]).drain().clone()
    }
    let parts = [Drain::new(), Drain::new()];
    let all = drains(&parts);
    let (in_a, in_b) = (guard(&parts[0]), guard(&parts[1]));
    let states = || [all.state(), parts[0].state(), parts[1].state()];
    assert_eq!(states(), [State::Running; 3]);
    drop(all.start());
    assert_eq!(states(), [State::Draining, State::Draining, State::Running]);
    drop(in_a);
    assert_eq!(states(), [State::Draining, State::Closed, State::Draining]);
    drop(in_b);
    assert_eq!(states(), [State::Closed; 3]);
}

#[test]
fn a_dropped_order_leads_its_stages_to_the_end() {
    let ([main, _, diagnostics], order) = three();
    let held = guard(&main);
    drop(order);
    assert_eq!((main.state(), diagnostics.state()), (State::Draining, State::Running));
    assert_eq!(main.cause(), Some(Cause::Dropped));
    drop(held);
    assert_eq!(diagnostics.state(), State::Closed);
}

#[test]
fn a_part_is_cut_with_the_drain_of_its_stage_before_the_next_one_ends() {
    let ([main, _, database], order) = three();
    let connection = guard(&database);
    // Whoever moves a guard into the work, too, changes nothing by it.
    let (held, moved) = (guard(&main), guard(&main));
    let ticks = Rc::new(Cell::new(0));
    let counted = ticks.clone();
    let work = async move {
        let _moved = moved;
        poll_fn(|_| -> Poll<Result<(), String>> {
            counted.set(counted.get() + 1);
            Poll::Pending
        })
        .await
    };
    let mut worker = Box::pin(order.part("worker", held, work));
    assert!(poll(worker.as_mut(), Waker::noop()).is_pending());
    drop(order.drain().start());
    main.close();
    assert_eq!(database.state(), State::Draining);
    assert_eq!(poll(worker.as_mut(), Waker::noop()), Poll::Ready(None));
    assert_eq!((ticks.get(), Rc::strong_count(&ticks)), (1, 1), "it went on, or it was kept");
    assert!(order.failure().is_none(), "what is cut has not failed");
    drop(connection);
}

#[test]
fn a_failure_is_the_cause_that_every_part_hears() {
    let ([main, _, diagnostics], order) = three();
    let held = guard(&diagnostics);
    let part = order.part("main", guard(&main), ready(Err::<(), _>("broke")));
    assert_eq!(poll(part, Waker::noop()), Poll::Ready(None));
    for drain in [order.drain(), &main, &diagnostics] {
        assert_eq!(drain.cause().expect("started").to_string(), "main failed: broke");
    }
    let Some(Cause::Said(label)) = order.drain().cause() else { panic!("it was said") };
    assert!(label.downcast_ref::<Failure>().is_some());
    drop(held);
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

#[test]
fn what_led_the_stages_is_gone_when_the_whole_is_over_though_the_order_is_kept() {
    let kept = Arc::new("main".to_owned());
    let main = Drain::new();
    let order = Order::new().then([(Label::live(Shown(kept.clone())), main.clone())]);
    let held = guard(&main);
    drop(order.drain().start());
    assert_eq!(Arc::strong_count(&kept), 2);
    drop(held);
    assert_eq!((order.drain().state(), Arc::strong_count(&kept)), (State::Closed, 1));
}

/// An `Arc` whose clones are counted.
struct Shown(Arc<String>);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
