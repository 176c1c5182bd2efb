//! `Drain`: the handle that starts a graceful shutdown.

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

/// The handle that starts a graceful shutdown. **Dropping the last `Drain` starts it**, so keep one for as long as the
/// service should run.
///
/// Give [`watcher`](Self::watcher)s to the parts of the service. Call [`start`](Self::start) to begin, and await the
/// [`Drained`] that it returns. A clone is a handle of the same drain.
///
/// # Examples
///
/// ```
/// # futures_lite::future::block_on(async {
/// let drain = ebbtide::Drain::new();
/// let watcher = drain.watcher();
///
/// // Somewhere in the service: hold a guard while there is work.
/// let guard = watcher.guard().expect("running");
///
/// // On a signal: no new work from here on. The future is ready when the work is done.
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
    inner: Arc<StartOnDrop>,
}

/// Shared by the clones of a `Drain`; starts the drain when the last of them is dropped.
struct StartOnDrop {
    watcher_count: Arc<WatcherCount>,
}

impl Drain {
    /// A new drain, in state [`Running`](State::Running).
    pub fn new() -> Self {
        Self { inner: Arc::new(StartOnDrop { watcher_count: Shared::open() }) }
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
        Watcher::new(self.shared().watcher_count(&self.inner.watcher_count))
    }

    /// A guard, or `None` once draining has begun. The same as [`Watcher::guard`].
    ///
    /// With `?`, use [`Draining`](crate::Draining) as the error.
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

    /// Starts the drain, at once and whether or not the returned future is polled.
    ///
    /// Starting again changes nothing; every returned future has the same outcome.
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

    /// Starts the drain like [`start`](Self::start), with a reason that [`cause`](Self::cause) returns.
    ///
    /// The reason is a text, or a value by [`Label::live`](crate::Label::live), such as the error that ends the service. It is
    /// ignored if the drain has started already.
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
        Drained::new(self.shared().watcher_count(&self.inner.watcher_count))
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

    /// Closes the drain by force: starts it if it is running, and does not wait for the guards that are held.
    ///
    /// Futures that run under a guard ([`Guard::during`]) are dropped. A drain that has closed stays as it is.
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

    /// A future that is ready once every guard has been dropped, also after a forced close.
    ///
    /// A task that was cut may still do something in its next poll or its drop. For example, ebbtide's HTTP adapters answer
    /// `503` to a request without a response. A `main` that returns at once may end the process before that. So wait for this
    /// future, but with a short bound: a task that blocks its thread keeps its guard.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// let drain = ebbtide::Drain::new();
    /// let guard = drain.guard();
    /// drain.close();
    /// drop(guard); // as the task that holds it would
    /// drain.released().await;
    /// # });
    /// ```
    pub fn released(&self) -> Released {
        Released::new(self.shared().watcher_count(&self.inner.watcher_count))
    }

    /// The state of this drain.
    #[must_use]
    pub fn state(&self) -> State {
        self.shared().state()
    }

    /// The number of guards that are held at this moment, clones included: for people and for logs.
    ///
    /// To wait until it is zero, await [`Drained`].
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

    /// The labels of the guards that are held at this moment, with the number of guards of each, the most first.
    ///
    /// Guards without a label are counted by [`guards`](Self::guards) only.
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
        &self.inner.watcher_count.shared
    }
}

impl Default for Drain {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for StartOnDrop {
    fn drop(&mut self) {
        // This also frees the memory: until it has started, a drain owns itself.
        self.watcher_count.shared.start(Cause::Dropped);
    }
}

impl fmt::Debug for Drain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drain").field("state", &self.state()).field("guards", &self.guards()).finish_non_exhaustive()
    }
}
