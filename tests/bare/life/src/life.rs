//! The core's whole life, from the first guard to the last byte given back.

use core::future::pending;
use core::pin::pin;
use core::task::Poll;

use ebbtide::{Drain, State};

use crate::interrupt::{Job, Timer, hand};
use crate::machine::Machine;
use crate::task::Task;

/// Lives the core's whole life.
///
/// # Panics
///
/// Where a promise is not kept.
pub fn live(machine: Machine) {
    let heap = (machine.heap)();
    for chapter in [clean_end, deadline, forced_close, last_drain_dropped, from_an_interrupt] {
        chapter(machine);
        assert_eq!((machine.heap)(), heap, "memory was left behind");
    }
    (machine.say)(format_args!("memory: all of it given back, {heap} bytes in use as before"));
}

fn clean_end(machine: Machine) {
    let task = Task::new(machine);
    let drain = Drain::new();
    let mut watcher = drain.watcher();
    assert!(task.poll(&mut watcher).is_pending());
    (machine.say)(format_args!("running: a watcher waits, {} bytes in use", (machine.heap)()));

    let sections = (machine.sections)();
    let guard = watcher.guard().expect("running");
    drop(guard.clone());
    drop((watcher.clone(), drain.watcher(), watcher.closed(), drain.clone()));
    assert!(task.poll(&mut watcher).is_pending());
    assert_eq!((drain.state(), guard.state()), (State::Running, State::Running));
    assert_eq!((machine.sections)(), sections, "a guard takes no lock and no memory");
    assert_eq!(drain.guards(), 1);
    (machine.say)(format_args!("running: a guard is held"));

    let mut drained = drain.start();
    assert_eq!(task.wakes(), 1);
    assert!(task.poll(&mut watcher).is_ready());
    assert!(watcher.guard().is_none());
    (machine.say)(format_args!("draining: the watcher was woken and is ready, no new guard is given"));

    let child = guard.clone();
    assert!(task.poll(&mut drained).is_pending());
    drop(guard);
    assert_eq!((drain.state(), task.wakes()), (State::Draining, 1));
    drop(child);
    assert_eq!((drain.state(), task.wakes()), (State::Closed, 2));
    assert_eq!(task.poll(&mut drained), Poll::Ready(Ok(())));
    (machine.say)(format_args!("closed: the last guard was released, nothing was lost"));
}

fn deadline(machine: Machine) {
    let (task, worker) = (Task::new(machine), Task::new(machine));
    let drain = Drain::new();
    let guard = drain.guard().expect("running");
    let mut work = pin!(guard.during(pending::<()>()));
    assert!(worker.poll(&mut work).is_pending());

    let overdue = task.finish(drain.start().deadline(Timer::after(3))).expect_err("the guard is held");
    assert_eq!(overdue.guards(), 1);
    (machine.say)(format_args!("deadline: after 3 ticks of the timer: {overdue}"));

    assert_eq!(worker.wakes(), 1);
    assert_eq!(worker.poll(&mut work), Poll::Ready(None));
    assert_eq!(drain.guards(), 0);
    (machine.say)(format_args!("deadline: the work was woken and dropped, then its guard"));
}

fn forced_close(machine: Machine) {
    let task = Task::new(machine);
    let drain = Drain::new();
    let mut work = pin!(drain.guard().expect("running").during(pending::<()>()));
    assert!(task.poll(&mut work).is_pending());

    drain.close();
    assert_eq!((drain.state(), task.wakes()), (State::Closed, 1));
    assert!(task.poll(&mut work).is_ready());
    let overdue = task.finish(drain.start()).expect_err("the guard is held");
    (machine.say)(format_args!("forced close: {overdue}"));
}

fn last_drain_dropped(machine: Machine) {
    let task = Task::new(machine);
    let drain = Drain::new();
    let mut watcher = drain.watcher();
    assert!(task.poll(&mut watcher).is_pending());

    drop(drain);
    assert_eq!((watcher.state(), task.wakes()), (State::Closed, 1));
    (machine.say)(format_args!("last drain dropped: started, and closed at once, as no guard was held"));
}

fn from_an_interrupt(machine: Machine) {
    let (task, keeper) = (Task::new(machine), Task::new(machine));
    let drain = Drain::new();
    let mut watcher = drain.watcher();
    let mut closed = watcher.closed();
    assert!(task.poll(&mut watcher).is_pending());
    assert!(keeper.poll(&mut closed).is_pending());

    hand(Job::Start(drain.clone()));
    task.finish(&mut watcher);
    assert_eq!(task.wakes_by_interrupt(), 1);
    (machine.say)(format_args!("interrupt: took a guard, cloned it, started the drain; that woke the watcher"));

    keeper.finish(&mut closed);
    assert_eq!(keeper.wakes_by_interrupt(), 1);
    assert_eq!(task.finish(drain.start()), Ok(()));
    (machine.say)(format_args!("interrupt: released the last guard; that closed the drain"));

    let worker = Task::new(machine);
    let drain = Drain::new();
    let mut work = pin!(drain.guard().expect("running").during(pending::<()>()));
    assert!(worker.poll(&mut work).is_pending());
    hand(Job::Close(drain.clone()));
    worker.finish(&mut work);
    assert_eq!(worker.wakes_by_interrupt(), 1);
    let overdue = worker.finish(drain.start()).expect_err("the guard is held");
    (machine.say)(format_args!("interrupt: closed by force: {} guard cut", overdue.guards()));
}
