//! Who looks: on demand, and by itself while there is a drain or somebody who watches.

use std::cmp::Reverse;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::{Context, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ebbtide::{Cause, Drain, Held, State, Watcher};
use ebbtide_connection::Connections;

use crate::action::Posted;
use crate::history::Point;
use crate::record::Record;
use crate::rows::Rows;
use crate::snapshot::{Counts, Cut, Phase, ROWS, Seconds, Snapshot, Stage};
use crate::text::clipped;
use crate::view::{ObstacleKind, PartSeen, StageSeen, View, position};

/// What all clones of a probe share.
pub(crate) struct Observer {
    pub(crate) drain: Drain,
    pub(crate) view: Box<dyn View>,
    settings: Mutex<Settings>,
    record: Mutex<Record>,
    latest: Mutex<Option<Latest>>,
    /// Starts with the next look, and another one takes its place: so those who wait are woken outside the lock.
    tick: Mutex<Drain>,
    scrape: Mutex<Drain>,
    streams: AtomicUsize,
    /// Tells this process from the one that takes its place.
    pub(crate) boot: String,
    thread: OnceLock<Thread>,
}

/// What is told after the probe was made.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) name: String,
    pub(crate) connections: Option<Connections>,
    pub(crate) deadline: Option<Duration>,
    pub(crate) end: Option<String>,
    pub(crate) inside: Option<Arc<Inside>>,
    pub(crate) killed: Vec<String>,
}

pub(crate) type Inside = dyn Fn(Held) -> Vec<Held> + Send + Sync;

struct Latest {
    state: State,
    at: Instant,
    cost: Duration,
    snapshot: Arc<Snapshot>,
}

/// How often it looks while a drain goes on.
const TICK: Duration = Duration::from_millis(250);
/// How often it looks while somebody watches a service that runs.
const CALM: Duration = Duration::from_secs(1);
/// By which factor it rests longer than a look took: ten thousand connections take their time.
const REST: u32 = 20;
/// But no longer than this.
const LONGEST_REST: Duration = Duration::from_secs(2);
/// By which factor a look on demand is reused longer than it took.
const REUSE: u32 = 10;
/// In bytes: of a cause in the metrics, and on the page.
const REASON: usize = 40;
const LONG: usize = 200;
const CUTS: usize = 50;

impl Observer {
    pub(crate) fn begin(drain: Drain, view: Box<dyn View>) -> Arc<Self> {
        let settings = Settings {
            name: program(),
            connections: None,
            deadline: None,
            end: None,
            inside: None,
            killed: Vec::new(),
        };
        let watcher = drain.watcher();
        let begun = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let this = Arc::new(Self {
            drain,
            view,
            settings: Mutex::new(settings),
            record: Mutex::default(),
            latest: Mutex::default(),
            tick: Mutex::default(),
            scrape: Mutex::default(),
            streams: AtomicUsize::new(0),
            boot: format!("{:x}-{:x}", std::process::id(), begun.as_nanos()),
            thread: OnceLock::new(),
        });
        let weak = Arc::downgrade(&this);
        let thread = thread::Builder::new().name("ebbtide probe".to_owned()).spawn(move || watch(&weak, watcher));
        // Without a thread it looks on demand alone.
        if let Ok(thread) = thread {
            let _ = this.thread.set(thread.thread().clone());
        }
        this
    }

    /// Changes a setting. What it was before is dropped by the caller, outside the lock.
    pub(crate) fn set<T>(&self, set: impl FnOnce(&mut Settings) -> T) -> T {
        let before = set(&mut lock(&self.settings));
        *lock(&self.latest) = None;
        before
    }

    pub(crate) fn settings(&self) -> Settings {
        lock(&self.settings).clone()
    }

    /// What is to be seen, or was a moment ago: as long ago as it takes to look a few times.
    pub(crate) fn look(&self) -> Arc<Snapshot> {
        let state = self.drain.state();
        let is_fresh = |it: &&Latest| it.state == state && it.at.elapsed() < it.cost * REUSE;
        let reused = lock(&self.latest).as_ref().filter(is_fresh).map(|it| it.snapshot.clone());
        reused.unwrap_or_else(|| self.look_anew())
    }

    pub(crate) fn look_anew(&self) -> Arc<Snapshot> {
        let (state, begun) = (self.drain.state(), Instant::now());
        let snapshot = Arc::new(self.take());
        let at = Instant::now();
        let latest = Latest { state, at, cost: at - begun, snapshot: snapshot.clone() };
        let _dropped_outside_the_lock = lock(&self.latest).replace(latest);
        snapshot
    }

    /// Ready with the next look.
    pub(crate) fn next_tick(&self) -> Watcher {
        lock(&self.tick).watcher()
    }

    /// Ready with the next scrape.
    pub(crate) fn next_scrape(&self) -> Watcher {
        lock(&self.scrape).watcher()
    }

    /// A scrape. Those who wait for one are told behind the look that it takes. Who begins to wait meanwhile is not: what
    /// they have done before may not be seen by it.
    pub(crate) fn scrape(&self) -> Arc<Snapshot> {
        let waiting = mem::take(&mut *lock(&self.scrape));
        let snapshot = self.look_anew();
        drop(waiting.start());
        snapshot
    }

    /// A place among the streams, of which there are `most`.
    pub(crate) fn place(self: &Arc<Self>, most: usize) -> Option<Place> {
        let taken = self.streams.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |it| (it < most).then_some(it + 1));
        taken.ok()?;
        self.wake();
        Some(Place(self.clone()))
    }

    fn wake(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    fn take(&self) -> Snapshot {
        let settings = self.settings();
        let look = self.view.look();
        let obstacle = self.view.obstacle();
        let cause = self.drain.cause();
        let connections = settings.connections.as_ref();
        let rows = connections.map(|it| (Rows::of(&it.list()), Some(Counts::of(it))));
        let (mut rows, counts) = rows.unwrap_or_default();
        let end = settings.end.as_deref().and_then(|it| position(&look.stages, it));
        let inside = settings.inside.as_deref();
        let stages = look.stages.iter().enumerate().map(|(at, stage)| {
            let outlives = end.is_some_and(|end| at >= end);
            let held = |part: &PartSeen| {
                if outlives || !stage.waits_for(part) { 0 } else { rows.add(part, inside) }
            };
            Stage::of(stage, outlives, held)
        });
        let stages: Vec<_> = stages.filter(|it| !it.parts.is_empty()).collect();
        let has_drained = match end {
            Some(end) => look.state != State::Running && look.stages[..end].iter().all(StageSeen::is_closed),
            None => look.state == State::Closed,
        };
        let phase = match &obstacle {
            None => Phase::Ready,
            Some(it) if it.kind == ObstacleKind::Starting => Phase::Starting,
            Some(it) if it.kind == ObstacleKind::SwitchedOff => Phase::SwitchedOff,
            Some(_) if has_drained => Phase::Drained,
            Some(_) if look.lame_duck.is_some() => Phase::LameDuck,
            Some(_) => Phase::Draining,
        };
        let cuts: Vec<_> = look.stages.iter().flat_map(|it| &it.parts).flat_map(Cut::of).collect();

        let mut record = lock(&self.record);
        if phase == Phase::Drained {
            record.ended = record.ended.or(look.elapsed);
        }
        let elapsed = record.ended.or(look.elapsed);
        record.age(&mut rows.list, Instant::now());
        if let Some(at) = elapsed {
            record.history.add(Point { at, guards: rows.guards });
        }
        let cut_labels = record.classes(cuts.iter().map(|it| (&it.what[..], it.guards)));
        let labels = record.labels(&rows.labels);
        let history = record.history.points().to_vec();
        drop(record);

        let (guards, mut held) = (rows.guards, rows.list);
        held.sort_by_key(|it| Reverse(it.seconds));
        let held_more = held.len().saturating_sub(ROWS);
        held.truncate(ROWS);
        let deadline = look.deadline.or(settings.deadline);
        let goes_on = matches!(phase, Phase::Draining);
        let left = deadline.zip(elapsed.filter(|_| goes_on)).map(|(it, elapsed)| it.saturating_sub(elapsed));
        Snapshot {
            name: settings.name.clone(),
            process: std::process::id(),
            phase,
            ready: obstacle.is_none(),
            obstacle: obstacle.map(|it| clipped(it.text, LONG)),
            reason: cause.as_ref().map(|it| self.reason(it)),
            cause: cause.map(|it| clipped(it, LONG)),
            lame_duck_left_seconds: look.lame_duck.map(Seconds),
            elapsed_seconds: elapsed.map(Seconds),
            deadline_seconds: deadline.map(Seconds),
            left_seconds: left.map(Seconds),
            guards,
            connections: counts,
            stages,
            held,
            held_more,
            cut: cuts.into_iter().take(CUTS).collect(),
            killed: settings.killed,
            labels,
            cut_labels,
            history,
            sections: OnceLock::new(),
        }
    }

    /// A cause in one word. In a process there is one drain, but a fleet has many: so an error is not told with its text.
    fn reason(&self, cause: &Cause) -> String {
        match cause {
            Cause::Called(_) => "called".to_owned(),
            Cause::Dropped => "dropped".to_owned(),
            Cause::Said(label) if label.downcast_ref::<Posted>().is_some() => "post".to_owned(),
            Cause::Said(label) if self.view.is_failure(label) => "failure".to_owned(),
            Cause::Said(label) => clipped(label, REASON),
            _ => "other".to_owned(),
        }
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.wake();
    }
}

/// Looks while there is a reason to, until nobody has the probe any more.
fn watch(observer: &Weak<Observer>, mut draining: Watcher) {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        let is_draining = Pin::new(&mut draining).poll(&mut context).is_ready();
        let Some(observer) = observer.upgrade() else { return };
        let begun = Instant::now();
        let has_watchers = observer.streams.load(Ordering::SeqCst) > 0;
        let goes_on = is_draining && observer.drain.state() != State::Closed;
        if is_draining || has_watchers {
            // A label of a user's that panics when it is shown ends nothing but this look.
            drop(catch_unwind(AssertUnwindSafe(|| drop(observer.look_anew()))));
            renew(&observer.tick);
        }
        let rest = (begun.elapsed() * REST).min(LONGEST_REST);
        drop(observer);
        match (goes_on, has_watchers) {
            (true, _) => thread::park_timeout(rest.max(TICK)),
            (false, true) => thread::park_timeout(rest.max(CALM)),
            (false, false) => thread::park(),
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// A place among the streams.
pub(crate) struct Place(Arc<Observer>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::SeqCst);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Wakes those who wait for it.
fn renew(event: &Mutex<Drain>) {
    let old = mem::take(&mut *lock(event));
    drop(old.start());
}

/// The name of the program's file.
fn program() -> String {
    let path = std::env::args_os().next().unwrap_or_default();
    Path::new(&path).file_stem().map_or_else(|| "service".to_owned(), |it| clipped(it.to_string_lossy(), 64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::Alone;

    fn observer(drain: &Drain) -> Arc<Observer> {
        Observer::begin(drain.clone(), Box::new(Alone::new(drain)))
    }

    #[test]
    fn what_has_been_seen_for_longest_stands_first() {
        let drain = Drain::new();
        let observer = observer(&drain);
        let first = drain.watcher().labelled("first");
        observer.look_anew();
        let second = (drain.watcher().labelled("second"), drain.watcher().labelled("second"), drain.guard());
        let held = &observer.look_anew().held;
        let rows: Vec<_> = held.iter().map(|it| (&it.what[..], it.guards)).collect();
        assert_eq!(rows, [("first", 1), ("second", 2), ("a guard without a label", 1)]);
        assert!(held[0].seconds > held[1].seconds);
        drop((first, second));
    }

    #[test]
    fn a_crowd_is_shown_in_part_and_counted_in_full() {
        let drain = Drain::new();
        let observer = observer(&drain);
        let guards: Vec<_> = (0..300).map(|at| drain.watcher().labelled(format!("job {at}"))).collect();
        let snapshot = observer.look_anew();
        assert_eq!((snapshot.held.len(), snapshot.held_more, snapshot.guards), (ROWS, 200, 300));
        drop(guards);
    }

    #[test]
    fn what_was_cut_is_told_and_time_stands_still_at_the_end() {
        let drain = Drain::new();
        let observer = observer(&drain);
        let upload = (drain.watcher().labelled("upload"), drain.guard());
        drain.close();
        let snapshot = observer.look_anew();
        let cut: Vec<_> = snapshot.cut.iter().map(|it| (&it.what[..], it.guards)).collect();
        assert_eq!((snapshot.phase, cut), (Phase::Drained, vec![("upload", 1), ("unlabelled", 1)]));
        assert_eq!(snapshot.elapsed_seconds, observer.look_anew().elapsed_seconds);
        drop(upload);
    }

    #[test]
    fn a_cause_is_one_of_few_words() {
        let reason = |begin: fn(&Drain)| {
            let drain = Drain::new();
            let observer = observer(&drain);
            begin(&drain);
            observer.look_anew().reason.clone()
        };
        assert_eq!(reason(|it| drop(it.start())).as_deref(), Some("called"));
        assert_eq!(reason(|it| drop(it.start_because("SIGTERM"))).as_deref(), Some("SIGTERM"));
        let posted = |it: &Drain| drop(it.start_because(ebbtide::Label::live(Posted(None))));
        assert_eq!(reason(posted).as_deref(), Some("post"));
        let long = |it: &Drain| drop(it.start_because("x".repeat(1000)));
        assert_eq!(reason(long).map(|it| it.len()), Some(REASON + '…'.len_utf8()));
    }

    #[test]
    fn the_thread_ends_with_the_probe() {
        let drain = Drain::new();
        let observer = observer(&drain);
        let weak = Arc::downgrade(&observer);
        drop(observer);
        // The thread may just be looking.
        while weak.strong_count() > 0 {
            thread::yield_now();
        }
    }

    #[test]
    fn a_label_that_panics_when_it_is_shown_ends_no_thread() {
        struct Bad;
        impl std::fmt::Display for Bad {
            fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                panic!("a label of a test")
            }
        }
        let drain = Drain::new();
        let observer = observer(&drain);
        let bad = drain.watcher().labelled(ebbtide::Label::live(Bad));
        let mut tick = observer.next_tick();
        drop(drain.start());
        wait(&mut tick);
        drop(bad);
        let mut tick = observer.next_tick();
        wait(&mut tick);
        assert_eq!(observer.look_anew().phase, Phase::Drained);
    }

    fn wait(watcher: &mut Watcher) {
        while watcher.state() == State::Running {
            thread::yield_now();
        }
    }
}
