//! A part of a service, as it sees itself.

use std::fmt;
use std::future::Future;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use ebbtide::{Cause, Guard, Label, State, Until, Watcher};

/// A part of a [`Service`](crate::Service), as the part itself sees it. It tells when the part's drain begins and when the
/// part is about to be cut. It has guards for work in other tasks.
///
/// While it or a clone is held its stage waits for it, like for a guard. So let it go with the part's own future.
///
/// # Examples
///
/// ```
/// # use std::time::Duration;
/// use ebbtide_service::Part;
/// # struct Queue;
/// # struct Job;
/// # impl Queue {
/// #     async fn take(&self) -> Job { Job }
/// #     fn give_back(&self, job: Job) {}
/// # }
/// # impl Job { async fn run(&self) {} }
///
/// /// Takes jobs until the drain begins. The one at hand may end; if it does not, it is given back.
/// async fn work(queue: Queue, part: Part) {
///     while let Some(job) = part.until_draining(queue.take()).await {
///         if part.until_last_call(job.run()).await.is_none() {
///             queue.give_back(job);
///         }
///     }
/// }
/// ```
#[derive(Clone)]
pub struct Part {
    label: Label,
    guard: Guard,
    last_call: Watcher,
    starting: Arc<Mutex<Vec<Guard>>>,
}

impl Part {
    pub(crate) fn new(label: Label, guard: Guard, last_call: Watcher, starting: Vec<Guard>) -> Self {
        Self { label, guard, last_call, starting: Arc::new(Mutex::new(starting)) }
    }

    /// What it is called.
    #[must_use]
    pub fn label(&self) -> &Label {
        &self.label
    }

    /// A future that is ready when the drain of this part begins. That is behind the lame duck time, and when every stage
    /// before this part's has ended.
    pub fn watcher(&self) -> Watcher {
        self.guard.watcher()
    }

    /// A guard: its stage waits for it, and it is labelled as the part. There is one at any time, also while draining.
    pub fn guard(&self) -> Guard {
        self.guard.labelled(self.label.clone())
    }

    /// A guard under a label of its own: what is told if it is cut.
    pub fn labelled(&self, label: impl Into<Label>) -> Guard {
        self.guard.labelled(label)
    }

    /// How far the drain of this part has come.
    #[must_use]
    pub fn state(&self) -> State {
        self.guard.state()
    }

    /// Why its drain began; `None` while it has not.
    #[must_use]
    pub fn cause(&self) -> Option<Cause> {
        self.guard.watcher().cause()
    }

    /// Runs `future` until the drain of this part begins: then it is dropped, and the answer is `None`.
    ///
    /// It is for what may be dropped at any time, such as the wait for the next job. See
    /// [`Watcher::until_draining`].
    ///
    /// # Cancel safety
    ///
    /// As cancel safe as `future`.
    pub fn until_draining<F: Future>(&self, future: F) -> Until<Watcher, F> {
        self.watcher().until_draining(future)
    }

    /// A future that is ready when this part is about to be cut: [2 s before](crate::Service::last_call), unless that is set
    /// otherwise.
    ///
    /// It is the time to write a checkpoint or to give a job back. It comes too when the service is closed by force, if the
    /// stage has time in [reserve](crate::Service::reserve). Without a reserve nothing can be said then: the part is cut. A
    /// part that is not bounded by a deadline or [`at_most`](crate::Service::at_most) never hears it otherwise.
    pub fn last_call(&self) -> Watcher {
        self.last_call.clone()
    }

    /// Runs `future` until the [last call](Self::last_call): then it is dropped, and the answer is `None`.
    ///
    /// # Cancel safety
    ///
    /// As cancel safe as `future`.
    pub fn until_last_call<F: Future>(&self, future: F) -> Until<Watcher, F> {
        self.last_call().until_draining(future)
    }

    /// Says that this part has started, if it is one that [says so](crate::Service::says_ready). Otherwise, and the second
    /// time, it does nothing.
    pub fn ready(&self) {
        drop(self.starting());
    }

    /// Says that it never will have started.
    pub(crate) fn will_not_start(&self) {
        self.starting().into_iter().for_each(Guard::give_up);
    }

    /// What waits for it to start. It is released outside the lock.
    fn starting(&self) -> Vec<Guard> {
        mem::take(&mut *self.starting.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part").field("label", &self.label).field("state", &self.state()).finish_non_exhaustive()
    }
}
