//! A tokio runtime whose time passes when nothing else is to be done.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;

use crate::clock::Clock;
use crate::executor::{Executor, Queue};

/// The runtime, and how it is known that no task of it can run.
#[derive(Debug)]
pub(crate) struct Paused {
    runtime: Runtime,
    idle: Arc<Idle>,
}

#[derive(Debug, Default)]
struct Idle {
    wanted: Mutex<Option<Wanted>>,
}

/// Who wants to know.
#[derive(Debug)]
struct Wanted {
    waker: Waker,
    /// Not before time has gone on from here.
    after: Option<Instant>,
    seen: u8,
}

/// A thread that is about to park for the first time still fires what is due; when it does so again, all has run.
const TWICE: u8 = 2;

/// Of our tasks, before tokio's have a turn: tokio's own figure between two looks at its driver.
const TURN: usize = 61;

impl Paused {
    pub(crate) fn new(queue: &Arc<Queue>) -> Self {
        let idle = Arc::new(Idle::default());
        let (hook, queue) = (idle.clone(), queue.clone());
        // Called when no task of tokio can run. Time goes on only if nobody is woken here.
        let park = move || {
            if queue.is_empty() {
                hook.parks();
            }
        };
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).on_thread_park(park).build();
        Self { runtime: runtime.expect("it has no driver but time"), idle }
    }

    pub(crate) fn clock(&self) -> Clock {
        Clock::tokio(self.runtime.handle().clone())
    }

    /// How many tasks there are that were spawned on it. What blocks a thread is none.
    pub(crate) fn tasks(&self) -> usize {
        self.runtime.metrics().num_alive_tasks()
    }

    /// Calls what may want to know which runtime it is on.
    pub(crate) fn within<R>(&self, call: impl FnOnce() -> R) -> R {
        let _context = self.runtime.enter();
        call()
    }

    /// Runs all that can run.
    pub(crate) fn settle(&self, executor: &Executor) {
        self.run(executor, None);
    }

    /// Goes on to the next timer that is not behind `limit`, or to the limit, and runs what can run then. Returns whether
    /// it was before the limit.
    pub(crate) fn advance(&self, executor: &Executor, clock: &Clock, limit: Duration) -> bool {
        if clock.now() < limit {
            self.run(executor, Some(clock.sleep_until(limit)));
        }
        clock.now() < limit
    }

    fn run(&self, executor: &Executor, limit: Option<crate::clock::Sleep>) {
        let after = limit.is_some().then(|| self.within(Instant::now));
        self.runtime.block_on(async {
            let mut limit = pin!(limit);
            poll_fn(|cx| {
                executor.queue().polled_by(cx.waker());
                for _ in 0..TURN {
                    if !executor.run_one() {
                        break;
                    }
                }
                if let Some(limit) = limit.as_mut().as_pin_mut() {
                    // Only so that it is set.
                    let _ = limit.poll(cx);
                }
                if !executor.queue().is_empty() {
                    self.idle.forget();
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                self.idle.poll(cx.waker(), after)
            })
            .await;
        });
    }
}

impl Idle {
    fn poll(&self, waker: &Waker, after: Option<Instant>) -> Poll<()> {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = wanted.take().map_or(0, |it| it.seen);
        if seen >= TWICE {
            return Poll::Ready(());
        }
        *wanted = Some(Wanted { waker: waker.clone(), after, seen });
        Poll::Pending
    }

    fn parks(&self) {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(wanted) = wanted.as_mut() else { return };
        if wanted.after.is_none_or(|after| Instant::now() > after) {
            wanted.seen += 1;
            wanted.waker.wake_by_ref();
        }
    }

    fn forget(&self) {
        *self.wanted.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
