//! What the core promises: one test for each guarantee, of the same name.

#![cfg(not(loom))]

mod by_hand;

use std::cell::Cell;
use std::future::{Pending, pending, poll_fn, ready};
use std::rc::Rc;
use std::sync::{Arc, Barrier};
use std::task::{Poll, Waker};
use std::thread;

use by_hand::{Count, poll};
use ebbtide::{Drain, Drained, Guard, Overdue, State, Until, Watcher};

fn guard(drain: &Drain) -> Guard {
    drain.watcher().guard().expect("running")
}

fn outcome(drained: &mut Drained) -> Result<(), Overdue> {
    let Poll::Ready(outcome) = poll(drained, Waker::noop()) else { panic!("not closed") };
    outcome
}

#[test]
fn state_only_grows() {
    let drain = Drain::new();
    let (held, watcher) = (guard(&drain), drain.watcher());
    let steps: [(&dyn Fn(), State); 5] = [
        (&|| (), State::Running),
        (&|| drop(drain.start()), State::Draining),
        (&|| drop(drain.start()), State::Draining),
        (&|| drain.close(), State::Closed),
        (&|| drop(drain.start()), State::Closed),
    ];
    for (step, state) in steps {
        step();
        assert_eq!([drain.state(), watcher.state(), held.state()], [state; 3]);
    }
    drop(held);
    assert_eq!(drain.state(), State::Closed);
}

#[test]
fn no_guard_after_start() {
    let drain = Drain::new();
    // One guard keeps its shard alive, so that a refusal is a decision and not an empty shard.
    let (watcher, held) = (drain.watcher(), guard(&drain));
    assert!(watcher.guard().is_some());

    let mut drained = drain.start();
    for watcher in [&watcher, &watcher.clone(), &drain.watcher(), &held.watcher()] {
        assert!(watcher.guard().is_none());
    }
    assert_eq!(drain.guards(), 1);

    drop(held);
    assert!(watcher.guard().is_none());
    assert_eq!(outcome(&mut drained), Ok(()));
}

#[test]
fn no_guard_after_start_on_any_thread() {
    let (drain, threads) = (Drain::new(), 8);
    let (held, started) = (Barrier::new(threads + 1), Barrier::new(threads + 1));
    let mut drained = thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let watcher = drain.watcher();
                let guard = watcher.guard().expect("running");
                held.wait();
                started.wait();
                assert!(watcher.guard().is_none());
                drop(guard);
            });
        }
        held.wait();
        let mut drained = drain.start();
        assert_eq!(drain.guards(), threads);
        assert!(poll(&mut drained, Waker::noop()).is_pending());
        started.wait();
        drained
    });
    assert_eq!(outcome(&mut drained), Ok(()));
}

#[test]
fn guards_beget_guards() {
    let drain = Drain::new();
    let parent = guard(&drain);
    let mut drained = drain.start();

    let child = parent.clone();
    assert_eq!(drain.guards(), 2);
    drop(parent);
    let grandchild = child.clone();
    drop(child);
    assert_eq!((drain.guards(), drain.state()), (1, State::Draining));
    assert!(poll(&mut drained, Waker::noop()).is_pending());

    drop(grandchild);
    assert_eq!(outcome(&mut drained), Ok(()));
}

#[test]
fn closes_at_the_last_guard() {
    let drain = Drain::new();
    let guards = [guard(&drain), guard(&drain), guard(&drain)];
    let (woken, waker) = Count::waker();
    let mut drained = drain.start();
    assert!(poll(&mut drained, &waker).is_pending());

    for (released, guard) in guards.into_iter().enumerate() {
        assert_eq!((drain.guards(), drain.state(), woken.wakes()), (3 - released, State::Draining, 0));
        drop(guard);
    }
    assert_eq!((drain.guards(), drain.state(), woken.wakes()), (0, State::Closed, 1));
    assert_eq!(outcome(&mut drained), Ok(()));

    // Held guards that were released before do not count, and a drain without any never drains.
    let idle = Drain::new();
    drop(guard(&idle));
    drop(idle.start());
    assert_eq!(idle.state(), State::Closed);
}

#[test]
fn closed_is_frozen() {
    let drain = Drain::new();
    let guards = [guard(&drain), guard(&drain)];
    let mut drained = drain.start();
    drain.close();
    let forced = outcome(&mut drained);
    assert_eq!(forced.as_ref().map_err(Overdue::guards), Err(2));

    // Neither what is released later, nor begotten, nor closed again, nor asked late or again, changes it.
    let late = guards[0].clone();
    assert_eq!(outcome(&mut drain.start()), forced);
    drop((guards, late));
    drain.close();
    assert_eq!(drain.state(), State::Closed);
    for mut observer in [drained.clone(), drained, drain.start()] {
        assert_eq!(outcome(&mut observer), forced);
    }

    let clean = Drain::new();
    let mut drained = clean.start();
    clean.close();
    assert_eq!([outcome(&mut drained), outcome(&mut clean.start())], [Ok(()), Ok(())]);
}

#[test]
fn start_needs_no_poll() {
    let drain = Drain::new();
    let (held, mut watcher) = (guard(&drain), drain.watcher());
    let (woken, waker) = Count::waker();
    assert!(poll(&mut watcher, &waker).is_pending());

    drop(drain.start());
    assert_eq!((drain.state(), woken.wakes()), (State::Draining, 1));
    assert!(watcher.guard().is_none());
    drop(held);
    assert_eq!(drain.state(), State::Closed);
}

#[test]
fn dropping_a_deadline_closes_nothing() {
    let drain = Drain::new();
    let held = guard(&drain);
    // Never polled, though its timer is ready; and polled, with a timer that is not.
    drop(drain.start().deadline(ready(())));
    let mut bounded = Box::pin(drain.start().deadline(pending()));
    assert!(poll(&mut bounded, Waker::noop()).is_pending());
    drop(bounded);
    assert_eq!((drain.state(), drain.guards()), (State::Draining, 1));

    drop(held);
    assert_eq!(outcome(&mut drain.start()), Ok(()));
}

#[test]
fn last_drain_dropped_starts() {
    let drain = Drain::new();
    let another = drain.clone();
    let (held, mut watcher) = (guard(&drain), drain.watcher());
    let (woken, waker) = Count::waker();
    assert!(poll(&mut watcher, &waker).is_pending());

    drop(drain);
    assert_eq!((watcher.state(), woken.wakes()), (State::Running, 0));
    drop(another);
    assert_eq!((watcher.state(), woken.wakes()), (State::Draining, 1));
    assert!(watcher.guard().is_none());
    drop(held);
    assert_eq!(watcher.state(), State::Closed);
}

#[test]
fn every_waiter_wakes() {
    let drain = Drain::new();
    let mut counts: Vec<[Arc<Count>; 3]> = Vec::new();
    let mut watchers: Vec<Watcher> = Vec::new();
    let mut guards: Vec<Until<Guard, Pending<()>>> = Vec::new();
    // From here and from other threads, and the watcher's once more with another waker.
    for n in 0..100 {
        let (mut watcher, mut guard) = (drain.watcher(), guard(&drain).during(pending()));
        let [(a, first), (b, second), (c, third)] = [Count::waker(), Count::waker(), Count::waker()];
        let wait = move || {
            assert!(poll(&mut watcher, &first).is_pending());
            assert!(poll(&mut watcher, &second).is_pending());
            assert!(poll(&mut guard, &third).is_pending());
            (watcher, guard)
        };
        let (watcher, guard) = if n % 2 == 0 { wait() } else { thread::spawn(wait).join().unwrap() };
        counts.push([a, b, c]);
        watchers.push(watcher);
        guards.push(guard);
    }
    let woken = |nth: usize| counts.iter().map(|counts| counts[nth].wakes()).sum::<usize>();

    let mut drained = drain.start();
    let (last, waker) = Count::waker();
    assert!(poll(&mut drained, &waker).is_pending());
    // A replaced waker is forgotten, its successor is woken, and who waits for the close still waits.
    assert_eq!([woken(0), woken(1), woken(2), last.wakes()], [0, 100, 0, 0]);
    assert!(watchers.iter_mut().all(|watcher| poll(watcher, &waker).is_ready()));

    drain.close();
    assert_eq!([woken(0), woken(1), woken(2), last.wakes()], [0, 100, 100, 1]);
    assert!(guards.iter_mut().all(|guard| poll(guard, &waker).is_ready()));
    assert_eq!(outcome(&mut drained).map_err(|overdue| overdue.guards()), Err(100));
}

#[test]
fn guard_outlives_its_future() {
    /// Notes the drain's state as it is dropped.
    struct Noting(Drain, Rc<Cell<Option<State>>>);

    impl Drop for Noting {
        fn drop(&mut self) {
            self.1.set(Some(self.0.state()));
        }
    }

    // However the future ends: by itself, dropped before or after a poll. It is gone while the drain still waits.
    for (polls, ends) in [(0, false), (1, false), (1, true)] {
        let (drain, seen) = (Drain::new(), Rc::new(Cell::new(None)));
        let noting = Noting(drain.clone(), seen.clone());
        let mut work = Box::pin(guard(&drain).during(poll_fn(move |_| {
            let _owned = &noting;
            if ends { Poll::Ready(()) } else { Poll::Pending }
        })));
        drop(drain.start());
        for _ in 0..polls {
            assert_eq!(poll(&mut work, Waker::noop()).is_ready(), ends);
        }
        if !ends {
            drop(work);
        }
        assert_eq!((seen.get(), drain.state()), (Some(State::Draining), State::Closed));
    }
}

#[test]
fn what_was_cut_is_waited_for_until_it_lets_go() {
    let drain = Drain::new();
    let (held, last) = (guard(&drain), guard(&drain));
    let mut released = drain.released();
    let (count, waker) = Count::waker();
    assert!(poll(&mut released, &waker).is_pending());
    drain.close();
    drop(held);
    assert!(poll(&mut released, &waker).is_pending());
    drop(last);
    assert_eq!(count.wakes(), 1, "by the last release");
    assert!(poll(&mut released, &waker).is_ready());
    assert!(poll(drain.released(), Waker::noop()).is_ready());
}
