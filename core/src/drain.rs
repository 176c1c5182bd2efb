//! The right to end things.

use alloc::vec::Vec;
use core::fmt;
use core::panic::Location;

use crate::cause::Cause;
use crate::drained::{Drained, Released};
use crate::guard::Guard;
use crate::label::{Held, Label};
use crate::shared::{Shared, WatcherCount};
use crate::state::State;
use crate::sync::Arc;
use crate::watcher::Watcher;

/// The right to end things. **Dropping the last `Drain` starts the drain**, so keep one for as long as the service
/// should run.
///
/// Hand out [`watcher`](Self::watcher)s; [`start`](Self::start) when it is time; await the [`Drained`] that it
/// returns. A clone is the same drain.
///
/// # Examples
///
/// ```
/// # futures_lite::future::block_on(async {
/// let drain = ebbtide::Drain::new();
/// let watcher = drain.watcher();
///
/// // Somewhere in the service: hold up the close while there is work.
/// let guard = watcher.guard().expect("running");
///
/// // On a signal: no new work from here on, and a future of the end.
/// let drained = drain.start();
/// assert!(watcher.guard().is_none());
///
/// drop(guard);
/// assert!(drained.await.is_ok());
/// # });
/// ```
#[derive(Clone)]
#[must_use = "dropping the last `Drain` starts the drain"]
pub struct Drain {
    last: Arc<Last>,
}

/// What the last `Drain` drops.
struct Last {
    watcher_count: Arc<WatcherCount>,
}

impl Drain {
    /// A running drain, independent of all others.
    pub fn new() -> Self {
        Self { last: Arc::new(Last { watcher_count: Shared::open() }) }
    }

    /// A watcher of this drain.
    ///
    /// # Examples
    ///
    /// ```
    /// let drain = ebbtide::Drain::new();
    /// let watcher = drain.watcher();
    /// drop(drain); // the last one: this starts the drain
    /// assert!(watcher.guard().is_none());
    /// ```
    pub fn watcher(&self) -> Watcher {
        Watcher::new(self.shared().watcher_count(&self.last.watcher_count))
    }

    /// A guard, or `None` once draining has begun: the same as [`Watcher::guard`] of a [`watcher`](Self::watcher).
    ///
    /// [`Draining`](crate::Draining) is an error for `?` in place of the `None`.
    ///
    /// # Examples
    ///
    /// ```
    /// use ebbtide::{Drain, Draining};
    ///
    /// # fn start() -> Result<(), Box<dyn std::error::Error>> {
    /// let drain = Drain::new();
    /// let guard = drain.guard().ok_or(Draining)?;
    /// assert_eq!(drain.guards(), 1);
    /// # drop(guard);
    /// # Ok(())
    /// # }
    /// # start().unwrap();
    /// ```
    #[must_use = "a guard that is dropped holds nothing up"]
    pub fn guard(&self) -> Option<Guard> {
        self.shared().guard_count().map(Guard::new)
    }

    /// Starts the drain, at once and whether or not the answer is polled. Starting again changes nothing, and
    /// every answer tells of the same end.
    ///
    /// # Examples
    ///
    /// ```
    /// let drain = ebbtide::Drain::new();
    /// let _ = drain.start();
    /// assert!(drain.guard().is_none());
    /// ```
    #[track_caller]
    pub fn start(&self) -> Drained {
        self.start_by(Cause::Called(Location::caller()))
    }

    /// Starts the drain as [`start`](Self::start) does, and says why: [`cause`](Self::cause) tells it, unless another start
    /// came first.
    ///
    /// Words, or by [`Label::live`](crate::Label::live) a value, such as the error that ends the service.
    ///
    /// # Examples
    ///
    /// ```
    /// let drain = ebbtide::Drain::new();
    /// let _ = drain.start_because("the disk is full");
    /// let _ = drain.start();
    /// assert_eq!(drain.cause().unwrap().to_string(), "the disk is full");
    /// ```
    pub fn start_because(&self, why: impl Into<Label>) -> Drained {
        self.start_by(Cause::Said(why.into()))
    }

    /// Starts draining for a cause that is known already, such as that of another drain. In all else as
    /// [`start`](Self::start).
    ///
    /// # Examples
    ///
    /// ```
    /// use ebbtide::Drain;
    ///
    /// let (service, pool) = (Drain::new(), Drain::new());
    /// let _ = service.start_because("SIGTERM");
    /// let _ = pool.start_by(service.cause().expect("it has begun"));
    /// assert_eq!(pool.cause(), service.cause());
    /// ```
    pub fn start_by(&self, cause: Cause) -> Drained {
        self.shared().start(cause);
        Drained::new(self.shared().watcher_count(&self.last.watcher_count))
    }

    /// Why the drain began; `None` while it has not.
    ///
    /// # Examples
    ///
    /// ```
    /// let drain = ebbtide::Drain::new();
    /// let watcher = drain.watcher();
    /// drop(drain);
    /// assert_eq!(watcher.cause(), Some(ebbtide::Cause::Dropped));
    /// ```
    #[must_use]
    pub fn cause(&self) -> Option<Cause> {
        self.shared().cause()
    }

    /// Closes by force: starts the drain if need be, and cuts whatever is held. A drain that has closed stays as
    /// it is.
    ///
    /// # Examples
    ///
    /// ```
    /// let drain = ebbtide::Drain::new();
    /// let guard = drain.guard();
    /// drain.close();
    /// assert_eq!(drain.state(), ebbtide::State::Closed);
    /// # drop(guard);
    /// ```
    #[track_caller]
    pub fn close(&self) {
        self.shared().start(Cause::Called(Location::caller()));
        self.shared().close();
    }

    /// A future that is ready once every guard has been released, also those that a forced close has cut.
    ///
    /// What is cut may have a last word to say, as ebbtide's HTTP adapters have for requests without a response; it is said
    /// when the cut task is dropped or polled, which takes a moment. A `main` that returns at once may be faster. So wait
    /// for this, but not for long: a task that blocks its thread never lets go.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// let drain = ebbtide::Drain::new();
    /// let guard = drain.guard();
    /// drain.close();
    /// drop(guard); // as the task that had it would
    /// drain.released().await;
    /// # });
    /// ```
    pub fn released(&self) -> Released {
        Released::new(self.shared().watcher_count(&self.last.watcher_count))
    }

    /// How far this drain has come.
    #[must_use]
    pub fn state(&self) -> State {
        self.shared().state()
    }

    /// How many guards are held, clones counted: a figure of this moment, for people and for logs. Waiting for it
    /// to become zero is what [`Drained`] is for.
    ///
    /// # Examples
    ///
    /// ```
    /// let drain = ebbtide::Drain::new();
    /// let guard = drain.guard().expect("running");
    /// let another = guard.clone();
    /// assert_eq!(drain.guards(), 2);
    /// # drop((guard, another));
    /// ```
    #[must_use]
    pub fn guards(&self) -> usize {
        self.shared().guards()
    }

    /// Who holds guards, of those that have a label: the most first. A figure of this moment, like
    /// [`guards`](Self::guards).
    ///
    /// # Examples
    ///
    /// ```
    /// let drain = ebbtide::Drain::new();
    /// let upload = drain.watcher().labelled("upload");
    /// assert_eq!((drain.held()[0].label().to_string(), drain.held()[0].guards()), ("upload".into(), 1));
    /// # drop(upload);
    /// ```
    #[must_use]
    pub fn held(&self) -> Vec<Held> {
        self.shared().held()
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.last.watcher_count.shared
    }
}

impl Default for Drain {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Last {
    fn drop(&mut self) {
        // Also what frees the memory: until it has started, a drain owns itself.
        self.watcher_count.shared.start(Cause::Dropped);
    }
}

impl fmt::Debug for Drain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drain").field("state", &self.state()).field("guards", &self.guards()).finish_non_exhaustive()
    }
}
