//! The tasks of a simulation, on one thread and in one order.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Wake, Waker};

type LocalFuture = Pin<Box<dyn Future<Output = ()>>>;

/// Runs tasks in the order in which they were woken.
pub(crate) struct Executor {
    tasks: RefCell<Tasks>,
    queue: Arc<Queue>,
}

#[derive(Default)]
struct Tasks {
    next: usize,
    alive: BTreeMap<usize, Task>,
    /// Those that panicked.
    panicked: Vec<String>,
}

struct Task {
    name: String,
    /// None while it is polled.
    future: Option<LocalFuture>,
    wake: Arc<WakeTask>,
}

/// Who can run. Wakers come from any thread.
#[derive(Default)]
pub(crate) struct Queue {
    ready: Mutex<VecDeque<usize>>,
    /// What polls this executor where it is not alone.
    outer: Mutex<Option<Waker>>,
}

struct WakeTask {
    key: usize,
    is_queued: AtomicBool,
    queue: Arc<Queue>,
}

/// Finds an executor from whatever may be sent anywhere; its tasks may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Id(u64);

thread_local! {
    static EXECUTORS: RefCell<Vec<(Id, Weak<Executor>)>> = const { RefCell::new(Vec::new()) };
}

impl Executor {
    pub(crate) fn new() -> (Id, Rc<Self>) {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        // Relaxed: a number, that is all.
        let id = Id(NEXT.fetch_add(1, Ordering::Relaxed));
        let executor = Rc::new(Self { tasks: RefCell::default(), queue: Arc::default() });
        EXECUTORS.with_borrow_mut(|all| {
            all.retain(|(_, executor)| executor.strong_count() > 0);
            all.push((id, Rc::downgrade(&executor)));
        });
        (id, executor)
    }

    /// The executor of this thread that has this id, if it still is.
    pub(crate) fn find(id: Id) -> Option<Rc<Self>> {
        EXECUTORS.with_borrow(|all| all.iter().find(|(other, _)| *other == id)?.1.upgrade())
    }

    pub(crate) fn spawn(&self, name: String, future: impl Future<Output = ()> + 'static) {
        let mut tasks = self.tasks.borrow_mut();
        let key = tasks.next;
        tasks.next += 1;
        let wake = Arc::new(WakeTask { key, is_queued: AtomicBool::new(false), queue: self.queue.clone() });
        tasks.alive.insert(key, Task { name, future: Some(Box::pin(future)), wake: wake.clone() });
        drop(tasks);
        wake.wake();
    }

    /// Polls the task that was woken first. Returns whether there was one.
    pub(crate) fn run_one(&self) -> bool {
        loop {
            let Some(key) = self.queue.pop() else { return false };
            let mut tasks = self.tasks.borrow_mut();
            // What is gone may have been woken before.
            let Some(task) = tasks.alive.get_mut(&key) else { continue };
            let Some(mut future) = task.future.take() else { continue };
            let wake = task.wake.clone();
            drop(tasks);
            wake.is_queued.store(false, Ordering::SeqCst);
            let waker = Waker::from(wake);
            let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut Context::from_waker(&waker))));
            let mut tasks = self.tasks.borrow_mut();
            if let Ok(true) = polled.as_ref().map(std::task::Poll::is_pending) {
                if let Some(task) = tasks.alive.get_mut(&key) {
                    task.future = Some(future);
                }
                return true;
            }
            // As on other executors, its panic is its own: it ends, and has said so on standard error.
            if let (Some(task), Err(_)) = (tasks.alive.remove(&key), polled) {
                tasks.panicked.push(task.name);
            }
            drop(tasks);
            // A panic in its drop is its own too.
            let _ = catch_unwind(AssertUnwindSafe(|| drop(future)));
            return true;
        }
    }

    pub(crate) fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }

    /// Drops every task.
    pub(crate) fn clear(&self) {
        let tasks = std::mem::take(&mut self.tasks.borrow_mut().alive);
        drop(tasks);
    }

    /// How many tasks there are.
    pub(crate) fn count(&self) -> usize {
        self.tasks.borrow().alive.len()
    }

    /// The names of the tasks there are, and of those that panicked.
    pub(crate) fn names(&self) -> (Vec<String>, Vec<String>) {
        let tasks = self.tasks.borrow();
        (tasks.alive.values().map(|task| task.name.clone()).collect(), tasks.panicked.clone())
    }
}

impl Queue {
    pub(crate) fn is_empty(&self) -> bool {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn polled_by(&self, waker: &Waker) {
        *self.outer.lock().unwrap_or_else(PoisonError::into_inner) = Some(waker.clone());
    }

    fn pop(&self) -> Option<usize> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    fn push(&self, key: usize) {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).push_back(key);
        let outer = self.outer.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(outer) = outer {
            outer.wake();
        }
    }
}

impl Wake for WakeTask {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_queued.swap(true, Ordering::SeqCst) {
            self.queue.push(self.key);
        }
    }
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor").field("tasks", &self.names().0).finish_non_exhaustive()
    }
}
