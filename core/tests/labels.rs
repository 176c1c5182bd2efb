//! Who holds the drain up.
#![cfg(not(loom))]

mod by_hand;

use std::task::{Poll, Waker};

use by_hand::{Count, poll};
use ebbtide::{Drain, Label, Overdue, State};

fn listed(drain: &Drain) -> Vec<String> {
    drain.held().iter().map(ToString::to_string).collect()
}

#[test]
fn guards_are_counted_by_label_and_the_most_come_first() {
    let drain = Drain::new();
    let watcher = drain.watcher();
    let _guards = [watcher.labelled("upload"), watcher.labelled("socket"), watcher.labelled("upload"), watcher.guard()];
    assert_eq!(listed(&drain), ["2 x upload", "socket"], "and not by name");
    assert_eq!(drain.guards(), 4);
}

#[test]
fn a_clone_counts_under_the_label_of_its_original() {
    let drain = Drain::new();
    let guard = drain.watcher().labelled("upload").expect("running");
    let clone = guard.clone();
    assert_eq!(clone.label(), Some(&Label::from("upload")));
    assert_eq!(listed(&drain), ["2 x upload"]);
}

#[test]
fn a_label_without_guards_is_not_listed() {
    let drain = Drain::new();
    drop(drain.watcher().labelled("upload"));
    assert!(drain.held().is_empty());
    let again = drain.watcher().labelled("upload");
    assert_eq!(listed(&drain), ["upload"]);
    drop(again);
}

#[test]
fn words_are_one_label_whoever_owns_them() {
    let drain = Drain::new();
    let _guards = [drain.watcher().labelled("client 7"), drain.watcher().labelled(format!("client {}", 7))];
    assert_eq!(listed(&drain), ["2 x client 7"]);
}

#[test]
fn a_place_in_the_source_is_a_label() {
    let drain = Drain::new();
    let _guard = drain.watcher().labelled(Label::here());
    let place = &listed(&drain)[0];
    assert!(place.contains("labels.rs"), "{place}");
}

#[test]
fn a_labelled_guard_is_refused_and_waited_for_like_any() {
    let drain = Drain::new();
    let watcher = drain.watcher();
    let guard = watcher.labelled("upload").expect("running");
    let mut drained = drain.start();
    let (count, waker) = Count::waker();
    assert!(poll(&mut drained, &waker).is_pending());
    assert!(watcher.labelled("upload").is_none(), "the label is in use, and yet");
    assert!(watcher.labelled("another").is_none());

    let begotten = guard.labelled("another");
    drop(guard);
    assert_eq!((drain.state(), listed(&drain)), (State::Draining, vec!["another".into()]));
    drop(begotten);
    assert_eq!(count.wakes(), 1);
    assert_eq!(poll(drained, Waker::noop()), Poll::Ready(Ok(())));
}

#[test]
fn what_was_cut_is_told_by_label_and_stays_told() {
    let drain = Drain::new();
    let watcher = drain.watcher();
    let guards = [watcher.labelled("socket"), watcher.labelled("socket"), watcher.guard()];
    drain.close();
    drop(guards);
    let Poll::Ready(Err(overdue)) = poll(drain.start(), Waker::noop()) else { panic!("nothing was cut") };
    let told = "closed by force: 3 guards were still held (2 x socket, 1 guard without a label)";
    assert_eq!(overdue.to_string(), told);
    assert_eq!(Overdue::held(&overdue)[0].guards(), 2);
    assert!(drain.held().is_empty(), "what is held is another matter");
}

#[test]
fn what_was_cut_without_a_label_is_told_as_that() {
    for (count, told) in [
        (1, "closed by force: 1 guard without a label was still held"),
        (2, "closed by force: 2 guards without a label were still held"),
    ] {
        let drain = Drain::new();
        let guards: Vec<_> = (0..count).map(|_| drain.guard()).collect();
        drain.close();
        drop(guards);
        let Poll::Ready(Err(overdue)) = poll(drain.start(), Waker::noop()) else { panic!("nothing was cut") };
        assert_eq!(overdue.to_string(), told);
    }
}

#[test]
fn labels_that_came_and_went_leave_nothing() {
    let drain = Drain::new();
    let watcher = drain.watcher();
    drop(watcher.labelled("the first, for which the map is made"));
    let kept = allocation_counter::measure(|| {
        for connection in 0..100_000 {
            drop(watcher.labelled(format!("connection {connection}")));
        }
    });
    assert_eq!(kept.bytes_current, 0);
}

#[test]
fn a_label_that_is_refused_may_use_the_drain_as_it_is_dropped() {
    struct Counts(Drain);
    impl std::fmt::Display for Counts {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "{}", self.0.guards())
        }
    }
    impl Drop for Counts {
        fn drop(&mut self) {
            assert_eq!(self.0.guards(), 0);
        }
    }
    let drain = Drain::new();
    let watcher = drain.watcher();
    drop(watcher.labelled(Label::live(Counts(drain.clone()))));
    drop(drain.start());
    assert!(watcher.labelled(Label::live(Counts(drain.clone()))).is_none());
}

#[test]
fn a_guard_is_the_only_one_if_nobody_else_has_its_label() {
    let drain = Drain::new();
    let watcher = drain.watcher();
    assert!(!drain.guard().expect("running").is_only(), "those without a label are counted together");
    for label in [Label::from("words"), Label::here(), Label::live("alive")] {
        let guard = watcher.labelled(label.clone()).expect("running");
        assert_eq!(guard.is_only(), label.downcast_ref::<&str>().is_none(), "a live label that is kept is somebody's");
        drop(label);
        let another = guard.clone();
        assert!(!guard.is_only() && !another.is_only());
        drop(another);
        assert!(guard.is_only());
    }
}
