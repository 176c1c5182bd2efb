//! What runs the tasks of a thread.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use super::reactor::Reactor;

/// Runs a future, and whatever it spawns, to the future's end. Tasks that are left then are dropped.
///
/// # Panics
///
/// Where the future does, and inside another `block_on`.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let reactor = Reactor::of_this_thread();
    let executor = Entered::new(&reactor);
    let mut main = pin!(future);
    let ticket = executor.0.ticket(MAIN);
    let waker = Waker::from(ticket.clone());
    waker.wake_by_ref();
    loop {
        // A batch: what is woken by it comes after I/O and timers had their turn.
        for id in executor.0.queue.take() {
            if id != MAIN {
                executor.0.run(id);
                continue;
            }
            ticket.spend();
            if let Poll::Ready(output) = main.as_mut().poll(&mut Context::from_waker(&waker)) {
                return output;
            }
        }
        reactor.turn(|| executor.0.queue.is_empty());
    }
}

/// Runs a task in the background. It goes on when its handle is dropped.
///
/// # Panics
///
/// Outside [`block_on`].
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    let executor = CURRENT.with_borrow(Clone::clone).expect("there is a runtime on this thread");
    let slot = Rc::new(RefCell::new(Slot { output: None, over: false, waker: None }));
    let promise = Promise(slot.clone());
    executor.spawn(Box::pin(async move {
        let output = future.await;
        promise.0.borrow_mut().output = Some(output);
    }));
    JoinHandle(slot)
}

/// The end of a task.
#[must_use = "futures do nothing unless polled"]
pub struct JoinHandle<T>(Rc<RefCell<Slot<T>>>);

/// The task panicked, or the runtime ended before it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Panicked;

struct Slot<T> {
    output: Option<T>,
    over: bool,
    waker: Option<Waker>,
}

/// Dropped when the task is over, on a panic too.
struct Promise<T>(Rc<RefCell<Slot<T>>>);

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, Panicked>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut slot = self.0.borrow_mut();
        if slot.over {
            return Poll::Ready(slot.output.take().ok_or(Panicked));
        }
        slot.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        let waker = {
            let mut slot = self.0.borrow_mut();
            slot.over = true;
            slot.waker.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").finish_non_exhaustive()
    }
}

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the task panicked")
    }
}

impl std::error::Error for Panicked {}

type Id = u64;

/// The future of [`block_on`] itself: it need not be `'static`, so it is not in the table.
const MAIN: Id = 0;

thread_local! {
    static CURRENT: RefCell<Option<Rc<Executor>>> = const { RefCell::new(None) };
}

struct Executor {
    /// `None` once the runtime ends: what is spawned then is dropped at once.
    tasks: RefCell<Option<HashMap<Id, Task>>>,
    last: Cell<Id>,
    queue: Arc<Queue>,
}

struct Task {
    future: Pin<Box<dyn Future<Output = ()>>>,
    ticket: Arc<Ticket>,
}

/// The tasks that were woken.
struct Queue {
    ready: Mutex<Vec<Id>>,
    reactor: Arc<Reactor>,
}

/// A task's place in the queue, and its waker.
struct Ticket {
    id: Id,
    queued: AtomicBool,
    queue: Arc<Queue>,
}

impl Executor {
    fn ticket(&self, id: Id) -> Arc<Ticket> {
        Arc::new(Ticket { id, queued: AtomicBool::new(false), queue: self.queue.clone() })
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()>>>) {
        let id = self.last.get() + 1;
        self.last.set(id);
        let ticket = self.ticket(id);
        let refused = match &mut *self.tasks.borrow_mut() {
            Some(tasks) => tasks.insert(id, Task { future, ticket: ticket.clone() }).map(|it| it.future),
            None => Some(future),
        };
        // It may spawn another one, so not while the table is borrowed.
        drop(refused);
        ticket.wake();
    }

    fn run(&self, id: Id) {
        // Out of the table meanwhile: it may spawn.
        let Some(mut task) = self.tasks.borrow_mut().as_mut().and_then(|tasks| tasks.remove(&id)) else { return };
        task.ticket.spend();
        let waker = Waker::from(task.ticket.clone());
        let polled = catch_unwind(AssertUnwindSafe(|| task.future.as_mut().poll(&mut Context::from_waker(&waker))));
        if let (Ok(Poll::Pending), Some(tasks)) = (polled, self.tasks.borrow_mut().as_mut()) {
            tasks.insert(id, task);
        }
    }
}

impl Queue {
    fn ready(&self) -> MutexGuard<'_, Vec<Id>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Vec<Id> {
        std::mem::take(&mut self.ready())
    }

    fn is_empty(&self) -> bool {
        self.ready().is_empty()
    }
}

impl Ticket {
    /// Its task is about to be polled: from here it can be queued again. A swap and not a store, because who found it
    /// queued already has written something that the poll must see.
    fn spend(&self) {
        self.queued.swap(false, Ordering::SeqCst);
    }
}

impl Wake for Ticket {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::SeqCst) {
            self.queue.ready().push(self.id);
            self.queue.reactor.interrupt();
        }
    }
}

/// The executor of this thread, for as long as there is one.
struct Entered(Rc<Executor>);

impl Entered {
    fn new(reactor: &Arc<Reactor>) -> Self {
        let queue = Arc::new(Queue { ready: Mutex::default(), reactor: reactor.clone() });
        let executor = Rc::new(Executor { tasks: RefCell::new(Some(HashMap::new())), last: Cell::new(MAIN), queue });
        CURRENT.with_borrow_mut(|current| {
            assert!(current.is_none(), "there is a runtime on this thread already");
            *current = Some(executor.clone());
        });
        Self(executor)
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        for (_, task) in self.0.tasks.take().into_iter().flatten() {
            // One that panics as it is dropped does not keep the others.
            drop(catch_unwind(AssertUnwindSafe(|| drop(task))));
        }
        CURRENT.take();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, poll_fn};
    use std::sync::mpsc;
    use std::thread;

    use futures_lite::future::yield_now;

    #[test]
    fn a_task_runs_in_the_background_and_its_handle_has_its_output() {
        let output = block_on(async { spawn(async { 7 }).await });
        assert_eq!(output, Ok(7));
    }

    #[test]
    fn a_task_need_not_be_send() {
        let shared = Rc::new(Cell::new(0));
        block_on(async {
            let theirs = shared.clone();
            spawn(async move { theirs.set(7) }).await.unwrap();
        });
        assert_eq!(shared.get(), 7);
    }

    #[test]
    fn a_panic_is_its_own_tasks_only() {
        let outcome = block_on(async {
            let panics = spawn(async { panic!("on purpose") });
            let other = spawn(async {
                yield_now().await;
                7
            });
            (panics.await, other.await)
        });
        assert_eq!(outcome, (Err::<(), _>(Panicked), Ok(7)));
    }

    #[test]
    fn a_task_that_is_woken_while_it_runs_is_run_again() {
        let mut polls = 0;
        let task = poll_fn(move |cx| {
            polls += 1;
            if polls == 3 {
                return Poll::Ready(polls);
            }
            // Twice, and it is queued once.
            cx.waker().wake_by_ref();
            cx.waker().wake_by_ref();
            Poll::Pending
        });
        assert_eq!(block_on(async { spawn(task).await }), Ok(3));
    }

    #[test]
    fn another_thread_wakes_the_one_that_waits() {
        let (sender, receiver) = mpsc::channel::<Waker>();
        let other = thread::spawn(move || receiver.into_iter().for_each(Waker::wake));
        for round in 0..1000 {
            let mut asked = false;
            let answered = poll_fn(|cx| {
                if asked {
                    return Poll::Ready(());
                }
                asked = true;
                sender.send(cx.waker().clone()).unwrap();
                // Now before, and now after this thread waits.
                if round % 2 == 0 {
                    thread::yield_now();
                }
                Poll::Pending
            });
            block_on(answered);
        }
        drop(sender);
        other.join().unwrap();
    }

    #[test]
    fn what_always_has_something_to_do_keeps_no_other_waiting() {
        block_on(async {
            drop(spawn(async {
                loop {
                    yield_now().await;
                }
            }));
            crate::toy::sleep(std::time::Duration::from_millis(1)).await;
        });
    }

    #[test]
    fn tasks_that_are_left_at_the_end_are_dropped_and_can_spawn_no_more() {
        struct Spawns(Rc<Cell<bool>>);
        impl Drop for Spawns {
            fn drop(&mut self) {
                self.0.set(true);
                drop(spawn(async { unreachable!() }));
            }
        }
        let dropped = Rc::new(Cell::new(false));
        let spawns = Spawns(dropped.clone());
        block_on(async {
            drop(spawn(async move {
                let _spawns = spawns;
                pending::<()>().await;
            }));
            yield_now().await;
        });
        assert!(dropped.get());
    }

    #[test]
    fn a_late_wake_is_no_ones() {
        let waker = block_on(async {
            let (sender, receiver) = mpsc::channel();
            spawn(poll_fn(move |cx| Poll::Ready(sender.send(cx.waker().clone())))).await.unwrap().unwrap();
            let waker = receiver.recv().unwrap();
            waker.wake_by_ref();
            yield_now().await;
            waker
        });
        waker.wake();
    }

    #[test]
    fn a_runtime_in_a_runtime_is_refused_and_the_outer_one_goes_on() {
        let refused = block_on(async {
            let inner = catch_unwind(|| block_on(async {}));
            assert_eq!(spawn(async { 7 }).await, Ok(7));
            inner
        });
        assert!(refused.is_err());
    }
}
