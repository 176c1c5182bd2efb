//! Every interleaving, and every stale value that the memory model allows, of two and three threads.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release -p ebbtide --test loom -- --nocapture` runs them and prints how many
//! executions each model took. There are two shards here, and threads alternate. The first that a model spawns has
//! the other shard, the second shares that of the model itself.

#![cfg(loom)]

mod by_hand;

use std::future::{Future, pending, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, Waker};
use std::time::Duration;

use by_hand::{Count, poll};
use ebbtide::{Drain, Guard, LameDuck, Overdue, State};
use loom::sync::atomic::AtomicUsize as Traced;
use loom::thread::spawn;

/// Bugs that need more are rare; executions that have more are not.
const PREEMPTIONS: usize = 3;

fn explore(name: &str, model: fn()) {
    let executions = Arc::new(AtomicUsize::new(0));
    let counted = executions.clone();
    let mut explorer = loom::model::Builder::new();
    explorer.preemption_bound = Some(PREEMPTIONS);
    explorer.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        model();
    });
    println!("{name}: {} executions", executions.load(Ordering::Relaxed));
}

fn guard(drain: &Drain) -> Guard {
    drain.watcher().guard().expect("running")
}

/// How many guards were cut, now that it must be over.
fn cut(drain: &Drain) -> usize {
    assert_eq!(drain.state(), State::Closed);
    let Poll::Ready(outcome) = poll(drain.start(), Waker::noop()) else { panic!("closed, without an outcome") };
    outcome.map_or_else(|overdue| overdue.guards(), |()| 0)
}

/// A future that was polled, and its count of wakes where it was told to wait.
struct Polled<F>(F, Option<Arc<Count>>);

impl<F: Future + Unpin> Polled<F> {
    fn new(mut future: F) -> Self {
        let (count, waker) = Count::waker();
        let waits = poll(&mut future, &waker).is_pending();
        Self(future, waits.then_some(count))
    }

    /// To be asked when all has happened: whoever was told to wait has been woken, once, and is ready.
    fn assert_over(mut self) {
        if let Some(count) = self.1 {
            assert_eq!(count.wakes(), 1, "told to wait, and not woken");
        }
        assert!(poll(&mut self.0, Waker::noop()).is_ready());
    }
}

#[test]
fn a_guard_is_refused_or_waited_for() {
    explore("guard against start", || {
        let drain = Drain::new();
        let watcher = drain.watcher();
        let asks = spawn(move || {
            if let Some(guard) = watcher.guard() {
                assert_ne!(guard.state(), State::Closed, "given, and not waited for");
            }
        });
        let watcher = drain.watcher();
        drop(drain.start());
        assert!(watcher.guard().is_none());
        asks.join().unwrap();
        assert_eq!(cut(&drain), 0);
    });
}

#[test]
fn a_guard_is_refused_or_waited_for_where_an_older_one_keeps_its_lane_open() {
    explore("second guard against start", || {
        let drain = Drain::new();
        let (watcher, another) = (drain.watcher(), drain.watcher());
        let asks = spawn(move || {
            let older = watcher.guard();
            let younger = watcher.guard();
            assert!(older.is_some() || younger.is_none());
            drop(older);
            if let Some(younger) = younger {
                assert_ne!(younger.state(), State::Closed, "given, and not waited for");
            }
        });
        drop(drain.start());
        assert!(another.guard().is_none());
        asks.join().unwrap();
        assert_eq!(cut(&drain), 0);
    });
}

#[test]
fn a_guard_that_was_given_is_among_those_that_are_cut() {
    explore("second guard against close", || {
        let drain = Drain::new();
        let watcher = drain.watcher();
        let asks = spawn(move || [watcher.guard(), watcher.guard()]);
        drain.close();
        let guards = asks.join().unwrap();
        let given = guards.iter().flatten().count();
        // One that is refused may be counted while it asks; one that is given is counted.
        assert!((given..=given + 1).contains(&cut(&drain)), "{given} given, {} cut", cut(&drain));
    });
}

#[test]
fn the_last_clone_closes_and_none_before_it() {
    explore("guard clone against last drop", || {
        let drain = Drain::new();
        let parent = guard(&drain);
        let (child, other) = (parent.clone(), parent.clone());
        let drained = Polled::new(drain.start());
        let ends = spawn(move || drop(other));
        let begets = spawn(move || {
            let grandchild = child.clone();
            drop(child);
            assert_eq!(grandchild.state(), State::Draining);
        });
        assert_eq!(parent.state(), State::Draining);
        drop(parent);
        ends.join().unwrap();
        begets.join().unwrap();
        drained.assert_over();
        assert_eq!((drain.guards(), cut(&drain)), (0, 0));
    });
}

#[test]
fn the_last_guard_closes_whichever_lane_it_is_in() {
    explore("last drops in two shards against start", || {
        let drain = Drain::new();
        let (watcher, here) = (drain.watcher(), guard(&drain));
        let there = spawn(move || drop(watcher.guard()));
        let starter = drain.clone();
        let starts = spawn(move || Polled::new(starter.start()));
        drop(here);
        there.join().unwrap();
        starts.join().unwrap().assert_over();
        assert_eq!(cut(&drain), 0);
    });
}

#[test]
fn a_deadline_and_a_close_tell_of_one_end() {
    explore("close against deadline against last drop", || {
        let drain = Drain::new();
        let held = guard(&drain);
        let waits = Polled::new(drain.start());
        let bounded = drain.start().deadline(ready(()));
        let deadline = spawn(move || {
            let Poll::Ready(outcome) = poll(bounded, Waker::noop()) else { panic!("time is up") };
            outcome.map_or_else(|overdue: Overdue| overdue.guards(), |()| 0)
        });
        let clone = drain.clone();
        let closes = spawn(move || {
            clone.close();
            cut(&clone)
        });
        drop(held);
        let seen = cut(&drain);
        assert_eq!([deadline.join().unwrap(), closes.join().unwrap(), cut(&drain)], [seen; 3]);
        waits.assert_over();
    });
}

#[test]
fn a_close_counts_what_is_held() {
    explore("close against guard drop", || {
        let drain = Drain::new();
        let (held, watcher) = (guard(&drain), drain.watcher());
        let there = spawn(move || {
            let guard = watcher.guard();
            drop(guard);
        });
        drain.close();
        there.join().unwrap();
        assert!((1..=2).contains(&cut(&drain)));
        assert_eq!(drain.guards(), 1);
        drop(held);
    });
}

#[test]
fn a_watcher_that_registers_during_the_start_is_woken() {
    explore("watcher registration against start", || {
        let drain = Drain::new();
        let [first, second] = [drain.watcher(), drain.watcher()];
        // A clone sits in the shard of the thread that made it: one list each.
        let there = spawn(move || Polled::new(first.clone()));
        let here = spawn(move || Polled::new(second.clone()));
        drop(drain.start());
        there.join().unwrap().assert_over();
        here.join().unwrap().assert_over();
    });
}

#[test]
fn a_watcher_that_registers_as_its_turn_comes_is_woken() {
    explore("watcher registration against turn and start", || {
        let drain = Drain::new();
        let lame_duck = LameDuck::new(&drain, Duration::from_millis(10));
        let turn = guard(&drain).turn().expect("there is one");
        let watcher = turn.watcher();
        let there = spawn(move || Polled::new(watcher.clone()));
        let comes = spawn(move || assert!(poll(Box::pin(lame_duck.pass(ready)), Waker::noop()).is_ready()));
        drop(drain.start());
        there.join().unwrap().assert_over();
        comes.join().unwrap();
    });
}

#[test]
fn a_turn_that_has_come_is_seen_by_whoever_was_told() {
    explore("turn against watcher", || {
        let drain = Drain::new();
        let lame_duck = LameDuck::new(&drain, Duration::from_millis(10));
        let turn = guard(&drain).turn().expect("there is one");
        let there = spawn(move || (Polled::new(turn.watcher()), turn));
        assert!(poll(Box::pin(lame_duck.pass(ready)), Waker::noop()).is_ready());
        let (told, turn) = there.join().unwrap();
        told.assert_over();
        assert!(turn.has_come());
    });
}

#[test]
fn a_guard_that_registers_during_the_close_is_woken() {
    explore("guard registration against close", || {
        let drain = Drain::new();
        let (held, waits) = (guard(&drain), drain.start());
        let guard = spawn(move || Polled::new(held.during(pending::<()>())));
        let drained = spawn(move || Polled::new(waits));
        drain.close();
        guard.join().unwrap().assert_over();
        drained.join().unwrap().assert_over();
        assert_eq!(cut(&drain), 1);
    });
}

#[test]
fn who_waits_for_what_was_cut_is_woken_by_its_release() {
    explore("released registration against the last drop behind a close", || {
        let drain = Drain::new();
        let (held, released) = (guard(&drain), drain.released());
        let waits = spawn(move || Polled::new(released));
        let lets_go = spawn(move || drop(held));
        drain.close();
        lets_go.join().unwrap();
        waits.join().unwrap().assert_over();
    });
}

#[test]
fn a_drained_that_registers_during_the_last_release_is_woken() {
    explore("drained registration against last drop", || {
        let drain = Drain::new();
        let (held, waits) = (guard(&drain), drain.start());
        let drained = spawn(move || Polled::new(waits));
        drop(held);
        drained.join().unwrap().assert_over();
    });
}

#[test]
fn a_future_that_goes_takes_its_waker_along() {
    explore("drop of a waiting future against the wake", || {
        let drain = Drain::new();
        let (held, watcher) = (guard(&drain), drain.watcher());
        let (guard, stays) = (held.clone(), Polled::new(drain.watcher()));
        let leaves = spawn(move || [Polled::new(watcher).1, Polled::new(guard.during(pending::<()>())).1]);
        drop(drain.start());
        for count in leaves.join().unwrap().into_iter().flatten() {
            assert_eq!(Arc::strong_count(&count), 1, "the future is gone, its waker is kept");
        }
        stays.assert_over();
        assert_eq!(drain.guards(), 1);
        drop(held);
    });
}

#[test]
fn the_waker_that_came_last_is_the_one_that_is_woken() {
    explore("waker replacement against the wake", || {
        let drain = Drain::new();
        let watcher = drain.watcher();
        let replaces = spawn(move || {
            let first = Polled::new(watcher);
            Polled::new(first.0)
        });
        drop(drain.start());
        replaces.join().unwrap().assert_over();
    });
}

#[test]
fn a_clean_end_shows_all_that_was_done_under_guards() {
    explore("what was done against the clean end", || {
        let drain = Drain::new();
        let watcher = drain.watcher();
        let in_the_other_lane = spawn(move || watcher.guard()).join().unwrap();
        let work = [Arc::new(Traced::new(0)), Arc::new(Traced::new(0))];
        let does = |nth: usize, held: Option<Guard>| {
            let work = work[nth].clone();
            move || {
                work.store(1, Ordering::Relaxed);
                drop(held);
            }
        };
        let (there, here) = (spawn(does(0, in_the_other_lane)), does(1, drain.watcher().guard()));
        let (clone, seen) = (drain.clone(), work.clone());
        let closes = spawn(move || {
            clone.close();
            if cut(&clone) == 0 {
                assert_eq!(seen.map(|work| work.load(Ordering::Relaxed)), [1, 1], "closed by us");
            }
        });
        here();
        if drain.state() == State::Closed && cut(&drain) == 0 {
            assert_eq!(work.map(|work| work.load(Ordering::Relaxed)), [1, 1], "closed by whomever");
        }
        there.join().unwrap();
        closes.join().unwrap();
    });
}

#[test]
fn a_clean_end_without_a_close_shows_all_that_was_done_under_guards() {
    explore("what was done against the last drop", || {
        let drain = Drain::new();
        let watcher = drain.watcher();
        let in_the_other_lane = spawn(move || watcher.guard()).join().unwrap();
        let (work, held) = (Arc::new(Traced::new(0)), guard(&drain));
        let mut drained = drain.start();
        let does = work.clone();
        let there = spawn(move || {
            does.store(1, Ordering::Relaxed);
            drop(in_the_other_lane);
        });
        let here = spawn(move || drop(held));
        if poll(&mut drained, Waker::noop()).is_ready() {
            assert_eq!(work.load(Ordering::Relaxed), 1);
        }
        there.join().unwrap();
        here.join().unwrap();
    });
}

#[test]
fn two_starts_are_one() {
    explore("start against start against close", || {
        let drain = Drain::new();
        let waits = Polled::new(drain.watcher());
        let [first, second] = [drain.clone(), drain.clone()];
        let starts = spawn(move || {
            let drained = Polled::new(first.start());
            assert!(first.watcher().guard().is_none());
            drained
        });
        let closes = spawn(move || {
            second.close();
            cut(&second)
        });
        let drained = Polled::new(drain.start());
        assert_eq!(closes.join().unwrap(), 0);
        starts.join().unwrap().assert_over();
        drained.assert_over();
        waits.assert_over();
    });
}

#[test]
fn a_guard_that_is_all_there_is_can_still_be_watched() {
    explore("watcher of a guard against last drain", || {
        let drain = Drain::new();
        let held = guard(&drain);
        let there = spawn(move || {
            let watcher = Polled::new(held.watcher());
            assert!(watcher.1.is_some() || watcher.0.state() != State::Running, "told of a start that is not seen");
            let state = held.state();
            (watcher, state, Polled::new(held.during(pending::<()>())))
        });
        drop(drain);
        let (watcher, state, _held) = there.join().unwrap();
        assert_ne!(state, State::Closed);
        watcher.assert_over();
    });
}

#[test]
fn the_last_drain_to_go_starts() {
    explore("last two drains against guard and watcher", || {
        let drain = Drain::new();
        let (another, watcher) = (drain.clone(), drain.watcher());
        let there = spawn(move || drop(another));
        let asks = watcher.clone();
        let here = spawn(move || {
            let guard = asks.guard();
            let waits = Polled::new(asks);
            assert!(guard.is_none_or(|guard| guard.state() != State::Closed));
            waits
        });
        drop(drain);
        there.join().unwrap();
        here.join().unwrap().assert_over();
        assert_eq!((watcher.state(), watcher.guard().is_none()), (State::Closed, true));
    });
}

#[test]
fn a_labelled_guard_is_refused_or_waited_for() {
    explore("labelled guard against start", || {
        let drain = Drain::new();
        let watcher = drain.watcher();
        let asks = spawn(move || {
            let guard = watcher.labelled("label");
            if let Some(guard) = &guard {
                assert_ne!(guard.state(), State::Closed, "closed under a guard");
            }
            drop(guard);
            drop(watcher.labelled("label"));
        });
        let drained = Polled::new(drain.start());
        assert!(drain.watcher().labelled("label").is_none());
        asks.join().unwrap();
        drained.assert_over();
        assert_eq!((cut(&drain), drain.held().len()), (0, 0));
    });
}

#[test]
fn a_label_that_is_given_up_and_asked_for_at_once_is_counted_right() {
    explore("label given up against label asked for", || {
        let drain = Drain::new();
        let [first, second] = [(); 2].map(|()| drain.watcher().labelled("label").expect("running"));
        let holder = guard(&drain);
        let gives_up = spawn(move || drop((first, second)));
        let asks = spawn(move || holder.labelled("label"));
        gives_up.join().unwrap();
        let asked = asks.join().unwrap();
        assert_eq!(drain.held().iter().map(ebbtide::Held::guards).sum::<usize>(), 1);
        let drained = Polled::new(drain.start());
        assert_eq!((drain.state(), drain.guards()), (State::Draining, 1));
        drop(asked);
        drained.assert_over();
        assert!(drain.held().is_empty());
    });
}

#[test]
fn the_last_release_of_two_labels_closes() {
    explore("last drops of two labels against start", || {
        let drain = Drain::new();
        let [one, two] = ["one", "two"].map(|label| drain.watcher().labelled(label).expect("running"));
        let there = spawn(move || drop(one));
        let drained = Polled::new(drain.start());
        drop(two);
        there.join().unwrap();
        drained.assert_over();
        assert_eq!(cut(&drain), 0);
    });
}

#[test]
fn a_child_ends_and_so_does_its_parent_on_whichever_thread() {
    explore("last drop of a child against start of its parent", || {
        let parent = Drain::new();
        let child = parent.watcher().child("child");
        let held = guard(&child);
        let there = spawn(move || drop(held));
        let drained = Polled::new(parent.start());
        there.join().unwrap();
        drained.assert_over();
        assert_eq!((parent.state(), child.state(), cut(&parent)), (State::Closed, State::Closed, 0));
    });
}

#[test]
fn what_is_given_up_as_the_last_guard_is_told_by_the_close() {
    explore("give up against registration", || {
        let drain = Drain::new();
        let held = guard(&drain);
        let waits = drain.start();
        let gives_up = spawn(move || held.give_up());
        let drained = Polled::new(waits);
        gives_up.join().unwrap();
        drained.assert_over();
        assert_eq!(cut(&drain), 1);
    });
}

#[test]
fn what_is_given_up_during_a_forced_close_changes_no_outcome_that_was_told() {
    explore("give up against close", || {
        let drain = Drain::new();
        let (held, kept) = (guard(&drain), guard(&drain));
        drop(drain.start());
        let gives_up = spawn(move || held.give_up());
        drain.close();
        let told = cut(&drain);
        gives_up.join().unwrap();
        assert_eq!(cut(&drain), told);
        drop(kept);
    });
}

#[test]
fn a_child_that_ends_while_its_parent_is_closed_ends_both() {
    explore("last drop of a child against close of its parent", || {
        let parent = Drain::new();
        let child = parent.watcher().child("child");
        let held = guard(&child);
        drop(parent.start());
        let there = spawn(move || drop(held));
        parent.close();
        there.join().unwrap();
        // The guard by which the parent waits may be counted on its way out; what was cut is never missed.
        assert!(cut(&parent) >= cut(&child));
    });
}
