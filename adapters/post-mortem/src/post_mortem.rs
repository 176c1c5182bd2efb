//! `PostMortem`: where files are kept, and who is told.

use std::env;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ebbtide::Drain;
#[cfg(feature = "service")]
use ebbtide_service::{Runtime, Service};

use crate::event::Event;
use crate::holder::Holder;
use crate::recorder::{Recorder, Work};
#[cfg(feature = "service")]
use crate::service;

/// A file of what a drain holds, from its beginning to its end; and a look at what earlier processes have left.
///
/// Each process has a file of its own in the folder, `ebbtide-drain-PID-NUMBER`. So several may share a folder, in containers
/// too. The file is written anew each second, into a second file that then takes its place. It is removed when the drain is
/// over. So if there is one at a start, and its process does not live, that process was killed.
///
/// The file is a text: read it with `cat`. Only its owner may (mode 0600), since labels may be paths of requests.
///
/// # Examples
///
/// See the [crate's](crate).
#[must_use = "it does nothing until it records"]
pub struct PostMortem {
    folder: PathBuf,
    deadline: Option<Duration>,
    held_by: Option<Box<HeldBy>>,
    on_event: Option<Arc<OnEvent>>,
}

pub(crate) type HeldBy = dyn FnMut() -> Vec<Holder> + Send;
pub(crate) type OnEvent = dyn Fn(Event) + Send + Sync;

impl PostMortem {
    /// Files in this folder, which must exist. A missing one may be a disk that is not mounted, so it is not made.
    ///
    /// It must outlive the process and, for kills by a loss of power, the machine. A folder that only this service can write to is
    /// best: others could write files there that name kills which never were.
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), deadline: None, held_by: None, on_event: None }
    }

    /// Files in the folder that systemd gives the service: the first of `$STATE_DIRECTORY`, or else of `$RUNTIME_DIRECTORY`.
    /// `None` if neither is set.
    ///
    /// The unit has `StateDirectory=NAME` for that. With `RuntimeDirectory=` the folder is removed when the service stops. That
    /// needs `RuntimeDirectoryPreserve=restart`, and does not outlive the machine.
    ///
    /// # Examples
    ///
    /// ```
    /// use ebbtide_post_mortem::PostMortem;
    ///
    /// let post_mortem = PostMortem::in_state_directory().unwrap_or_else(|| PostMortem::in_folder("/var/lib/shop"));
    /// # let _ = post_mortem;
    /// ```
    pub fn in_state_directory() -> Option<Self> {
        let folders = ["STATE_DIRECTORY", "RUNTIME_DIRECTORY"].into_iter().filter_map(env::var_os);
        // systemd separates several by colons (systemd.exec(5)).
        let mut first = folders.filter_map(|it| env::split_paths(&it).next()).filter(|it| it.is_absolute());
        first.next().map(Self::in_folder)
    }

    /// The deadline of the drain, to be told with a kill. It bounds nothing here.
    pub fn deadline(mut self, time: Duration) -> Self {
        self.deadline = Some(time);
        self
    }

    /// Asks `held` for what is held, in the place of [`Drain::held`]: for entries that have an age, or a text of their own.
    ///
    /// It is called once a second while the drain goes on, on the thread that writes. If it panics, nothing is listed.
    ///
    /// # Examples
    ///
    /// The requests in flight, the oldest first:
    ///
    /// ```
    /// use ebbtide_connection::{ConnectionInfo, Connections};
    /// use ebbtide_post_mortem::{Holder, PostMortem};
    ///
    /// fn holder(connection: &ConnectionInfo) -> Option<Holder> {
    ///     let request = connection.requests().first()?;
    ///     Some(Holder::new(format_args!("{} {}", request.method(), request.path())).aged(connection.age()))
    /// }
    ///
    /// let connections = Connections::new(); // the list that the servers have too
    /// let list = connections.clone();
    /// let post_mortem = PostMortem::in_folder("/var/lib/shop")
    ///     .held_by(move || list.list().iter().filter_map(holder).collect());
    /// # let _ = post_mortem;
    /// ```
    pub fn held_by(mut self, held: impl FnMut() -> Vec<Holder> + Send + 'static) -> Self {
        self.held_by = Some(Box::new(held));
        self
    }

    /// Tells of killed drains, and of trouble with files. Default: nobody is told, and a file that was found is kept.
    ///
    /// It is called on a thread of this crate. So a log that blocks holds up neither the start nor the drain.
    pub fn on_event(mut self, told: impl Fn(Event) + Send + Sync + 'static) -> Self {
        self.on_event = Some(Arc::new(told));
        self
    }

    /// Looks for what earlier processes have left, and then records `drain`. It returns at once: a thread does both.
    ///
    /// Keep what it returns up to the end of `main`. It has a [`Drain`], so dropping yours does not start the drain.
    pub fn record(self, drain: &Drain) -> Recorder {
        let deadline = self.deadline;
        self.record_until(drain, move || deadline)
    }

    /// Records the drain of a whole service, as [`record`](Self::record) does. The file lists the parts that are waited for, with
    /// what each of them holds, and the deadline of the service. [`held_by`](Self::held_by) and [`deadline`](Self::deadline)
    /// come before that.
    ///
    /// The time counts from the signal, so a lame duck time is in it.
    ///
    /// # Examples
    ///
    /// See the [crate's](crate).
    #[cfg(feature = "service")]
    pub fn record_service<R: Runtime>(mut self, service: &Service<R>) -> Recorder {
        let (deadline, status) = (self.deadline, service.status());
        if self.held_by.is_none() {
            let status = status.clone();
            self.held_by = Some(Box::new(move || service::holders(&status)));
        }
        // Of the status, it is known only once the service runs.
        self.record_until(service.drain(), move || deadline.or_else(|| status.deadline()))
    }

    fn record_until(self, drain: &Drain, deadline: impl Fn() -> Option<Duration> + Send + 'static) -> Recorder {
        let Self { folder, held_by, on_event, .. } = self;
        Recorder::new(Work { folder, deadline: Box::new(deadline), held_by, on_event, drain: drain.clone() })
    }
}

impl fmt::Debug for PostMortem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostMortem")
            .field("folder", &self.folder)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
