//! Several drains under one roof: together, or one after the other.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::error::Error;
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use crate::drain::Drain;
use crate::guard::Guard;
use crate::label::Label;
use crate::links::{Forced, Links};
use crate::state::State;
use crate::sync::Lock;
use crate::until::Until;

/// Drains that end in an order, as one: [`drain`](Self::drain) starts them stage by stage, closes when the last one
/// has closed, and closes them all if it is closed by force. So one deadline is over all.
///
/// Stages follow each other as drains close; nothing has to be polled for it, and the order itself need not be kept: what
/// leads the stages is in their drains. Dropping the order drops its [`drain`](Self::drain), and so starts that if nobody
/// has a clone of it.
///
/// The outcome of the whole is the sum of its parts': what was cut in one of them, also by a deadline of its own, was cut.
/// Its [`Overdue`](crate::Overdue) lists what theirs list, part by part.
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
    all: Drain,
    last: Option<Drain>,
    links: Links,
    first_failure: Arc<Lock<Option<Failure>>>,
}

impl Order {
    /// An order without parts.
    pub fn new() -> Self {
        let all = Drain::new();
        let links = Links::until(all.watcher().closed(), || ());
        Self { all, last: None, links, first_failure: Arc::new(Lock::new(None)) }
    }

    /// The next stage: its parts start together, once every part of the stage before has closed. The first stage starts
    /// with [`drain`](Self::drain).
    ///
    /// The labels are what [`Drain::held`] lists while the parts are waited for. A part that has closed already, by force or
    /// not, is not waited for.
    pub fn then<L: Into<Label>>(mut self, parts: impl IntoIterator<Item = (L, Drain)>) -> Self {
        // A drain whose guards are the parts: it closes when they all have.
        let stage = Drain::new();
        let all = self.all.watcher();
        for (label, part) in parts {
            let label = label.into();
            let held = Lock::new((all.labelled(label.clone()), stage.guard()));
            let (whole, of_stage) = (all.clone(), part.clone());
            self.links.link(stage.watcher(), move || of_stage.watcher().start_with(&whole));
            let (whole, forced) = (all.clone(), part.clone());
            self.links.link(Forced::new(&all), move || {
                forced.watcher().start_with(&whole);
                forced.shared().close();
            });
            let closed = part.watcher().closed();
            self.links.link(closed, move || {
                let (of_all, of_stage) = held.with(core::mem::take);
                // Before the whole may close.
                if let Some(guard) = &of_all {
                    guard.tell_of(&part.watcher(), &label);
                }
                // The stage first: what follows it must have begun when the last part ends the whole.
                drop(of_stage);
                drop(of_all);
            });
        }
        let next = stage.clone();
        let begin = move || next.watcher().start_with(&all);
        match self.last.replace(stage) {
            None => self.links.link(self.all.watcher(), begin),
            Some(before) => self.links.link(before.watcher().closed(), begin),
        }
        self
    }

    /// The drain of all.
    pub fn drain(&self) -> &Drain {
        &self.all
    }

    /// Runs a part of the service whose failure ends the service: an error, or the part's end without an answer while
    /// the service is running (a panic, or being dropped), starts the drain of all. The first failure is kept, and is the
    /// [`cause`](Drain::cause) of that drain if nothing else has started it.
    ///
    /// It runs under `guard`, which is one of the drain of the stage that it belongs to: that drain waits for it, and its
    /// forced close drops it, so that it does not run on while the next stage ends. The output is `None` if it was cut or
    /// failed. A part that ends well ends nothing else: the service goes on without it.
    ///
    /// # Cancel safety
    ///
    /// Dropping it while the service is running is a failure.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// use ebbtide::{Drain, Order, State};
    ///
    /// let diagnostics = Drain::new();
    /// let order = Order::new().then([("diagnostics", diagnostics.clone())]);
    ///
    /// let guard = diagnostics.guard().expect("running");
    /// let bind = async { Err::<(), _>("address in use") };
    /// order.part("diagnostics", guard, bind).await;
    /// assert_eq!(order.drain().state(), State::Closed);
    /// assert_eq!(order.failure().unwrap().to_string(), "diagnostics failed: address in use");
    /// # });
    /// ```
    pub fn part<F, T, E>(&self, label: impl Into<Label>, guard: Guard, future: F) -> Part<F>
    where
        F: Future<Output = Result<T, E>>,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let answer = Answer { label: Some(label.into()), all: self.all.clone(), first: self.first_failure.clone() };
        Part { future: guard.during(future), answer }
    }

    /// What failed first, if anything did.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        self.first_failure.with(|first| first.clone())
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

pin_project! {
    /// The future of [`Order::part`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Part<F> {
        // First, so that it has gone when its failure is told.
        #[pin]
        future: Until<Guard, F>,
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
        Poll::Ready(match ready!(this.future.poll(cx)) {
            Some(Err(error)) => {
                this.answer.fail(Some(error.into()));
                None
            }
            // Ended well, or cut by force, which the outcome of its drain tells.
            output => {
                this.answer.label = None;
                output.and_then(Result::ok)
            }
        })
    }
}

impl Answer {
    fn fail(&mut self, error: Option<Box<dyn Error + Send + Sync>>) {
        let Some(label) = self.label.take() else { return };
        let failure = Failure { what: Arc::new((label, error)) };
        let cause = Label::live(failure.clone());
        let _dropped_outside_the_lock = self.first.with(|first| match first {
            None => first.replace(failure),
            Some(_) => Some(failure),
        });
        drop(self.all.start_because(cause));
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
#[derive(Clone)]
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

// What a `main` prints that ends with it.
impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.what.1.as_deref().map(|error| error as _)
    }
}
