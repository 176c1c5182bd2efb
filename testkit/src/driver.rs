//! What has tasks run, and time pass when none can.

use std::cell::{Cell, RefCell};
use std::fmt::Write as _;
use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::time::Duration;

use ebbtide::Drain;

use crate::clock::Clock;
use crate::executor::Executor;
#[cfg(feature = "tokio")]
use crate::paused::Paused;
use crate::pipe::Pipe;
use crate::runtime::Runtime;

/// One simulation's tasks, time and connections.
#[derive(Debug)]
pub(crate) struct Driver {
    executor: Rc<Executor>,
    runtime: Runtime,
    /// None on our own executor alone.
    #[cfg(feature = "tokio")]
    paused: Option<Paused>,
    pub(crate) drain: Drain,
    pub(crate) patience: Cell<Duration>,
    pipes: RefCell<Vec<Weak<Pipe>>>,
    is_running: Cell<bool>,
    /// A client has done something that somebody may have waited for.
    is_touched: Cell<bool>,
}

/// In virtual time. No test is about this number: what is not there after it never will be, though some timer ticks on.
const PATIENCE: Duration = Duration::from_secs(3600);

/// What tasks may do in one instant: more is a task that wakes itself for ever.
const POLLS: usize = 1_000_000;

impl Driver {
    pub(crate) fn new(drain: Drain) -> Self {
        let (id, executor) = Executor::new();
        let runtime = Runtime::new(id, Clock::new());
        Self {
            executor,
            runtime,
            #[cfg(feature = "tokio")]
            paused: None,
            drain,
            patience: Cell::new(PATIENCE),
            pipes: RefCell::default(),
            is_running: Cell::new(false),
            is_touched: Cell::new(false),
        }
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn tokio(drain: Drain) -> Self {
        let (id, executor) = Executor::new();
        let paused = Paused::new(executor.queue());
        let runtime = Runtime::new(id, paused.clock());
        Self { paused: Some(paused), executor, runtime, ..Self::new(drain) }
    }

    pub(crate) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Calls what may want to know which runtime it is on.
    // Without tokio, nobody wants to know.
    #[cfg_attr(not(feature = "tokio"), allow(clippy::unused_self))]
    pub(crate) fn within<R>(&self, call: impl FnOnce() -> R) -> R {
        #[cfg(feature = "tokio")]
        if let Some(paused) = &self.paused {
            return paused.within(call);
        }
        call()
    }

    pub(crate) fn pipe(&self, name: String, capacity: usize) -> Arc<Pipe> {
        let pipe = Pipe::new(name, capacity);
        self.pipes.borrow_mut().push(Arc::downgrade(&pipe));
        pipe
    }

    /// Has all that can run do so. No time passes.
    pub(crate) fn settle(&self) {
        self.running(|| {
            #[cfg(feature = "tokio")]
            if let Some(paused) = &self.paused {
                return paused.settle(&self.executor);
            }
            let mut polls = 0;
            while self.executor.run_one() {
                polls += 1;
                assert!(polls < POLLS, "the tasks go on and on, and no time passes; {}", self.describe());
            }
        });
    }

    /// The smallest thing that can happen: one task runs, or else time passes to the next timer, if that is not behind
    /// `limit`. On tokio, whose tasks are not ours to run one by one, all that can run does. Returns whether anything
    /// happened.
    pub(crate) fn step(&self, limit: Duration) -> bool {
        #[cfg(feature = "tokio")]
        if self.paused.is_some() {
            // What a client has done has its effect before any time passes.
            if self.is_touched.replace(false) {
                self.settle();
                return true;
            }
            return self.advance(limit);
        }
        self.running(|| self.executor.run_one()) || self.advance(limit)
    }

    /// Lets time pass to the next timer, if that is not behind `limit`, and else to the limit. Returns whether there was
    /// one.
    fn advance(&self, limit: Duration) -> bool {
        self.running(|| {
            #[cfg(feature = "tokio")]
            if let Some(paused) = &self.paused {
                return paused.advance(&self.executor, self.runtime.clock(), limit);
            }
            self.runtime.clock().advance(limit)
        })
    }

    /// Goes on until this is so, or until then. Returns whether it is so.
    pub(crate) fn wait_until(&self, limit: Duration, mut is: impl FnMut() -> bool) -> bool {
        loop {
            self.is_touched.set(false);
            self.settle();
            if is() {
                return true;
            }
            // Looking may be reading, and reading makes room: no time passes before that is used.
            if self.is_touched.get() {
                continue;
            }
            if self.runtime.now() >= limit {
                return false;
            }
            if !self.advance(limit) {
                self.settle();
                return is();
            }
        }
    }

    /// Goes on until this is so. Panics, with `what` is wanted, where it never will be.
    pub(crate) fn wait(&self, what: impl FnOnce() -> String, mut is: impl FnMut() -> bool) {
        let limit = self.runtime.now() + self.patience.get();
        if self.wait_until(limit, || is() || self.is_stuck()) && is() {
            return;
        }
        let (what, all) = (what(), self.describe());
        assert!(!self.is_stuck(), "nothing will ever happen: {what}, no task can run and no timer is set; {all}");
        panic!("{what}, and has done so for {:?}; {all}", self.patience.get());
    }

    /// Nothing can run, and no time would change that.
    fn is_stuck(&self) -> bool {
        #[cfg(feature = "tokio")]
        if self.paused.is_some() {
            return false;
        }
        self.executor.queue().is_empty() && self.runtime.clock().next().is_none()
    }

    /// A client has read or written: somebody may be able to go on.
    pub(crate) fn touch(&self) {
        self.is_touched.set(true);
    }

    /// Ends every task.
    pub(crate) fn clear(&self) {
        self.within(|| self.executor.clear());
    }

    /// How many tasks there are, with those of tokio.
    pub(crate) fn tasks(&self) -> usize {
        let own = self.executor.count();
        #[cfg(feature = "tokio")]
        if let Some(paused) = &self.paused {
            return own + paused.tasks();
        }
        own
    }

    /// Those whose tasks panicked.
    pub(crate) fn panicked(&self) -> Vec<String> {
        self.executor.names().1
    }

    /// How everybody stands.
    pub(crate) fn describe(&self) -> String {
        let mut text = format!("at {:?}: the drain is {:?}", self.runtime.now(), self.drain.state());
        let _ = write!(text, " with {} guards held", self.drain.guards());
        for held in self.drain.held() {
            let _ = write!(text, ", {} by {}", held.guards(), held.label());
        }
        self.pipes.borrow_mut().retain(|it| it.strong_count() > 0);
        for pipe in self.pipes.borrow().iter().filter_map(Weak::upgrade) {
            let _ = write!(text, "; {}", pipe.describe());
        }
        let (alive, panicked) = self.executor.names();
        let _ = write!(text, "; tasks: {}", if alive.is_empty() { "none".into() } else { alive.join(", ") });
        if !panicked.is_empty() {
            let _ = write!(text, "; panicked: {}", panicked.join(", "));
        }
        text
    }

    fn running<R>(&self, run: impl FnOnce() -> R) -> R {
        struct Ends<'a>(&'a Cell<bool>);
        impl Drop for Ends<'_> {
            fn drop(&mut self) {
                self.0.set(false);
            }
        }
        assert!(!self.is_running.replace(true), "a task of a simulation cannot drive it: do this outside of its tasks");
        let _ends = Ends(&self.is_running);
        run()
    }
}
