//! `Links`: actions that run when a drain changes its state, without a task that waits for it.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::task::Wake;
use alloc::vec::Vec;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

use crate::shared::WatcherCount;
use crate::sync::{self, Lock};
use crate::waker_list::Registration;
use crate::watcher::Watcher;

/// Futures, such as a watcher, whose wakers run an action instead of waking a task.
///
/// They are kept alive by the waker of the [last](Self::until) event, whatever else is dropped.
#[derive(Clone)]
pub(crate) struct Links(Arc<Lock<Vec<Box<dyn Send + Sync>>>>);

impl Links {
    /// Links that live until `end` is ready; then `last` is called, and all of them are dropped.
    pub(crate) fn until<E>(end: E, last: impl Fn() + Send + Sync + 'static) -> Self
    where
        E: Future<Output = ()> + Unpin + Send + Sync + 'static,
    {
        let links = Self(Arc::new(Lock::new(Vec::new())));
        let own = links.clone();
        // One link, and not two: the one that is woken first would drop the other.
        links.link(end, move || {
            last();
            drop(own.0.with(core::mem::take));
        });
        links
    }

    /// Calls `act` when `event` is ready, on the thread that wakes it.
    pub(crate) fn link<E>(&self, mut event: E, act: impl Fn() + Send + Sync + 'static)
    where
        E: Future<Output = ()> + Unpin + Send + Sync + 'static,
    {
        let waker = Waker::from(Arc::new(Act(act)));
        if Pin::new(&mut event).poll(&mut Context::from_waker(&waker)).is_ready() {
            waker.wake();
        } else {
            self.0.with(|links| links.push(Box::new(event)));
        }
    }
}

/// A waker that calls a function.
struct Act<A>(A);

impl<A: Fn() + Send + Sync + 'static> Wake for Act<A> {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

/// A future that is ready when a forced close has begun, before the drain is closed: then its parts are closed.
pub(crate) struct Forced {
    watcher_count: sync::Arc<WatcherCount>,
    registration: Registration,
}

impl Forced {
    pub(crate) fn new(watcher: &Watcher) -> Self {
        Self { watcher_count: watcher.watcher_count().clone(), registration: Registration::NONE }
    }
}

impl Future for Forced {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { watcher_count, registration } = &mut *self;
        let shared = &*watcher_count.shared;
        registration.poll(cx.waker(), || shared.is_forced(), || shared.parts())
    }
}

impl Drop for Forced {
    fn drop(&mut self) {
        self.registration.forget(|| self.watcher_count.shared.parts());
    }
}
