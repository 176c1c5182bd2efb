//! `Drive`: polls a protocol engine as the policy of its connection says.

use std::fmt;
use std::future::Future;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::policy::{Policy, Step, Timer, Wait};
use ebbtide::{Closed, Watcher};

use crate::tracker::Tracker;

/// The error of a connection: it was cut, or the protocol engine has failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The drain was closed by force while the connection was open. A request in flight was cut.
    Forced,
    /// One of its [`Bounds`](crate::Bounds) closed the connection with a request or response in flight: the client read
    /// nothing, or sent nothing, for too long. [`Connections::cut_by_bounds`](crate::Connections::cut_by_bounds) counts these.
    Bound,
    /// The error of the protocol engine: the client disconnected in the middle of a request, or sent bytes that are not HTTP.
    Engine(Box<dyn std::error::Error + Send + Sync>),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forced => f.write_str("the drain was closed by force while the connection was open"),
            Self::Bound => f.write_str("the client took or sent nothing for too long"),
            Self::Engine(cause) => cause.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Forced | Self::Bound => None,
            Self::Engine(cause) => cause.source(),
        }
    }
}

/// The driver of one connection: polls its protocol engine, and does what the policy says. `T` is the runtime's timer.
pub struct Drive<T> {
    tracker: Arc<Tracker>,
    awaited: Awaited,
    /// The policy was not asked for a step yet.
    is_new: bool,
    timers: Timers<T>,
}

/// What the drain does next.
enum Awaited {
    Start(Watcher),
    Close(Closed),
}

const TIMERS: [Timer; 4] = [Timer::Request, Timer::Age, Timer::State, Timer::Progress];

struct Timers<T> {
    request: Option<Running<T>>,
    /// Boxed, since an idle connection of a running service has none of them.
    others: Option<Box<Others<T>>>,
}

struct Others<T> {
    age: Option<Running<T>>,
    state: Option<Running<T>>,
    progress: Option<Running<T>>,
}

struct Running<T> {
    epoch: u64,
    /// `None` once it has run out.
    sleep: Option<T>,
}

impl<T: Future<Output = ()> + Unpin> Running<T> {
    #[inline]
    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        if self.sleep.as_mut().is_some_and(|sleep| Pin::new(sleep).poll(cx).is_ready()) {
            self.sleep = None;
        }
        self.sleep.is_none()
    }
}

impl<T> Timers<T> {
    fn of(&mut self, timer: Timer) -> &mut Option<Running<T>> {
        if timer == Timer::Request {
            return &mut self.request;
        }
        let none = || Box::new(Others { age: None, state: None, progress: None });
        let others = self.others.get_or_insert_with(none);
        match timer {
            Timer::Request => &mut self.request,
            Timer::Age => &mut others.age,
            Timer::State => &mut others.state,
            Timer::Progress => &mut others.progress,
        }
    }

    fn stop(&mut self, timer: Timer) {
        if timer == Timer::Request || self.others.is_some() {
            *self.of(timer) = None;
        }
    }
}

impl<T: Future<Output = ()> + Unpin> Drive<T> {
    /// The driver of this tracker's connection.
    pub fn new(tracker: Arc<Tracker>) -> Self {
        let awaited = Awaited::Start(tracker.watcher().clone());
        Self { tracker, awaited, is_new: true, timers: Timers { request: None, others: None } }
    }

    /// Polls the connection. `finish` asks the engine to end after the requests in flight, and `sleep` makes a timer.
    ///
    /// # Errors
    ///
    /// [`Error::Engine`] if the engine fails. [`Error::Forced`] if the drain was closed by force. [`Error::Bound`] if a time
    /// limit cut a request or response.
    ///
    /// # Cancel safety
    ///
    /// It may be polled or not at any time; dropping it and the engine drops the connection.
    #[inline]
    pub fn poll<C, E>(
        &mut self,
        mut engine: Pin<&mut C>,
        cx: &mut Context<'_>,
        finish: impl Fn(Pin<&mut C>),
        sleep: impl Fn(Duration) -> T,
    ) -> Poll<Result<(), Error>>
    where
        C: Future<Output = Result<(), E>>,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        loop {
            // A drain that has not started cannot be closed, so before the start this is the only event to wait for.
            let is_running = match &mut self.awaited {
                Awaited::Start(watcher) => Pin::new(watcher).poll(cx).is_pending(),
                Awaited::Close(_) => false,
            };
            if !is_running && self.has_ended(cx) {
                return Poll::Ready(Err(Error::Forced));
            }
            // The engine before the timers: a request that has arrived in the meantime is served, not timed out.
            if let Poll::Ready(end) = engine.as_mut().poll(cx) {
                return Poll::Ready(end.map_err(|cause| Error::Engine(cause.into())));
            }
            if !self.tracker.asks_for_steps() && !self.is_new && !self.is_late(cx) {
                return Poll::Pending;
            }
            if let ControlFlow::Break(end) = self.step(engine.as_mut(), cx, &finish, &sleep) {
                return end;
            }
        }
    }

    /// Does what the policy says. `Continue` if the engine must be polled again; `Break` with the result of this poll.
    #[inline(never)]
    fn step<C>(
        &mut self,
        engine: Pin<&mut C>,
        cx: &mut Context<'_>,
        finish: impl Fn(Pin<&mut C>),
        sleep: impl Fn(Duration) -> T,
    ) -> ControlFlow<Poll<Result<(), Error>>> {
        self.is_new = false;
        if let Awaited::Close(_) = self.awaited {
            self.tracker.polled_by(cx.waker());
        }
        self.tracker.has_stayed();
        // Under one lock, since the streams of HTTP/2 are tasks of their own.
        let (step, waits) = self.tracker.policy(|it| (it.step(), TIMERS.map(|timer| it.wait(timer))));
        match step {
            Step::Close => ControlFlow::Break(Poll::Ready(self.let_go())),
            Step::Finish => {
                finish(engine);
                self.tracker.policy(Policy::on_finish);
                ControlFlow::Continue(())
            }
            Step::Serve if !self.expired(waits, cx, &sleep) => ControlFlow::Break(Poll::Pending),
            // Before the engine is polled: a request that it began now would be cut.
            Step::Serve if self.tracker.policy(|it| it.step()) == Step::Close => {
                ControlFlow::Break(Poll::Ready(self.let_go()))
            }
            Step::Serve => ControlFlow::Continue(()),
        }
    }

    fn let_go(&self) -> Result<(), Error> {
        if self.tracker.policy(|it| it.is_cut()) {
            self.tracker.cut_by_bound();
            return Err(Error::Bound);
        }
        Ok(())
    }

    /// Reports the start of the drain to the policy. Returns whether the drain was closed by force.
    #[inline(never)]
    fn has_ended(&mut self, cx: &mut Context<'_>) -> bool {
        let mut closed = match &mut self.awaited {
            Awaited::Start(watcher) => watcher.closed(),
            Awaited::Close(closed) => return Pin::new(closed).poll(cx).is_ready(),
        };
        let is_over = Pin::new(&mut closed).poll(cx).is_ready();
        self.awaited = Awaited::Close(closed);
        if !is_over {
            self.tracker.policy(Policy::on_drain);
        }
        is_over
    }

    /// Whether the timer for a request or for the connection's age has run out. It may be that of an earlier request, which the
    /// policy ignores.
    #[inline]
    fn is_late(&mut self, cx: &mut Context<'_>) -> bool {
        let Timers { request, others } = &mut self.timers;
        let age = others.as_mut().and_then(|it| it.age.as_mut());
        // Without `||`: both must be polled.
        let [request, age] = [request.as_mut(), age].map(|it| it.is_some_and(|running| running.is_over(cx)));
        request || age
    }

    /// Keeps the timers that the policy asks for. If one has run out, reports it and returns `true`.
    fn expired(
        &mut self,
        waits: [Option<Wait>; TIMERS.len()],
        cx: &mut Context<'_>,
        sleep: impl Fn(Duration) -> T,
    ) -> bool {
        for (timer, wait) in TIMERS.into_iter().zip(waits) {
            let Some(wait) = wait else {
                self.timers.stop(timer);
                continue;
            };
            let running = self.timers.of(timer);
            if wait.is_lazy && running.as_mut().is_some_and(|it| it.epoch != wait.epoch && !it.is_over(cx)) {
                continue;
            }
            let running = match running {
                Some(same) if same.epoch == wait.epoch => same,
                other => other.insert(Running { epoch: wait.epoch, sleep: Some(sleep(wait.after)) }),
            };
            if running.is_over(cx) {
                self.tracker.timer_over(timer);
                return true;
            }
        }
        false
    }
}

impl<T> Drop for Drive<T> {
    fn drop(&mut self) {
        self.tracker.over();
    }
}

impl<T> fmt::Debug for Drive<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drive").field("tracker", &self.tracker).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::future::{pending, poll_fn};
    use std::io;
    use std::pin::pin;
    use std::rc::Rc;
    use std::task::Waker;

    use crate::Bounds;
    use ebbtide::Drain;

    use super::*;

    #[test]
    fn a_timer_for_requests_is_set_anew_only_once_it_is_over() {
        let (drain, bounds) = (Drain::new(), Bounds::default());
        let tracker = Tracker::new(drain.watcher().guard().expect("running"), bounds, None);
        let (mut drive, mut engine) = (Drive::new(tracker.clone()), pin!(pending::<io::Result<()>>()));
        let timers = RefCell::new(Vec::<(Duration, Rc<Cell<bool>>)>::new());
        let sleep = |time| {
            let over = Rc::new(Cell::new(false));
            timers.borrow_mut().push((time, over.clone()));
            Box::pin(poll_fn(move |_| if over.get() { Poll::Ready(()) } else { Poll::Pending }))
        };
        // What timers there are when the last of them is over, or not.
        let mut poll = |is_over: bool| {
            if let Some((_, over)) = timers.borrow().last() {
                over.set(is_over);
            }
            let polled = drive.poll(engine.as_mut(), &mut Context::from_waker(Waker::noop()), |_| {}, sleep);
            assert!(polled.is_pending());
            timers.borrow().iter().map(|(time, _)| *time).collect::<Vec<_>>()
        };
        assert_eq!(poll(false), [bounds.request]);
        for _ in 0..3 {
            tracker.read(b"GET / HTTP/1.1\r\n\r\n");
            let id = tracker.begin(false, || unreachable!("nobody looks")).expect("served");
            assert!(!tracker.response(false));
            tracker.end(id);
            assert_eq!(poll(false), [bounds.request], "none for a request of its own");
        }
        assert_eq!(poll(true), [bounds.request, bounds.keep_alive], "there were some");
        assert_eq!(poll(true), [bounds.request, bounds.keep_alive, bounds.idle], "there was none: it drains by itself");
    }
}
