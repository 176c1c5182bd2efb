//! What drives a connection by its policy.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ebbtide::connection::{Step, Timer, Wait};
use ebbtide::{Closed, Watcher};
use hyper::rt::Sleep;
use pin_project_lite::pin_project;

use crate::engine::Engine;
use crate::record::{Record, STEPS};

pub(crate) type Clock = Arc<dyn hyper::rt::Timer + Send + Sync>;

/// Why a connection did not end well.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The drain was closed by force while the connection was open: whatever was in flight on it is cut.
    Forced,
    /// What the engine says: the client went away in mid-request, sent what is not HTTP, or the like.
    Engine(Box<dyn std::error::Error + Send + Sync>),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forced => f.write_str("the drain was closed by force while the connection was open"),
            Self::Engine(cause) => cause.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Forced => None,
            Self::Engine(cause) => cause.source(),
        }
    }
}

pin_project! {
    /// The future of [`Http::serve`](crate::Http::serve): one connection, from its first byte to its end or its upgrade.
    ///
    /// # Cancel safety
    ///
    /// Dropping it closes the connection, whatever is in flight.
    #[must_use = "futures do nothing unless polled"]
    pub struct Serving<C> {
        // Dropped before what follows, and with it the I/O.
        #[pin]
        engine: Option<C>,
        // None once the connection is over, so that its guard goes then and not when this is dropped.
        parts: Option<Parts>,
    }
}

struct Parts {
    record: Arc<Record>,
    draining: Option<Watcher>,
    closed: Closed,
    clock: Clock,
    timers: [Option<Running>; 2],
}

/// In the order they are kept in.
const TIMERS: [Timer; 2] = [Timer::State, Timer::Progress];

struct Running {
    epoch: u64,
    sleep: Pin<Box<dyn Sleep>>,
}

impl<C> Serving<C> {
    pub(crate) fn new(engine: C, record: Arc<Record>, clock: Clock) -> Self {
        let (draining, closed) = (Some(record.watcher.clone()), record.watcher.closed());
        Self { engine: Some(engine), parts: Some(Parts { record, draining, closed, clock, timers: [None, None] }) }
    }
}

impl<C: Engine> Future for Serving<C> {
    type Output = Result<(), Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(parts) = this.parts else { return Poll::Ready(Ok(())) };
        let end = match parts.poll(this.engine.as_mut(), cx) {
            Poll::Ready(end) => end,
            Poll::Pending => return Poll::Pending,
        };
        this.engine.set(None);
        *this.parts = None;
        Poll::Ready(end)
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        self.record.hand_over();
    }
}

impl Parts {
    fn poll<C: Engine>(&mut self, mut engine: Pin<&mut Option<C>>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        loop {
            if Pin::new(&mut self.closed).poll(cx).is_ready() {
                return Poll::Ready(Err(Error::Forced));
            }
            if self.draining.as_mut().is_some_and(|watcher| Pin::new(watcher).poll(cx).is_ready()) {
                self.draining = None;
                self.record.policy(ebbtide::connection::Policy::drain);
            }
            let Some(mut engine) = engine.as_mut().as_pin_mut() else { return Poll::Ready(Ok(())) };
            // The engine before the timers: what has arrived in the meantime is served, not timed out.
            if let Poll::Ready(end) = engine.as_mut().poll(cx) {
                return Poll::Ready(end.map_err(|cause| Error::Engine(cause.into())));
            }
            if !self.record.heeds(STEPS) {
                return Poll::Pending;
            }
            // Under one lock, since the streams of HTTP/2 are tasks of their own.
            let (step, waits) = self.record.policy(|it| (it.step(), TIMERS.map(|timer| it.wait(timer))));
            match step {
                Step::Close => return Poll::Ready(Ok(())),
                Step::Finish => {
                    engine.finish();
                    self.record.policy(ebbtide::connection::Policy::finishing);
                }
                Step::Serve => {
                    if !self.expired(waits, cx) {
                        return Poll::Pending;
                    }
                    // Before the engine: a request that it began now would be cut.
                    if self.record.policy(|it| it.step()) == Step::Close {
                        return Poll::Ready(Ok(()));
                    }
                }
            }
        }
    }

    /// Keeps the timers that the policy asks for. Returns whether one is over, of which it has been told.
    fn expired(&mut self, waits: [Option<Wait>; 2], cx: &mut Context<'_>) -> bool {
        for ((timer, wait), running) in TIMERS.into_iter().zip(waits).zip(&mut self.timers) {
            let Some(wait) = wait else {
                *running = None;
                continue;
            };
            let running = match running {
                Some(same) if same.epoch == wait.epoch => same,
                other => other.insert(Running { epoch: wait.epoch, sleep: self.clock.sleep(wait.after) }),
            };
            if running.sleep.as_mut().poll(cx).is_ready() {
                self.record.policy(|it| it.expired(timer));
                return true;
            }
        }
        false
    }
}

impl<C> fmt::Debug for Serving<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serving").finish_non_exhaustive()
    }
}
