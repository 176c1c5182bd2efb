//! Random sequences of all public operations, against a plain sequential model of what they should do.

#![cfg(not(loom))]

mod by_hand;

use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use by_hand::{Count, poll};
use ebbtide::{Closed, Deadline, Drain, Drained, Guard, Overdue, State, Until, Watcher};
use proptest::prelude::*;

/// What the core should do: no shards, no lists, no atomics.
#[derive(Debug)]
struct Model {
    state: State,
    /// By label, with those that have none.
    guards: BTreeMap<Under, usize>,
    /// How many were cut, and whose they were.
    cut: Option<(usize, Labelled)>,
}

/// How many guards have each label, the most first.
type Labelled = Vec<(String, usize)>;

/// What a guard counts under.
type Under = Option<&'static str>;

const LABELS: [&str; 3] = ["socket", "timer", "upload"];

fn labelled(held: &[ebbtide::Held]) -> Labelled {
    held.iter().map(|held| (held.label().to_string(), held.guards())).collect()
}

impl Model {
    fn start(&mut self) {
        self.state = self.state.max(State::Draining);
        self.settle();
    }

    fn close(&mut self) {
        self.start();
        if self.state == State::Draining {
            (self.state, self.cut) = (State::Closed, Some((self.guards(), self.labelled())));
        }
    }

    fn guards(&self) -> usize {
        self.guards.values().sum()
    }

    fn labelled(&self) -> Labelled {
        let held = self.guards.iter().filter_map(|(label, guards)| Some(((*label)?.to_string(), *guards)));
        let mut held: Labelled = held.filter(|(_, guards)| *guards > 0).collect();
        held.sort_by_key(|(_, guards)| Reverse(*guards));
        held
    }

    fn take(&mut self, label: Under) {
        *self.guards.entry(label).or_default() += 1;
    }

    fn release(&mut self, label: Under) {
        *self.guards.get_mut(&label).expect("taken before") -= 1;
        self.settle();
    }

    fn settle(&mut self) {
        if self.state == State::Draining && self.guards() == 0 {
            self.state = State::Closed;
        }
    }

    fn outcome(&self) -> Poll<Result<(), (usize, Labelled)>> {
        if self.state != State::Closed {
            return Poll::Pending;
        }
        Poll::Ready(self.cut.clone().map_or(Ok(()), Err))
    }
}

/// A future that ends when it is told, and that may not be polled again then.
#[derive(Clone, Debug, Default)]
struct Switch(Rc<Cell<bool>>, Rc<Cell<bool>>);

impl Future for Switch {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        assert!(!self.1.get(), "polled after it was ready");
        self.1.set(self.0.get());
        if self.0.get() { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// A handle; all but the guard are futures.
#[derive(Debug)]
enum Handle {
    Watcher(Watcher),
    UntilDraining(Pin<Box<Until<Watcher, Switch>>>, Switch),
    Closed(Closed),
    UntilClosed(Pin<Box<Until<Closed, Switch>>>, Switch),
    Guard(Guard, Under),
    During(Pin<Box<Until<Guard, Switch>>>, Switch, Under),
    Drained(Drained),
    Deadline(Pin<Box<Deadline<Switch>>>, Switch),
}

/// A handle, and what is known of its waits.
#[derive(Debug)]
struct Held {
    handle: Handle,
    count: Arc<Count>,
    waker: Waker,
    /// Whether `waker` is to be woken by the event.
    waits: bool,
    /// Whether an inner future is gone, and with it the guard or the watcher it ran under.
    finished: bool,
}

impl Held {
    fn new(handle: Handle) -> Self {
        let (count, waker) = Count::waker();
        Self { handle, count, waker, waits: false, finished: false }
    }

    fn event(&self) -> State {
        match self.handle {
            Handle::Watcher(_) | Handle::UntilDraining(..) => State::Draining,
            _ => State::Closed,
        }
    }

    /// What it counts under, where it holds the drain up.
    fn holds(&self) -> Option<Under> {
        match self.handle {
            Handle::Guard(_, label) | Handle::During(_, _, label) if !self.finished => Some(label),
            _ => None,
        }
    }

    /// Polls; asserts that the answer is the model's, and lets the model do what the poll did.
    fn poll(&mut self, model: &mut Model) {
        if let Handle::Guard(..) = self.handle {
            return;
        }
        let over = model.state >= self.event();
        self.waits |= !over && !self.finished;
        let waker = &self.waker;
        match &mut self.handle {
            Handle::Watcher(watcher) => assert_eq!(poll(watcher, waker).is_ready(), over),
            Handle::Closed(closed) => assert_eq!(poll(closed, waker).is_ready(), over),
            Handle::Guard(..) => unreachable!("no future"),
            Handle::Drained(drained) => {
                assert_eq!(poll(drained, waker).map_err(|overdue| told(&overdue)), model.outcome());
            }
            Handle::Deadline(deadline, timer) => {
                if timer.0.get() {
                    model.close();
                }
                assert_eq!(poll(deadline, waker).map_err(|overdue| told(&overdue)), model.outcome());
            }
            Handle::UntilDraining(future, switch) => {
                let expected = until(over || self.finished, switch);
                assert_eq!(poll(future, waker), expected);
                self.finish(expected.is_ready(), over);
            }
            Handle::UntilClosed(future, switch) => {
                let expected = until(over || self.finished, switch);
                assert_eq!(poll(future, waker), expected);
                self.finish(expected.is_ready(), over);
            }
            Handle::During(future, switch, label) => {
                let label = *label;
                let expected = until(over || self.finished, switch);
                assert_eq!(poll(future, waker), expected);
                if self.finish(expected.is_ready(), over) {
                    model.release(label);
                }
            }
        }
    }

    /// What ended what a future runs until is dropped when the future is ready. Returns whether that was just now.
    fn finish(&mut self, ready: bool, over: bool) -> bool {
        let now = ready && !self.finished;
        self.finished |= ready;
        if now {
            // What is gone has taken its waker back, unless it was woken before.
            self.waits &= over;
        }
        now
    }

    /// Polls with another waker from now on; the one that was left is to be forgotten.
    fn change_waker(&mut self, model: &mut Model) {
        let (count, waker) = Count::waker();
        let before = mem::replace(&mut self.count, count);
        drop(mem::replace(&mut self.waker, waker));
        let (waited, woken) = (mem::take(&mut self.waits), before.wakes());
        self.poll(model);
        // Also by a timer that is up, whose poll wakes what the same poll has left.
        assert_eq!(before.wakes(), woken);
        assert!(!waited || !self.waits || Arc::strong_count(&before) == 2, "the old waker was kept");
    }

    fn check(&self, model: &Model) {
        let woken = self.waits && model.state >= self.event();
        assert_eq!(self.count.wakes(), usize::from(woken), "{self:?} {model:?}");
        match &self.handle {
            Handle::Watcher(watcher) => assert_eq!(watcher.state(), model.state),
            Handle::Guard(guard, label) => {
                assert_eq!(guard.state(), model.state);
                assert_eq!(guard.label().map(ToString::to_string).as_deref(), *label);
            }
            _ => {}
        }
    }
}

fn told(overdue: &Overdue) -> (usize, Labelled) {
    (overdue.guards(), labelled(overdue.held()))
}

fn until(over: bool, switch: &Switch) -> Poll<Option<()>> {
    match (over, switch.0.get()) {
        (true, _) => Poll::Ready(None),
        (false, true) => Poll::Ready(Some(())),
        (false, false) => Poll::Pending,
    }
}

#[derive(Clone, Copy, Debug)]
enum Op {
    CloneDrain,
    DropDrain,
    Start,
    Close,
    Watch,
    Take(usize),
    Label(usize, &'static str),
    AwaitClose(usize),
    UntilClosed(usize),
    Clone(usize),
    Drop(usize),
    Wrap(usize),
    Tell(usize),
    Poll(usize),
    ChangeWaker(usize),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let which = 0..1000_usize;
    // What ends the drain is rare, so that much happens before and after it.
    let op = prop_oneof![
        2 => Just(Op::CloneDrain),
        1 => Just(Op::DropDrain),
        1 => Just(Op::Start),
        1 => Just(Op::Close),
        6 => Just(Op::Watch),
        8 => which.clone().prop_map(Op::Take),
        8 => (which.clone(), prop::sample::select(&LABELS[..])).prop_map(|(n, label)| Op::Label(n, label)),
        4 => which.clone().prop_map(Op::AwaitClose),
        4 => which.clone().prop_map(Op::UntilClosed),
        6 => which.clone().prop_map(Op::Clone),
        8 => which.clone().prop_map(Op::Drop),
        6 => which.clone().prop_map(Op::Wrap),
        4 => which.clone().prop_map(Op::Tell),
        16 => which.clone().prop_map(Op::Poll),
        4 => which.prop_map(Op::ChangeWaker),
    ];
    prop::collection::vec(op, 0..120)
}

/// The drain under test, its model, and all that was made of it.
struct Run {
    model: Model,
    drains: Vec<Drain>,
    held: Vec<Held>,
    counts: Vec<Arc<Count>>,
}

impl Run {
    fn new() -> Self {
        let model = Model { state: State::Running, guards: BTreeMap::new(), cut: None };
        Self { model, drains: vec![Drain::new()], held: Vec::new(), counts: Vec::new() }
    }

    fn add(&mut self, handle: Handle) {
        let held = Held::new(handle);
        self.counts.push(held.count.clone());
        self.held.push(held);
    }

    fn step(&mut self, op: Op) {
        match op {
            Op::CloneDrain => self.drains.extend(self.drains.last().cloned()),
            Op::DropDrain => {
                if self.drains.pop().is_some() && self.drains.is_empty() {
                    self.model.start();
                }
            }
            Op::Start => {
                if let Some(drain) = self.drains.last() {
                    let drained = drain.start();
                    self.model.start();
                    self.add(Handle::Drained(drained));
                }
            }
            Op::Close => {
                if let Some(drain) = self.drains.last() {
                    drain.close();
                    self.model.close();
                }
            }
            Op::Watch => {
                if let Some(drain) = self.drains.last() {
                    self.add(Handle::Watcher(drain.watcher()));
                }
            }
            Op::Label(n, _)
            | Op::AwaitClose(n)
            | Op::UntilClosed(n)
            | Op::Take(n)
            | Op::Clone(n)
            | Op::Drop(n)
            | Op::Wrap(n)
            | Op::Tell(n)
            | Op::Poll(n)
            | Op::ChangeWaker(n) => {
                if !self.held.is_empty() {
                    self.step_of(op, n % self.held.len());
                }
            }
        }
    }

    fn step_of(&mut self, op: Op, n: usize) {
        let held = &mut self.held[n];
        match op {
            Op::Poll(_) => held.poll(&mut self.model),
            Op::ChangeWaker(_) => {
                held.change_waker(&mut self.model);
                self.counts.push(held.count.clone());
            }
            Op::Tell(_) => match &held.handle {
                Handle::Deadline(_, switch)
                | Handle::During(_, switch, _)
                | Handle::UntilDraining(_, switch)
                | Handle::UntilClosed(_, switch) => switch.0.set(true),
                _ => {}
            },
            Op::Take(_) => match &held.handle {
                Handle::Watcher(watcher) => {
                    let guard = watcher.guard();
                    assert_eq!(guard.is_some(), self.model.state == State::Running);
                    if let Some(guard) = guard {
                        self.model.take(None);
                        self.add(Handle::Guard(guard, None));
                    }
                }
                Handle::Guard(guard, _) => {
                    let watcher = guard.watcher();
                    self.add(Handle::Watcher(watcher));
                }
                _ => {}
            },
            Op::Label(_, label) => {
                let guard = match &held.handle {
                    Handle::Watcher(watcher) => {
                        let guard = watcher.labelled(label);
                        assert_eq!(guard.is_some(), self.model.state == State::Running);
                        guard
                    }
                    // Never refused, in whichever state.
                    Handle::Guard(guard, _) => Some(guard.labelled(label)),
                    _ => None,
                };
                if let Some(guard) = guard {
                    self.model.take(Some(label));
                    self.add(Handle::Guard(guard, Some(label)));
                }
            }
            Op::AwaitClose(_) => {
                if let Handle::Watcher(watcher) = &held.handle {
                    let closed = watcher.closed();
                    self.add(Handle::Closed(closed));
                }
            }
            Op::Clone(_) => {
                let clone = match &held.handle {
                    Handle::Watcher(watcher) => Handle::Watcher(watcher.clone()),
                    Handle::Drained(drained) => Handle::Drained(drained.clone()),
                    Handle::Guard(guard, label) => {
                        self.model.take(*label);
                        Handle::Guard(guard.clone(), *label)
                    }
                    _ => return,
                };
                self.add(clone);
            }
            Op::Wrap(_) => {
                let (switch, held) = (Switch::default(), self.held.swap_remove(n));
                let handle = match held.handle {
                    Handle::Watcher(watcher) => {
                        Handle::UntilDraining(Box::pin(watcher.until_draining(switch.clone())), switch)
                    }
                    Handle::Guard(guard, label) => {
                        Handle::During(Box::pin(guard.during(switch.clone())), switch, label)
                    }
                    Handle::Drained(drained) => Handle::Deadline(Box::pin(drained.deadline(switch.clone())), switch),
                    wrapped => wrapped,
                };
                self.held.push(Held { handle, ..held });
            }
            Op::UntilClosed(_) => {
                if let Handle::Watcher(watcher) = &held.handle {
                    let switch = Switch::default();
                    let future = Box::pin(watcher.clone().until_closed(switch.clone()));
                    self.add(Handle::UntilClosed(future, switch));
                }
            }
            Op::Drop(_) => {
                let gone = self.held.swap_remove(n);
                if let Some(label) = gone.holds() {
                    self.model.release(label);
                }
                let Held { handle, count, waker, .. } = gone;
                let wakes = count.wakes();
                drop(waker);
                drop(handle);
                assert_eq!(count.wakes(), wakes, "woken by its own drop");
            }
            _ => unreachable!("of no handle"),
        }
    }

    fn check(&self) {
        for held in &self.held {
            held.check(&self.model);
        }
        if let Some(drain) = self.drains.last() {
            assert_eq!((drain.state(), drain.guards()), (self.model.state, self.model.guards()));
            assert_eq!(labelled(&drain.held()), self.model.labelled());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_does_what_the_model_does(ops in ops()) {
        let mut run = Run::new();
        for op in ops {
            run.step(op);
            run.check();
        }
        // When all has gone, nothing keeps a waker.
        let Run { drains, held, counts, .. } = run;
        drop((drains, held));
        prop_assert!(counts.into_iter().all(|count| Arc::strong_count(&count) == 1));
    }
}
