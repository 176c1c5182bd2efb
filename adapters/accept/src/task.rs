//! `Task`: the task of one connection.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ebbtide::{Closed, Guard, Label, Until};
use pin_project_lite::pin_project;

use crate::hook::{Failure, Told};

/// The output of a connection's future: `()`, or `Result<(), E>`.
pub trait Ended {
    /// The error, if there is one.
    fn failure(self) -> Option<Box<dyn Error + Send + Sync>>;
}

impl Ended for () {
    fn failure(self) -> Option<Box<dyn Error + Send + Sync>> {
        None
    }
}

impl<E: Into<Box<dyn Error + Send + Sync>>> Ended for Result<(), E> {
    fn failure(self) -> Option<Box<dyn Error + Send + Sync>> {
        self.err().map(Into::into)
    }
}

pin_project! {
    /// The task of one connection: runs its future until the drain is closed by force, and reports its error or panic.
    #[must_use = "futures do nothing unless polled"]
    pub struct Task<F> {
        // The future is dropped first, and the guard after it.
        #[pin]
        future: Until<Closed, F>,
        // Boxed, since few tasks have one.
        held: Option<Box<Guard>>,
        report: Option<Box<Report>>,
    }
}

/// The callback for the error, and the label of the peer.
pub(crate) struct Report {
    pub(crate) told: Told,
    pub(crate) peer: Option<Label>,
}

impl Report {
    fn tell(&self, error: &(dyn Error + Send + Sync + 'static)) {
        self.told.tell(&Failure::Connection { peer: self.peer.as_ref(), error });
    }
}

impl<F> Task<F> {
    /// `held`: a guard for a future that has none of its own.
    pub(crate) fn new(future: Until<Closed, F>, held: Option<Guard>, report: Option<Report>) -> Self {
        Self { future, held: held.map(Box::new), report: report.map(Box::new) }
    }
}

impl<F: Future<Output: Ended>> Future for Task<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let polled = catch_unwind(AssertUnwindSafe(|| this.future.as_mut().poll(cx)));
        let polled = polled.unwrap_or_else(|panic| {
            if let Some(report) = this.report.as_ref() {
                let said = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
                let error = format!("the connection's task panicked: {}", said.unwrap_or("without a word"));
                report.tell(&*Box::<dyn Error + Send + Sync>::from(error));
            }
            // What a panic ends is decided by the runtime.
            resume_unwind(panic)
        });
        let failure = ready!(polled).and_then(Ended::failure);
        if let (Some(error), Some(report)) = (failure, this.report.as_ref()) {
            report.tell(&*error);
        }
        *this.held = None;
        Poll::Ready(())
    }
}

impl<F> fmt::Debug for Task<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("is_told", &self.report.is_some()).finish_non_exhaustive()
    }
}
