//! Who looks: on demand, and by itself while there is a drain or somebody who watches.

use std::collections::{BTreeSet, HashMap};
use std::mem;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::task::{Context, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use ebbtide::{Cause, Drain, Held, Overdue, State, Watcher};
use ebbtide_connection::{ConnectionInfo, Connections};

use crate::action::Posted;
use crate::history::{History, Point};
use crate::snapshot::{Counts, Cut, Kind, Part, Phase, Progress, ROWS, Row, Seconds, Snapshot, Stage};
use crate::text::clipped;
use crate::view::{ObstacleKind, PartSeen, StageSeen, View};

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

/// What a look remembers for the next one.
#[derive(Default)]
struct Record {
    seen: HashMap<(String, String), Instant>,
    history: History,
    ended: Option<Duration>,
    names: BTreeSet<String>,
}

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
/// How many labels the metrics tell apart. Those that come later are counted together.
const LABELS: usize = 32;
/// In bytes: of a label in the metrics, of a cause there, and of anything on the page.
const SHORT: usize = 64;
const REASON: usize = 40;
const LONG: usize = 200;
const REQUESTS: usize = 4;
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
        let begun = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
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

    pub(crate) fn set(&self, set: impl FnOnce(&mut Settings)) {
        set(&mut lock(&self.settings));
        *lock(&self.latest) = None;
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

    /// A scrape. Those who wait for one are told behind the look that it takes, and who begins to wait meanwhile is not: so
    /// what they have done before is seen by it.
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
        let (mut rows, counts) = connections.map(|it| (rows_of(&it.list()), Some(counts(it)))).unwrap_or_default();
        // How a connection of the list calls itself as a label: by its name and a colon, and then by what it is doing.
        let known: HashMap<_, _> = rows.iter().enumerate().map(|(at, it)| (it.what.clone(), at)).collect();
        let mut sums = Sums::default();
        let end = settings.end.as_deref().and_then(|it| position(&look.stages, it));
        let mut seen = |stage: &StageSeen, part: &PartSeen| {
            if is_waited_for(part, stage) {
                add(&mut rows, &known, part, settings.inside.as_deref(), &mut sums)
            } else {
                0
            }
        };
        let counted = end.unwrap_or(look.stages.len());
        let stages = look.stages.iter().enumerate().map(|(at, it)| {
            let outlives = at >= counted;
            stage(it, outlives, |part| if outlives { 0 } else { seen(it, part) })
        });
        let stages: Vec<_> = stages.collect();
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
        let cuts: Vec<_> = look.stages.iter().flat_map(|it| &it.parts).flat_map(cuts_of).collect();

        let mut record = lock(&self.record);
        if phase == Phase::Drained {
            record.ended = record.ended.or(look.elapsed);
        }
        let elapsed = record.ended.or(look.elapsed);
        record.age(&mut rows, Instant::now());
        if let Some(at) = elapsed {
            record.history.add(Point { at, guards: sums.guards });
        }
        let labels = record.labels(&sums.labels);
        let cut_labels = record.classes(cuts.iter().map(|it| (&it.what[..], it.guards)));
        let history = record.history.points().to_vec();
        drop(record);

        rows.sort_by_key(|it| std::cmp::Reverse(it.seconds));
        let held_more = rows.len().saturating_sub(ROWS);
        rows.truncate(ROWS);
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
            guards: sums.guards,
            connections: counts,
            stages: stages.into_iter().filter(|it| !it.parts.is_empty()).collect(),
            held: rows,
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

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
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
    std::path::Path::new(&path).file_stem().map_or_else(|| "service".to_owned(), |it| clipped(it.display(), SHORT))
}

/// How many guards are held in all, and by label.
#[derive(Default)]
struct Sums {
    guards: usize,
    labels: HashMap<String, usize>,
}

impl Sums {
    fn add(&mut self, label: &str, guards: usize) {
        self.guards += guards;
        *self.labels.entry(label.to_owned()).or_default() += guards;
    }
}

const CONNECTION: &str = "connection";
const UNLABELLED: &str = "unlabelled";
const OTHER: &str = "other";

impl Record {
    /// Since when rows that do not tell themselves have been seen.
    fn age(&mut self, rows: &mut [Row], now: Instant) {
        let mut seen = HashMap::with_capacity(self.seen.len());
        for row in rows.iter_mut().filter(|it| it.kind != Kind::Connection) {
            let key = (row.part.clone().unwrap_or_default(), row.what.clone());
            let since = self.seen.get(&key).copied().unwrap_or(now);
            row.seconds = Seconds(now - since);
            seen.insert(key, since);
        }
        self.seen = seen;
    }

    /// The labels that are told apart, those that nobody holds now among them.
    fn labels(&mut self, sums: &HashMap<String, usize>) -> Vec<(String, usize)> {
        let mut labels = self.classes(sums.iter().map(|(label, guards)| (&label[..], *guards)));
        let absent = self.names.iter().filter(|it| labels.iter().all(|(label, _)| label != *it));
        let absent: Vec<_> = absent.map(|it| (it.clone(), 0)).collect();
        labels.extend(absent);
        labels.sort();
        labels
    }

    fn classes<'a>(&mut self, labels: impl Iterator<Item = (&'a str, usize)>) -> Vec<(String, usize)> {
        let mut classes = HashMap::<_, usize>::new();
        for (label, guards) in labels {
            *classes.entry(self.class(label)).or_default() += guards;
        }
        let mut classes: Vec<_> = classes.into_iter().collect();
        classes.sort();
        classes
    }

    /// What the metrics call a label: itself, unless there are too many of its kind.
    fn class(&mut self, label: &str) -> String {
        let address = label.split_once(": ").map_or(label, |it| it.0);
        if address.parse::<SocketAddr>().is_ok() {
            return CONNECTION.to_owned();
        }
        let label = clipped(label, SHORT);
        if self.names.contains(&label) || [CONNECTION, UNLABELLED, OTHER].contains(&&label[..]) {
            return label;
        }
        if self.names.len() == LABELS {
            return OTHER.to_owned();
        }
        self.names.insert(label.clone());
        label
    }
}

fn counts(connections: &Connections) -> Counts {
    let list = connections.list();
    Counts {
        requests: list.iter().map(|it| it.requests().len()).sum(),
        cut_by_bounds: connections.cut_by_bounds(),
        ..Counts::from(connections.counts())
    }
}

fn rows_of(list: &[ConnectionInfo]) -> Vec<Row> {
    list.iter().map(row_of).collect()
}

fn row_of(it: &ConnectionInfo) -> Row {
    let mut requests: Vec<_> = it
        .requests()
        .iter()
        .take(REQUESTS)
        .map(|it| clipped(format_args!("{} {}", it.method(), it.path()), LONG))
        .collect();
    if it.requests().len() > REQUESTS {
        requests.push(format!("{} more", it.requests().len() - REQUESTS));
    }
    Row {
        kind: Kind::Connection,
        what: it.name().map_or_else(|| format!("connection {}", it.id()), |name| clipped(name, LONG)),
        part: None,
        state: Some(it.state().to_string()),
        requests,
        guards: 1,
        seconds: Seconds(it.age()),
    }
}

/// Whether the drain waits for it. A closing action whose turn has not come is not waited for yet.
fn is_waited_for(part: &PartSeen, stage: &StageSeen) -> bool {
    part.state != State::Closed && !(stage.is_closing && part.state == State::Running)
}

/// Which stage has a part of this name.
fn position(stages: &[StageSeen], name: &str) -> Option<usize> {
    let is_it = |part: &PartSeen| part.name.as_ref().is_some_and(|it| it.to_string() == name);
    stages.iter().position(|it| it.parts.iter().any(is_it))
}

/// Adds what a part holds, and returns how much that is, the part itself not counted.
fn add(
    rows: &mut Vec<Row>,
    known: &HashMap<String, usize>,
    part: &PartSeen,
    inside: Option<&Inside>,
    sums: &mut Sums,
) -> usize {
    let name = part.name.as_ref().map(|it| clipped(it, LONG));
    let (mut itself, mut labelled, mut held) = (0, 0, 0);
    for it in &part.held {
        labelled += it.guards();
        for it in inside.map_or_else(|| vec![it.clone()], |inside| inside(it.clone())) {
            let (what, guards) = (clipped(it.label(), LONG), it.guards());
            if Some(&what) == name.as_ref() {
                itself += guards;
            } else if let Some(at) = known.get(what.split_once(": ").map_or(&what[..], |it| it.0)) {
                rows[*at].part.clone_from(&name);
                // One, however many guards it has.
                sums.add(CONNECTION, 1);
                held += 1;
            } else {
                sums.add(&what, guards);
                held += guards;
                rows.push(Row { part: name.clone(), ..row(Kind::Label, what, guards) });
            }
        }
    }
    let others = part.guards.saturating_sub(labelled);
    if others > 0 {
        sums.add(UNLABELLED, others);
        held += others;
        let what = if others == 1 { "a guard" } else { "guards" };
        rows.push(Row { part: name.clone(), ..row(Kind::Unlabelled, format!("{what} without a label"), others) });
    }
    if let Some(name) = name.filter(|_| itself > 0 && part.state == State::Draining && held == 0) {
        sums.add(&name, 1);
        rows.push(Row { part: Some(name.clone()), ..row(Kind::Part, name, 1) });
    }
    held
}

fn row(kind: Kind, what: String, guards: usize) -> Row {
    Row { kind, what, part: None, state: None, requests: Vec::new(), guards, seconds: Seconds::default() }
}

fn stage(stage: &StageSeen, outlives: bool, mut held: impl FnMut(&PartSeen) -> usize) -> Stage {
    let counted: Vec<_> = stage.parts.iter().map(|it| (it, held(it))).collect();
    let named = counted.iter().filter_map(|(it, held)| it.name.as_ref().map(|name| (name, it, *held)));
    let parts: Vec<_> = named
        .map(|(name, part, held)| Part {
            name: clipped(name, SHORT),
            address: part.address.clone(),
            state: progress(part, stage.is_closing),
            held,
            cut: part.overdue.as_ref().map_or(0, Overdue::guards),
            outlives,
        })
        .collect();
    let states = || parts.iter().map(|it| it.state);
    let state = if states().any(|it| it == Progress::Draining) {
        Progress::Draining
    } else if states().all(|it| it >= Progress::Closed) {
        states().max().unwrap_or(Progress::Closed)
    } else {
        states().min().unwrap_or(Progress::Closed)
    };
    Stage { state, closing: stage.is_closing, parts }
}

fn progress(part: &PartSeen, is_closing: bool) -> Progress {
    match part.state {
        State::Running if is_closing => Progress::Waiting,
        State::Running if part.guards == 0 => Progress::Ended,
        State::Running => Progress::Running,
        State::Draining => Progress::Draining,
        State::Closed if part.overdue.is_some() => Progress::Cut,
        State::Closed => Progress::Closed,
    }
}

fn cuts_of(part: &PartSeen) -> Vec<Cut> {
    let Some(overdue) = &part.overdue else { return Vec::new() };
    let name = part.name.as_ref().map(|it| clipped(it, SHORT));
    let cut = |what: String, guards| Cut { part: name.clone(), what, guards };
    let mut cuts: Vec<_> = overdue.held().iter().map(|it| cut(clipped(it.label(), LONG), it.guards())).collect();
    let labelled: usize = cuts.iter().map(|it| it.guards).sum();
    let others = overdue.guards().saturating_sub(labelled);
    if others > 0 {
        cuts.push(cut(UNLABELLED.to_owned(), others));
    }
    cuts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::Alone;

    fn observer(drain: &Drain) -> Arc<Observer> {
        Observer::begin(drain.clone(), Box::new(Alone::new(drain)))
    }

    #[test]
    fn metrics_have_few_labels_however_many_there_are() {
        let drain = Drain::new();
        let observer = observer(&drain);
        let guards: Vec<_> = (0..1000).map(|at| drain.watcher().labelled(format!("tenant {at:03}"))).collect();
        let peers: Vec<_> = (1..1000).map(|port| drain.watcher().labelled(format!("[::1]:{port}"))).collect();
        let labels = observer.look_anew().labels.clone();
        assert_eq!(labels.len(), LABELS + 2, "{labels:?}");
        let count = |label: &str| labels.iter().find(|it| it.0 == label).map(|it| it.1);
        assert_eq!((count(OTHER), count(CONNECTION)), (Some(1000 - LABELS), Some(999)));
        drop((guards, peers));

        let late = drain.watcher().labelled("late");
        let labels = observer.look_anew().labels.clone();
        assert_eq!(labels.iter().map(|it| it.1).sum::<usize>(), 1);
        assert_eq!(labels.len(), LABELS + 1, "those that were told go on, as 0: {labels:?}");
        drop(late);
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
        assert_eq!((snapshot.phase, cut), (Phase::Drained, vec![("upload", 1), (UNLABELLED, 1)]));
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
