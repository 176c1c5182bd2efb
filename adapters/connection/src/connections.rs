//! The connections there are: how they stand, what they are doing, and each change of that.

use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::state::ConnectionState;
use ebbtide::Label;

/// The connections of the `Http`s that were told to keep them here.
///
/// A connection that is kept here is also a label of its own: [`Drain::held`](ebbtide::Drain::held) and
/// [`Overdue`](ebbtide::Overdue) list it with its state, its age in that state and its requests, each as of the moment
/// it is shown; after a forced close, as of the cut.
///
/// # Examples
///
/// ```
/// use ebbtide_connection::Connections;
///
/// let connections = Connections::new().on_change(|connection| println!("{connection}"));
/// assert_eq!(connections.counts().active, 0);
/// ```
#[derive(Clone, Default)]
pub struct Connections {
    shared: Arc<Shared>,
    on_change: Option<Arc<OnChange>>,
}

type OnChange = dyn Fn(&ConnectionInfo) + Send + Sync;

#[derive(Default)]
struct Shared {
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    accepted: u64,
    cut_by_bounds: u64,
    entries: HashMap<u64, Weak<Entry>>,
}

/// One connection, as it stands.
#[derive(Clone, Debug)]
pub struct ConnectionInfo {
    id: u64,
    name: Option<Label>,
    state: ConnectionState,
    age: Duration,
    requests: Vec<RequestInfo>,
}

/// A request in flight.
#[derive(Clone, Debug)]
pub struct RequestInfo {
    id: u64,
    method: String,
    path: String,
}

/// How many connections there are in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionCounts {
    /// Nothing read that tells the protocol.
    pub new: usize,
    /// A request is being read or served.
    pub active: usize,
    /// Kept alive, between requests.
    pub idle: usize,
    /// No longer HTTP.
    pub upgraded: usize,
}

impl fmt::Display for ConnectionCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} new, {} active, {} idle, {} upgraded)", self.new, self.active, self.idle, self.upgraded)
    }
}

impl Connections {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Calls `f` at every change of state, the first being [`New`](ConnectionState::New) and the last
    /// [`Closed`](ConnectionState::Closed), on whichever task or thread it happens: it should not take long.
    ///
    /// A panic of it is caught, and changes nothing; with `panic = "abort"` it ends the process.
    #[must_use]
    pub fn on_change(mut self, f: impl Fn(&ConnectionInfo) + Send + Sync + 'static) -> Self {
        self.on_change = Some(Arc::new(f));
        self
    }

    /// How many there are in each state.
    #[must_use]
    pub fn counts(&self) -> ConnectionCounts {
        let mut counts = ConnectionCounts::default();
        for entry in self.shared.entries() {
            match entry.now.lock().unwrap_or_else(PoisonError::into_inner).state {
                ConnectionState::New => counts.new += 1,
                ConnectionState::Active => counts.active += 1,
                ConnectionState::Idle => counts.idle += 1,
                ConnectionState::Upgraded => counts.upgraded += 1,
                ConnectionState::Closed => {}
            }
        }
        counts
    }

    /// Each of them, in the order they were accepted in.
    #[must_use]
    pub fn list(&self) -> Vec<ConnectionInfo> {
        let mut list: Vec<_> = self.shared.entries().iter().map(|entry| entry.connection()).collect();
        list.sort_by_key(|it| it.id);
        list
    }

    /// How many requests and upgraded connections there are: a gauge of the load, and what a drain that begins now would wait
    /// for. (A stream of HTTP/2 that was upgraded is waited for too, and is not among them.)
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(ebbtide_connection::Connections::new().in_flight(), 0);
    /// ```
    #[must_use]
    pub fn in_flight(&self) -> usize {
        let on = |entry: &Arc<Entry>| {
            entry.now(|now| now.requests.len() + usize::from(now.state == ConnectionState::Upgraded))
        };
        self.shared.entries().iter().map(on).sum()
    }

    /// How many connections were ended by one of their [`Bounds`](crate::Bounds) under a request or a
    /// response that was in flight, since these are kept. Each of their futures ended with
    /// [`Error::Bound`](crate::Error::Bound). A drain in which this grew has lost something, also if it closed in time.
    #[must_use]
    pub fn cut_by_bounds(&self) -> u64 {
        self.shared.open(|open| open.cut_by_bounds)
    }

    pub(crate) fn accept(&self, name: Option<Label>) -> Arc<Entry> {
        let entry = self.shared.open(|open| {
            let id = open.accepted;
            open.accepted += 1;
            let now = Now {
                state: ConnectionState::New,
                since: Instant::now(),
                frozen: None,
                begun: 0,
                requests: Vec::new(),
            };
            let entry = Arc::new(Entry { id, name, connections: self.clone(), now: Mutex::new(now) });
            open.entries.insert(id, Arc::downgrade(&entry));
            entry
        });
        self.tell(|| entry.connection());
        entry
    }

    fn tell(&self, change: impl FnOnce() -> ConnectionInfo) {
        let Some(on_change) = &self.on_change else { return };
        let change = change();
        // Who looks on is to end nothing: not the accept loop, in which a connection begins, and not the process, which a
        // second panic does on the way of another one, and a connection may end by one.
        drop(catch_unwind(AssertUnwindSafe(|| on_change(&change))));
    }
}

impl Shared {
    fn open<R>(&self, f: impl FnOnce(&mut Open) -> R) -> R {
        f(&mut self.open.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn entries(&self) -> Vec<Arc<Entry>> {
        self.open(|open| open.entries.values().filter_map(Weak::upgrade).collect())
    }
}

/// A connection in the list.
pub(crate) struct Entry {
    id: u64,
    name: Option<Label>,
    connections: Connections,
    now: Mutex<Now>,
}

struct Now {
    state: ConnectionState,
    since: Instant,
    /// How long it had been in its state when it was cut. What comes after is no news.
    frozen: Option<Duration>,
    /// How many requests there have been.
    begun: u64,
    requests: Vec<RequestInfo>,
}

impl Entry {
    pub(crate) fn change(&self, state: ConnectionState) {
        let changed = self.now(|now| {
            let changed = now.state != state && now.frozen.is_none();
            if changed {
                (now.state, now.since) = (state, Instant::now());
            }
            changed
        });
        if changed {
            self.connections.tell(|| self.connection());
        }
    }

    /// The drain was closed by force under it.
    pub(crate) fn freeze(&self) {
        self.now(|now| {
            now.frozen.get_or_insert(now.since.elapsed());
        });
    }

    pub(crate) fn cut_by_bound(&self) {
        self.connections.shared.open(|open| open.cut_by_bounds += 1);
    }

    /// Returns the request's number.
    pub(crate) fn begin(&self, method: String, path: String) -> u64 {
        self.now(|now| {
            let id = now.begun;
            now.begun += 1;
            now.requests.push(RequestInfo { id, method, path });
            id
        })
    }

    pub(crate) fn end(&self, id: u64) {
        self.now(|now| {
            if now.frozen.is_none() {
                now.requests.retain(|it| it.id != id);
            }
        });
    }

    /// The last part of the connection is gone.
    pub(crate) fn close(&self) {
        self.connections.shared.open(|open| open.entries.remove(&self.id));
        self.connections.tell(|| ConnectionInfo {
            state: ConnectionState::Closed,
            age: Duration::ZERO,
            ..self.connection()
        });
    }

    fn now<R>(&self, f: impl FnOnce(&mut Now) -> R) -> R {
        f(&mut self.now.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn connection(&self) -> ConnectionInfo {
        self.now(|now| ConnectionInfo {
            id: self.id,
            name: self.name.clone(),
            state: now.state,
            age: now.frozen.unwrap_or_else(|| now.since.elapsed()),
            requests: now.requests.clone(),
        })
    }
}

impl ConnectionInfo {
    /// Its number: the first connection of a [`Connections`] is 0.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The label of the guard that it was served with: the client's address, if the accept loop was asked for it.
    #[must_use]
    pub fn name(&self) -> Option<&Label> {
        self.name.as_ref()
    }

    /// How it stands.
    #[must_use]
    pub fn state(&self) -> ConnectionState {
        self.state
    }

    /// For how long it has been in that state.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.age
    }

    /// What is in flight on it. HTTP/1 has one request at a time.
    #[must_use]
    pub fn requests(&self) -> &[RequestInfo] {
        &self.requests
    }
}

impl RequestInfo {
    /// Its method.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.method
    }

    /// Its path, without the query, which may have secrets in it.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for ConnectionInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => name.fmt(f)?,
            None => write!(f, "connection {}", self.id)?,
        }
        write!(f, ": {}", self.state)?;
        if self.state != ConnectionState::Closed {
            write!(f, " {:.1} s", self.age.as_secs_f64())?;
        }
        for request in &self.requests {
            write!(f, ", {} {}", request.method, request.path)?;
        }
        Ok(())
    }
}

/// As a label.
pub(crate) struct EntryLabel(pub(crate) Arc<Entry>);

impl fmt::Display for EntryLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.connection().fmt(f)
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").field("counts", &self.counts()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.connection().fmt(f)
    }
}
