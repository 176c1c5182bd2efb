//! An interrupt at every moment of a drain's life.

use ebbtide::{Drain, State};
use ebbtide_bare_life::{Job, Machine, Task, hand, take_back, ticks};

use crate::timer;

/// A drain's life is lived over and over, and the interrupt comes one cycle later each time, until it would come
/// after the end. Whatever it found half done must be whole afterwards.
pub fn sweep(machine: Machine) {
    let jobs: [(&str, fn(&Drain, &Task) -> Job); 4] = [
        ("takes a guard and starts", |drain, _| Job::Start(drain.clone())),
        ("releases a guard", |drain, _| Job::Release(drain.guard().expect("running"))),
        ("closes by force", |drain, _| Job::Close(drain.clone())),
        ("waits, and waits no more", |drain, task| Job::Watch(drain.watcher(), task.waker())),
    ];
    for (name, job) in jobs {
        let mut cycles = 1;
        while interrupted_after(cycles, machine, job, false) | interrupted_after(cycles, machine, job, true) {
            cycles += 1;
        }
        (machine.say)(format_args!(
            "at every one of {cycles} cycles of a drain's life, an interrupt {name}: nothing is lost"
        ));
    }
}

/// Lives, down to the last guard or to a forced close, with the interrupt after so many cycles. Returns whether it came
/// before the end.
fn interrupted_after(cycles: u32, machine: Machine, job: fn(&Drain, &Task) -> Job, by_force: bool) -> bool {
    let (heap, ticks_before) = ((machine.heap)(), ticks());
    let [replaced, first, second, third, handler] = [(); 5].map(|()| Task::new(machine));
    let drain = Drain::new();
    hand(job(&drain, &handler));
    timer::once(cycles);

    let mut watcher = drain.watcher();
    let _ = replaced.poll(&mut watcher);
    let first_waits = first.poll(&mut watcher).is_pending();
    let mut closed = watcher.closed();
    let second_waits = second.poll(&mut closed).is_pending();
    let mut dropped = watcher.clone();
    let _ = replaced.poll(&mut dropped);
    drop(dropped);
    let guard = watcher.guard();
    let child = guard.clone();
    let _ = drain.guards();
    let mut drained = drain.start();
    let third_waits = third.poll(&mut drained).is_pending();
    drop(child);
    if by_force {
        drain.close();
    }
    drop(guard);

    timer::stop();
    let in_time = ticks() > ticks_before;
    drop(take_back()); // a job that was not done, or the guard that one left
    assert_eq!(drain.state(), State::Closed);
    assert!(third.poll(&mut drained).is_ready());
    for (task, waits) in [(first, first_waits), (second, second_waits), (third, third_waits)] {
        assert_eq!(task.wakes(), usize::from(waits), "whoever waits is woken once, interrupted after {cycles} cycles");
    }
    drop((watcher, closed, drained, drain, replaced, handler));
    assert_eq!((machine.heap)(), heap, "memory was left behind, interrupted after {cycles} cycles");
    in_time
}
