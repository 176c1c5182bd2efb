//! `Order`: several drains that end as one, in stages.

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

/// Several drains that end as one, in stages. [`drain`](Self::drain) is the drain of the whole.
///
/// Starting the whole starts the first stage. Each further stage starts when the one before it has closed, and the whole
/// closes with the last. If the whole is closed by force, all parts are. So one deadline is over all.
///
/// Nothing has to be polled for it, and the order itself need not be kept. Dropping the order drops its
/// [`drain`](Self::drain), which starts the whole unless there is a clone of that drain.
///
/// The outcome of the whole is the sum of its parts. It is an error if work was cut in any of them, also by a deadline of
/// that part alone. Its [`Overdue`](crate::Overdue) lists what was cut, part by part.
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

    /// Adds a stage. Its parts start together, once every part of the stage before has closed. The first stage starts with
    /// [`drain`](Self::drain).
    ///
    /// [`Drain::held`] of the whole lists a part under its label until it has closed. A part that has closed already, by
    /// force or not, is not waited for.
    pub fn then<L: Into<Label>>(mut self, parts: impl IntoIterator<Item = (L, Drain)>) -> Self {
        // The stage's own drain, with one guard per part: it closes when all parts have.
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
                // While the whole is still held.
                if let Some(guard) = &of_all {
                    guard.report_part(&part.watcher(), &label);
                }
                // The stage first: the next stage must have begun when the last part ends the whole.
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

    /// The drain of the whole.
    pub fn drain(&self) -> &Drain {
        &self.all
    }

    /// Runs a part of the service whose failure starts the drain of the whole.
    ///
    /// A failure is an error, a panic, or the drop of this future while the service is running. The first failure is kept. It
    /// is the [`cause`](Drain::cause) of the drain, unless that has started already. A part that ends with `Ok` ends nothing
    /// else: the service goes on without it.
    ///
    /// It runs under `guard`, which must be a guard of the part's own drain. So that drain waits for it, and a forced close
    /// drops it: it does not run on while the next stage ends. The output is `None` if the part was cut or has failed.
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

    /// The first failure of a part, if there was one.
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
    /// The future of [`Order::part`]: `Some` of the part's value, or `None` if it was cut or has failed.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Part<F> {
        // First, so that it has been dropped when its failure is reported.
        #[pin]
        future: Until<Guard, F>,
        answer: Answer,
    }
}

/// Reports how a part ended; if it is dropped before that, a failure.
#[derive(Debug)]
struct Answer {
    /// `None` once the end was reported.
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
            // It ended with `Ok`, or was cut, which is in the outcome of its drain.
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
        let failure = Failure { inner: Arc::new(Failed { label, error }) };
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

/// The first failure of an [`Order`]'s parts: the label of the part, and its error as the source.
#[derive(Clone)]
pub struct Failure {
    inner: Arc<Failed>,
}

struct Failed {
    label: Label,
    /// `None` if the part panicked, or was dropped.
    error: Option<Box<dyn Error + Send + Sync>>,
}

impl Failure {
    /// The label of the part that failed.
    #[must_use]
    pub fn label(&self) -> &Label {
        &self.inner.label
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failed { label, error } = &*self.inner;
        match error {
            Some(error) => write!(f, "{label} failed: {error}"),
            None => write!(f, "{label} failed: it panicked, or was dropped before its end"),
        }
    }
}

// A `main` that returns an error prints its `Debug`.
impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.inner.error.as_deref().map(|error| error as _)
    }
}
