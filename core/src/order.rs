//! Several drains under one roof: together, or one after the other.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::task::Wake;
use alloc::vec::Vec;
use core::error::Error;
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker, ready};

use pin_project_lite::pin_project;

use crate::drain::Drain;
use crate::guard::Guard;
use crate::holders::Label;
use crate::state::State;
use crate::sync::Lock;

/// Drains that end in an order, as one: [`drain`](Self::drain) starts them stage by stage, closes when the last one
/// has closed, and closes them all where it is closed by force. So one deadline is over all.
///
/// Stages follow each other as drains close; nothing has to be polled for it. Keep the order for as long as the service
/// runs: dropping it starts its drain, like dropping any other, but the stages after the first are no longer led.
///
/// A part that fails starts the drain of all: see [`part`](Self::part).
///
/// # Examples
///
/// ```
/// # futures_lite::future::block_on(async {
/// use ebbtide::{Drain, Order, State};
///
/// let (main, diagnostics) = (Drain::new(), Drain::new());
/// let order = Order::new().then([("main", main.clone())]).then([("diagnostics", diagnostics.clone())]);
///
/// let request = main.guard();
/// let drained = order.drain().start();
/// assert_eq!(main.state(), State::Draining);
/// assert_eq!(diagnostics.state(), State::Running, "it outlives the main server");
///
/// drop(request);
/// assert_eq!(diagnostics.state(), State::Closed);
/// assert!(drained.await.is_ok());
/// # });
/// ```
#[must_use = "dropping an order starts its drain"]
pub struct Order {
    // First, so that it is dropped, and starts, while the links are there to hear of it.
    all: Drain,
    last: Option<Drain>,
    links: Vec<Box<dyn Send + Sync>>,
    first_failure: Arc<Lock<Option<Failure>>>,
}

impl Order {
    /// An order without parts.
    pub fn new() -> Self {
        Self { all: Drain::new(), last: None, links: Vec::new(), first_failure: Arc::new(Lock::new(None)) }
    }

    /// The next stage: its parts start together, once every part of the stage before has closed. The first stage starts
    /// with [`drain`](Self::drain).
    ///
    /// The labels are what an [`Overdue`](crate::Overdue) of the whole order lists; what was held in a part is told by
    /// the part's own.
    pub fn then<L: Into<Label>>(mut self, parts: impl IntoIterator<Item = (L, Drain)>) -> Self {
        // A drain whose guards are the parts: it closes when they all have.
        let stage = Drain::new();
        for (label, part) in parts {
            let watcher = self.all.watcher();
            let held = (watcher.labelled(label), stage.guard());
            self.link(stage.watcher(), part.clone(), |part| drop(part.start()));
            self.link(watcher.closed(), part.clone(), Drain::close);
            self.link(part.watcher().closed(), Lock::new(held), |held: &Lock<(Option<Guard>, Option<Guard>)>| {
                let (of_all, of_stage) = held.with(core::mem::take);
                // The stage first: what follows it must have begun when the last part ends the whole.
                drop(of_stage);
                drop(of_all);
            });
        }
        let begin = |stage: &Drain| drop(stage.start());
        match self.last.replace(stage.clone()) {
            None => self.link(self.all.watcher(), stage, begin),
            Some(before) => self.link(before.watcher().closed(), stage, begin),
        }
        self
    }

    /// The drain of all.
    pub fn drain(&self) -> &Drain {
        &self.all
    }

    /// Runs a part of the service whose failure ends the service: an error, or the part's end without an answer while
    /// the service is running (a panic, or being dropped), starts the drain of all. The first failure is kept.
    ///
    /// The output is `None` where it failed.
    ///
    /// # Cancel safety
    ///
    /// Dropping it while the service is running is a failure.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// use ebbtide::{Order, State};
    ///
    /// let order = Order::new();
    /// let bind = async { Err::<(), _>("address in use") };
    /// order.part("diagnostics", bind).await;
    /// assert_eq!(order.drain().state(), State::Closed);
    /// assert_eq!(order.failure().unwrap().to_string(), "diagnostics failed: address in use");
    /// # });
    /// ```
    pub fn part<F, T, E>(&self, label: impl Into<Label>, future: F) -> Part<F>
    where
        F: Future<Output = Result<T, E>>,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let answer = Answer { label: Some(label.into()), all: self.all.clone(), first: self.first_failure.clone() };
        Part { future, answer }
    }

    /// What failed first, if anything did.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        self.first_failure.with(|first| first.clone())
    }

    /// When `event` comes, on whichever thread: `act`.
    fn link<E, T>(&mut self, mut event: E, on: T, act: impl Fn(&T) + Send + Sync + 'static)
    where
        E: Future<Output = ()> + Unpin + Send + Sync + 'static,
        T: Send + Sync + 'static,
    {
        let link = Waker::from(Arc::new(Link { act: move || act(&on) }));
        if Pin::new(&mut event).poll(&mut Context::from_waker(&link)).is_ready() {
            link.wake();
        } else {
            self.links.push(Box::new(event));
        }
    }
}

impl Default for Order {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Order").field("all", &self.all).field("failure", &self.failure()).finish_non_exhaustive()
    }
}

/// A waker that wakes nobody but does something.
struct Link<A> {
    act: A,
}

impl<A: Fn() + Send + Sync + 'static> Wake for Link<A> {
    fn wake(self: Arc<Self>) {
        (self.act)();
    }
}

pin_project! {
    /// The future of [`Order::part`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Part<F> {
        #[pin]
        future: F,
        answer: Answer,
    }
}

/// What a part owes.
#[derive(Debug)]
struct Answer {
    /// `None` once it was given.
    label: Option<Label>,
    all: Drain,
    first: Arc<Lock<Option<Failure>>>,
}

impl<F, T, E> Future for Part<F>
where
    F: Future<Output = Result<T, E>>,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let this = self.project();
        if this.answer.label.is_none() {
            return Poll::Ready(None);
        }
        let output = ready!(this.future.poll(cx));
        Poll::Ready(match output {
            Ok(output) => {
                this.answer.label = None;
                Some(output)
            }
            Err(error) => {
                this.answer.fail(Some(error.into()));
                None
            }
        })
    }
}

impl Answer {
    fn fail(&mut self, error: Option<Box<dyn Error + Send + Sync>>) {
        let Some(label) = self.label.take() else { return };
        let failure = Failure { what: Arc::new((label, error)) };
        let _dropped_outside_the_lock = self.first.with(|first| match first {
            None => first.replace(failure),
            Some(_) => Some(failure),
        });
        drop(self.all.start());
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if self.all.state() == State::Running {
            self.fail(None);
        }
    }
}

/// The part of an [`Order`] that failed first, and why.
#[derive(Clone, Debug)]
pub struct Failure {
    what: Arc<(Label, Option<Box<dyn Error + Send + Sync>>)>,
}

impl Failure {
    /// Which part.
    #[must_use]
    pub fn label(&self) -> &Label {
        &self.what.0
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.what {
            (label, Some(error)) => write!(f, "{label} failed: {error}"),
            (label, None) => write!(f, "{label} failed: it panicked, or was dropped before its end"),
        }
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.what.1.as_deref().map(|error| error as _)
    }
}
