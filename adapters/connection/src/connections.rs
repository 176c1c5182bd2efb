//! `Connections`: the list of open connections, their states and their requests.

use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::state::ConnectionState;
use ebbtide::Label;

/// The list of open connections, with their states and their requests in flight. A clone is the same list.
///
/// An HTTP adapter that is given this list adds its connections to it. Each of them then has a label of its own:
/// [`Drain::held`](ebbtide::Drain::held) and [`Overdue`](ebbtide::Overdue) show its state, the time in that state and its
/// requests. They are as of the moment at which they are shown; after a forced close, as of the cut.
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

/// A snapshot of one connection.
#[derive(Clone, Debug)]
pub struct ConnectionInfo {
    id: u64,
    name: Option<Label>,
    state: ConnectionState,
    age: Duration,
    requests: Vec<RequestInfo>,
}

/// A snapshot of a request in flight.
#[derive(Clone, Debug)]
pub struct RequestInfo {
    id: u64,
    method: String,
    path: String,
}

/// The number of connections in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionCounts {
    /// Accepted; too little was read to tell the protocol.
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
    /// An empty list.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Calls `f` at every change of a connection's state, from [`New`](ConnectionState::New) to
    /// [`Closed`](ConnectionState::Closed).
    ///
    /// It runs in the task or thread in which the state changes, so it should be short. A panic of `f` is caught and ignored;
    /// with `panic = "abort"` it ends the process.
    #[must_use]
    pub fn on_change(mut self, f: impl Fn(&ConnectionInfo) + Send + Sync + 'static) -> Self {
        self.on_change = Some(Arc::new(f));
        self
    }

    /// The number of connections in each state.
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

    /// Snapshots of all connections, in the order in which they were accepted.
    #[must_use]
    pub fn list(&self) -> Vec<ConnectionInfo> {
        let mut list: Vec<_> = self.shared.entries().iter().map(|entry| entry.connection()).collect();
        list.sort_by_key(|it| it.id);
        list
    }

    /// The number of requests in flight and of upgraded connections: what a drain that begins now would wait for.
    ///
    /// Upgraded streams of HTTP/2 are not counted, though a drain waits for them too.
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

    /// How many connections were closed by one of their [`Bounds`](crate::Bounds) with a request or response in flight.
    ///
    /// It counts from the creation of this list. Each such connection ended with [`Error::Bound`](crate::Error::Bound). If it
    /// grew in a drain, work was lost, though the drain may have closed in time.
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
        // A panic of the observer must not end the accept loop, which calls this for a new connection. Nor the process: a
        // connection may end by a panic, and a second one while unwinding aborts.
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
    /// Once it was cut: how long it had been in its state. From then on its state does not change.
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

    /// Keeps the state as it is now: the drain was closed by force.
    pub(crate) fn freeze(&self) {
        self.now(|now| {
            now.frozen.get_or_insert(now.since.elapsed());
        });
    }

    /// The label of the guard that the connection was served with.
    pub(crate) fn name(&self) -> Option<&Label> {
        self.name.as_ref()
    }

    pub(crate) fn cut_by_bound(&self) {
        self.connections.shared.open(|open| open.cut_by_bounds += 1);
    }

    /// Adds a request, and returns its number.
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

    /// Removes the connection: its tracker is dropped.
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
    /// The number of the connection: 0, 1, 2 and so on in the order of accept.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The label of the guard that it was served with: the client's address, if the accept loop names its guards.
    #[must_use]
    pub fn name(&self) -> Option<&Label> {
        self.name.as_ref()
    }

    /// The state of the connection.
    #[must_use]
    pub fn state(&self) -> ConnectionState {
        self.state
    }

    /// How long it has been in that state.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.age
    }

    /// The requests in flight. HTTP/1 has one at a time.
    #[must_use]
    pub fn requests(&self) -> &[RequestInfo] {
        &self.requests
    }
}

impl RequestInfo {
    /// The method, such as `GET`.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The path, without the query, which may have secrets in it.
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

/// The label of a connection in the list.
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
