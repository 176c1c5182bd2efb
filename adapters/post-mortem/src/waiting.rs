//! A thread that waits for futures, and that can be told to stop.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Instant;

/// Tells a thread to stop waiting.
#[derive(Debug, Default)]
pub(crate) struct Stop(AtomicBool);

impl Stop {
    pub(crate) fn stop(&self, thread: &Thread) {
        self.0.store(true, Ordering::SeqCst);
        thread.unpark();
    }

    /// Waits on this thread for `future`; up to an instant, if one is given.
    pub(crate) fn wait(&self, mut future: impl Future<Output = ()> + Unpin, until: Option<Instant>) -> Waited {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut context = Context::from_waker(&waker);
        loop {
            if self.0.load(Ordering::SeqCst) {
                return Waited::Stopped;
            }
            if let Poll::Ready(()) = Pin::new(&mut future).poll(&mut context) {
                return Waited::Ready;
            }
            match until.map(|it| it.saturating_duration_since(Instant::now())) {
                Some(left) if left.is_zero() => return Waited::TimeIsUp,
                Some(left) => thread::park_timeout(left),
                None => thread::park(),
            }
        }
    }
}

/// How a wait has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    Ready,
    Stopped,
    TimeIsUp,
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
