//! What one drain does has another one act, though no task waits for it.

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

/// Events that drains are to act on: futures whose wakers act, instead of waking a task.
///
/// They own themselves, by the waker of the event that is over [last](Self::until): so it does not matter who drops what
/// meanwhile.
#[derive(Clone)]
pub(crate) struct Links(Arc<Lock<Vec<Box<dyn Send + Sync>>>>);

impl Links {
    /// Links that are dropped at `end`, once `last` is done, and not before.
    pub(crate) fn until<E>(end: E, last: impl Fn() + Send + Sync + 'static) -> Self
    where
        E: Future<Output = ()> + Unpin + Send + Sync + 'static,
    {
        let links = Self(Arc::new(Lock::new(Vec::new())));
        let own = links.clone();
        // One link and not two: the first to be woken of two would drop the other.
        links.link(end, move || {
            last();
            drop(own.0.with(core::mem::take));
        });
        links
    }

    /// When `event` comes, on whichever thread: `act`.
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

/// What a waker does that wakes nobody.
struct Act<A>(A);

impl<A: Fn() + Send + Sync + 'static> Wake for Act<A> {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

/// The beginning of a forced close, before the drain is closed: the time to close its parts.
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
