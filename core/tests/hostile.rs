//! Wakers and futures that misbehave: they poll inline, re-enter, panic, or drop what woke them.
//!
//! Not here: a waker whose `clone` misbehaves, which takes `unsafe` to write. The core clones before it locks.

#![cfg(not(loom))]

mod by_hand;

use std::cell::RefCell;
use std::future::{pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use by_hand::{Count, poll};
use ebbtide::{Drain, Guard, LameDuck, State, Watcher};

type Act = Box<dyn FnMut() + Send>;

/// A waker that does as it is told, once it is woken or once its last clone is dropped.
struct Acts {
    when_woken: Mutex<Option<Act>>,
    when_dropped: Mutex<Option<Act>>,
}

impl Acts {
    fn when_woken(act: impl FnMut() + Send + 'static) -> Waker {
        Arc::new(Self { when_woken: Mutex::new(Some(Box::new(act))), when_dropped: Mutex::new(None) }).into()
    }

    fn when_dropped(act: impl FnMut() + Send + 'static) -> Waker {
        Arc::new(Self { when_woken: Mutex::new(None), when_dropped: Mutex::new(Some(Box::new(act))) }).into()
    }
}

impl Wake for Acts {
    fn wake(self: Arc<Self>) {
        if let Some(mut act) = take(&self.when_woken) {
            act();
        }
    }
}

impl Drop for Acts {
    fn drop(&mut self) {
        if let Some(mut act) = take(&self.when_dropped) {
            act();
        }
    }
}

/// What two hands share, and one of them takes.
type Shared<T> = Arc<Mutex<Option<T>>>;

fn shared<T>(value: T) -> (Shared<T>, Shared<T>) {
    let it = Arc::new(Mutex::new(Some(value)));
    (it.clone(), it)
}

fn take<T>(shared: &Mutex<Option<T>>) -> Option<T> {
    shared.lock().unwrap().take()
}

fn guard(drain: &Drain) -> Guard {
    drain.guard().expect("running")
}

/// A panic that prints nothing.
fn panics() {
    resume_unwind(Box::new("as told"));
}

fn is_panic(act: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(act)).is_err()
}

#[test]
fn a_waker_may_poll_inline() {
    let drain = Drain::new();
    let held = guard(&drain);
    let (ours, theirs) = shared((drain.watcher(), guard(&drain).during(pending::<()>())));
    let waker = Acts::when_woken(move || {
        // Ready, again and again, on either list; and dropping both takes what lock there is.
        let (mut watcher, mut guard) = take(&theirs).expect("left there below");
        assert!(poll(&mut watcher, Waker::noop()).is_ready());
        assert!(poll(&mut watcher.clone(), Waker::noop()).is_ready());
        assert!(poll(&mut guard, Waker::noop()).is_pending());
    });
    if let Some((watcher, _)) = ours.lock().unwrap().as_mut() {
        assert!(poll(watcher, &waker).is_pending());
    }

    drop(drain.start());
    assert!(take(&ours).is_none());
    assert_eq!((drain.guards(), drain.state()), (1, State::Draining));
    drop(held);
    assert_eq!(drain.state(), State::Closed);
}

#[test]
fn a_waker_may_drop_the_future_that_registered_it() {
    let drain = Drain::new();
    let held = guard(&drain);
    let (watcher, to_watcher) = shared(drain.watcher());
    let (guard, to_guard) = shared(guard(&drain).during(pending::<()>()));
    let drops_watcher = Acts::when_woken(move || drop(take(&to_watcher)));
    let drops_guard = Acts::when_woken(move || drop(take(&to_guard)));
    assert!(poll(watcher.lock().unwrap().as_mut().unwrap(), &drops_watcher).is_pending());
    assert!(poll(guard.lock().unwrap().as_mut().unwrap(), &drops_guard).is_pending());

    drain.close();
    assert!(take(&watcher).is_none() && take(&guard).is_none());
    assert_eq!(drain.guards(), 1);
    drop(held);
}

#[test]
fn a_waker_may_drop_the_last_drain() {
    // On being woken by the release of the last guard, and on being dropped with the future that waited.
    let drain = Drain::new();
    let (held, watcher, mut drained) = (guard(&drain), drain.watcher(), drain.start());
    let mut last = Some(drain);
    let waker = Acts::when_woken(move || drop(last.take()));
    assert!(poll(&mut drained, &waker).is_pending());
    drop(held);
    assert_eq!(watcher.state(), State::Closed);

    let drain = Drain::new();
    let (mut waiting, watcher) = (drain.watcher(), drain.watcher());
    let mut last = Some(drain);
    let waker = Acts::when_dropped(move || drop(last.take()));
    assert!(poll(&mut waiting, &waker).is_pending());
    drop(waker);
    assert_eq!(watcher.state(), State::Running);
    drop(waiting);
    assert_eq!(watcher.state(), State::Closed);
}

#[test]
fn a_waker_may_ask_for_a_guard_or_beget_one() {
    let drain = Drain::new();
    let (held, watcher, mut waiting) = (guard(&drain), drain.watcher(), drain.watcher());
    let (kept, ours) = shared(None);
    let parent = held.clone();
    let waker = Acts::when_woken(move || {
        assert!(watcher.guard().is_none());
        *kept.lock().unwrap() = Some(Some(parent.clone()));
    });
    assert!(poll(&mut waiting, &waker).is_pending());

    drop(drain.start());
    drop((held, waiting, waker));
    assert_eq!((drain.guards(), drain.state()), (1, State::Draining));
    drop(take(&ours));
    assert_eq!(drain.state(), State::Closed);
}

#[test]
fn a_waker_may_start_and_close_from_within_the_wake() {
    let drain = Drain::new();
    let (held, mut watcher, mut drained) = (guard(&drain), drain.watcher(), Vec::new());
    let inner = drain.clone();
    let closes = Acts::when_woken(move || {
        drop(inner.start());
        inner.close();
    });
    assert!(poll(&mut watcher, &closes).is_pending());
    let (last, waker) = Count::waker();
    let mut another = drain.watcher();
    assert!(poll(&mut another, &waker).is_pending());
    drained.push(drain.start());
    assert_eq!((drain.state(), last.wakes()), (State::Closed, 1));
    assert!(matches!(poll(&mut drained[0], &waker), Poll::Ready(Err(overdue)) if overdue.guards() == 1));
    drop(held);
}

#[test]
fn a_waker_may_do_things_as_it_is_dropped() {
    // Replaced: the drop starts the drain, whose start takes the list that the waker was on.
    let drain = Drain::new();
    let (mut waiting, inner) = (drain.watcher(), drain.clone());
    let starts = Acts::when_dropped(move || drop(inner.start()));
    assert!(poll(&mut waiting, &starts).is_pending());
    drop(starts);
    let (woken, waker) = Count::waker();
    assert!(poll(&mut waiting, &waker).is_pending());
    assert_eq!((drain.state(), woken.wakes()), (State::Closed, 1));
    assert!(poll(&mut waiting, &waker).is_ready());

    // Woken, and dropped by that: the wake of the start closes.
    let drain = Drain::new();
    let (held, mut first, mut second, inner) = (guard(&drain), drain.watcher(), drain.watcher(), drain.clone());
    assert!(poll(&mut first, &Acts::when_dropped(move || inner.close())).is_pending());
    assert!(poll(&mut second, &waker).is_pending());
    drop(drain.start());
    assert_eq!((drain.state(), woken.wakes()), (State::Closed, 2));
    drop(held);
}

#[test]
fn a_waker_that_panics_as_it_is_dropped_loses_nothing() {
    // Replaced: the poll panics, and yet the new waker is the one that is woken.
    let drain = Drain::new();
    let mut watcher = drain.watcher();
    let (woken, waker) = Count::waker();
    assert!(poll(&mut watcher, &Acts::when_dropped(panics)).is_pending());
    assert!(is_panic(|| assert!(poll(&mut watcher, &waker).is_pending())));
    assert!(poll(&mut watcher, &waker).is_pending());

    // Dropped with the last guard: the guard is released all the same.
    let mut held = guard(&drain).during(pending::<()>());
    assert!(poll(&mut held, &Acts::when_dropped(panics)).is_pending());
    drop(drain.start());
    assert_eq!((drain.state(), woken.wakes()), (State::Draining, 1));
    assert!(is_panic(|| drop(held)));
    assert_eq!(drain.state(), State::Closed);
}

#[test]
fn a_panicking_waker_keeps_nobody_asleep() {
    // Two that panic, around those that do not, on both lists; the first panic is heard by who starts and closes.
    let drain = Drain::new();
    let held = guard(&drain);
    let (count, waker) = Count::waker();
    let wakers = [&waker, &Acts::when_woken(panics), &waker, &Acts::when_woken(panics), &waker];
    let mut watchers: Vec<Watcher> = wakers.iter().map(|_| drain.watcher()).collect();
    let mut guards: Vec<_> = wakers.iter().map(|_| guard(&drain).during(pending::<()>())).collect();
    for (watcher, waker) in watchers.iter_mut().zip(wakers) {
        assert!(poll(watcher, waker).is_pending());
    }
    assert!(is_panic(|| drop(drain.start())));
    assert_eq!((drain.state(), count.wakes()), (State::Draining, 3));

    let wakers = [&Acts::when_woken(panics), &Acts::when_woken(panics), &waker, &waker, &waker];
    for (guard, waker) in guards.iter_mut().zip(wakers) {
        assert!(poll(guard, waker).is_pending());
    }
    assert!(is_panic(|| drain.close()));
    assert_eq!((drain.state(), count.wakes()), (State::Closed, 6));
    assert!(guards.iter_mut().all(|guard| poll(guard, &waker).is_ready()));
    drop(held);
}

#[test]
fn a_panicking_waker_cannot_abort_a_panic_that_is_under_way() {
    // A task panics and so releases the last guard; the close wakes somebody who panics too.
    let drain = Drain::new();
    let (held, mut first, mut second) = (guard(&drain), drain.start(), drain.start());
    let (count, waker) = Count::waker();
    assert!(poll(&mut first, &Acts::when_woken(panics)).is_pending());
    assert!(poll(&mut second, &waker).is_pending());
    assert!(is_panic(move || {
        let _held = held;
        panics();
    }));
    assert_eq!((drain.state(), count.wakes()), (State::Closed, 1));
}

/// Says its name when it is dropped, and whether the drain had closed; may panic then.
struct Says<'a> {
    log: &'a RefCell<Vec<State>>,
    watcher: Watcher,
    panics: bool,
}

impl Drop for Says<'_> {
    fn drop(&mut self) {
        self.log.borrow_mut().push(self.watcher.state());
        if self.panics {
            panics();
        }
    }
}

#[test]
fn a_future_that_panics_in_poll_goes_before_its_guard() {
    let (drain, log) = (Drain::new(), RefCell::default());
    let says = Says { log: &log, watcher: drain.watcher(), panics: false };
    let work = guard(&drain).during(poll_fn(move |_| -> Poll<()> {
        let _owned = &says;
        resume_unwind(Box::new("as told"))
    }));
    drop(drain.start());
    assert!(is_panic(|| assert!(poll(work, Waker::noop()).is_pending())));
    assert_eq!((log.into_inner(), drain.state()), (vec![State::Draining], State::Closed));
}

#[test]
fn a_future_that_panics_on_drop_goes_before_its_guard() {
    // Dropped by its owner, by its own end, and by a forced close.
    for (ends, forced) in [(false, false), (true, false), (false, true)] {
        let (drain, log) = (Drain::new(), RefCell::default());
        let says = Says { log: &log, watcher: drain.watcher(), panics: true };
        let mut work = Box::pin(guard(&drain).during(poll_fn(move |_| {
            let _owned = &says;
            if ends { Poll::Ready(()) } else { Poll::Pending }
        })));
        drop(drain.start());
        if forced {
            drain.close();
        }
        assert!(is_panic(AssertUnwindSafe(|| {
            let _ = poll(&mut work, Waker::noop());
            drop(work);
        })));
        let seen = if forced { State::Closed } else { State::Draining };
        assert_eq!((log.into_inner(), drain.state(), drain.guards()), (vec![seen], State::Closed, 0));
    }
}

#[test]
fn a_future_may_close_its_own_drain() {
    let drain = Drain::new();
    let inner = drain.clone();
    let mut work = Box::pin(guard(&drain).during(poll_fn(move |_| {
        inner.close();
        Poll::Ready("done")
    })));
    // What it returned is not lost, although time was up as it did.
    assert_eq!(poll(&mut work, Waker::noop()), Poll::Ready(Some("done")));
    assert_eq!(poll(&mut work, Waker::noop()), Poll::Ready(None));

    let drain = Drain::new();
    let (inner, mut waiting) = (drain.clone(), Box::pin(drain.watcher().until_draining(pending::<()>())));
    assert!(poll(&mut waiting, &Acts::when_woken(move || inner.close())).is_pending());
    drop(drain.start());
    assert_eq!(poll(&mut waiting, Waker::noop()), Poll::Ready(None));
}

#[test]
fn a_timer_is_not_polled_after_it_was_ready() {
    let drain = Drain::new();
    let held = guard(&drain);
    let mut polls = 0;
    let mut bounded = Box::pin(drain.start().deadline(poll_fn(|_| {
        polls += 1;
        Poll::Ready(())
    })));
    for _ in 0..3 {
        assert!(matches!(poll(&mut bounded, Waker::noop()), Poll::Ready(Err(_))));
    }
    drop(bounded);
    assert_eq!(polls, 1);
    drop(held);
}

/// Bytes and allocations that outlive `act`.
fn leaks(act: impl FnOnce()) -> (i64, i64) {
    let left = allocation_counter::measure(act);
    (left.bytes_current, left.count_current)
}

#[test]
fn a_million_registrations_leave_memory_where_it_was() {
    let drain = Drain::new();
    let (_count, waker) = Count::waker();
    // One that stays keeps the list from starting afresh; thirty come and go beside it.
    let mut stays = drain.watcher();
    assert!(poll(&mut stays, &waker).is_pending());
    let come_and_go = || {
        let mut watchers: Vec<Watcher> = (0..30).map(|_| drain.watcher()).collect();
        for watcher in &mut watchers {
            assert!(poll(watcher, &waker).is_pending());
        }
    };
    come_and_go();
    assert_eq!(leaks(|| (0..1_000_000 / 30).for_each(|_| come_and_go())), (0, 0));
}

#[test]
fn a_crowd_that_has_left_leaves_no_memory() {
    let drain = Drain::new();
    let (_count, waker) = Count::waker();
    let left = leaks(|| {
        let mut guards: Vec<_> = (0..10_000).map(|_| guard(&drain).during(pending::<()>())).collect();
        for guard in &mut guards {
            assert!(poll(guard, &waker).is_pending());
        }
    });
    assert_eq!(left, (0, 0));
}

#[test]
fn a_drain_that_is_over_leaves_no_memory() {
    let cases: [&dyn Fn(); 7] = [
        &|| {
            let drain = Drain::new();
            let (ends_before, ends_with) = (drain.watcher().child("child"), drain.watcher().child("child"));
            drop(ends_before);
            drop(drain);
            drop(ends_with);
        },
        &|| drop(Drain::new()),
        &|| drop(Drain::new().start()),
        &|| drop(Drain::new().watcher()),
        &|| drop(guard(&Drain::new()).watcher()),
        &|| {
            let drain = Drain::new();
            let mut held = guard(&drain).during(pending::<()>());
            let mut bounded = Box::pin(drain.start().deadline(ready(())));
            assert!(poll(&mut held, Waker::noop()).is_pending());
            assert!(poll(&mut bounded, Waker::noop()).is_ready());
        },
        &|| {
            let drain = Drain::new();
            let _lame_duck = LameDuck::new(&drain, Duration::from_secs(1));
            let turn = guard(&drain).turn().expect("there is one");
            assert!(poll(&mut turn.watcher(), Waker::noop()).is_pending());
        },
    ];
    cases[0](); // what is asked once in a process is not a leak
    for (nth, case) in cases.iter().enumerate() {
        assert_eq!(leaks(case), (0, 0), "case {nth}");
    }
}

#[test]
fn a_waker_that_polls_its_own_task_inline_runs_it_to_the_end() {
    /// A task as the simplest of executors keeps it: waking it is polling it.
    struct Inline(Mutex<Option<std::pin::Pin<Box<dyn Future<Output = ()> + Send>>>>);

    impl Wake for Inline {
        fn wake(self: Arc<Self>) {
            let Some(mut task) = take(&self.0) else { return };
            let waker = Waker::from(self.clone());
            if task.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
                *self.0.lock().unwrap() = Some(task);
            }
        }
    }

    let drain = Drain::new();
    let (held, watcher, inner) = (guard(&drain), drain.watcher(), drain.clone());
    let task = Arc::new(Inline(Mutex::new(Some(Box::pin(async move {
        watcher.await;
        let cut = inner.start().await;
        assert!(cut.is_ok());
    })))));
    Waker::from(task.clone()).wake_by_ref();
    drop(drain.start());
    assert!(task.0.lock().unwrap().is_some());
    drop(held);
    assert!(task.0.lock().unwrap().is_none());
}
