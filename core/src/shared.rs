//! `Shared`: the state of a drain that all its handles share, sharded to avoid contention. All atomics of the crate are here.
//!
//! A shard has two reference counts, each on cache lines of its own. A [`Guard`](crate::Guard) is an `Arc` of the shard's
//! [`GuardCount`], a [`Watcher`](crate::Watcher) is an `Arc` of its [`WatcherCount`]. So taking and dropping either is one clone
//! and drop of an `Arc`. A `GuardCount` is dropped with its last guard.
//!
//! A label has a `GuardCount` of its own, made for its first guard. So guards without a label cost nothing more.
//!
//! Two invariants carry the rest:
//!
//! - *Open.* While the drain runs, `Shared` itself owns one `Arc` of every shard's `GuardCount`, so none is dropped. `start`
//!   drops these; from then on a `GuardCount` lives exactly as long as the guards of its shard.
//! - *Last.* `open_shards` is the number of `GuardCount`s alive; the drop that takes it to zero closes the drain.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::cmp::Reverse;

use crate::cause::Cause;
use crate::label::{Held, Label};
use crate::overdue::Overdue;
use crate::state::{Phase, State};
use crate::sync::{self, Arc, AtomicU8, AtomicUsize, Lock, Ordering, Weak, fence};
use crate::waker_list::{WakeAll, WakerList};

#[derive(Debug)]
pub(crate) struct Shared {
    /// A [`Phase`].
    phase: AtomicU8,
    open_shards: AtomicUsize,
    shards: Box<[Shard]>,
    locked: Lock<Locked>,
    /// Woken when the last guard is dropped, also after a forced close.
    released: WakerList,
    /// Not 0 once a forced close has begun. The parts of this drain are closed before it is.
    forced: AtomicU8,
    /// Woken when a forced close begins.
    parts: WakerList,
}

/// The guards of one shard, or of one label, hold this by `Arc`. Its drop is the drop of the last of them.
#[derive(Debug)]
pub(crate) struct GuardCount {
    pub(crate) shared: Arc<Shared>,
    shard: usize,
    label: Option<Label>,
    _apart: Apart,
}

/// Keeps the counts of two shards apart: two cache lines, since processors fetch them in pairs. It is 16 bytes less, which the
/// allocator adds. Without `std` there is one shard, so nothing to keep apart.
///
/// Not an alignment: each connection has a label, and an aligned allocation takes twice the memory.
#[derive(Debug, Default)]
struct Apart {
    #[cfg(feature = "std")]
    _lines: [usize; 7],
}

/// The watchers of one shard hold this by `Arc`.
#[derive(Debug)]
pub(crate) struct WatcherCount {
    pub(crate) shared: Arc<Shared>,
    shard: usize,
    /// Whether this is a turn of a lame duck time: then a clone of a watcher must count here, too, and not in another shard.
    is_turn: bool,
    /// Not 0 once the watchers here are ready: the drain has started, or this turn has come. Not a part of the phase, since
    /// turns come before the start; and here it is one indirection away from a watcher.
    told: AtomicU8,
    /// Woken when `told` is set. One indirection away from a watcher, since requests may make, poll and drop one each.
    started: WakerList,
}

#[derive(Debug)]
struct Shard {
    guard_count: Weak<GuardCount>,
    watcher_count: Weak<WatcherCount>,
    /// Woken when the drain closes.
    closed: WakerList,
}

/// The state of a drain that is behind a lock.
#[derive(Debug, Default)]
struct Locked {
    /// One of every shard; empty once the drain has started.
    guard_counts: Vec<Arc<GuardCount>>,
    /// One of every shard; empty once the drain has started.
    watcher_counts: Vec<Arc<WatcherCount>>,
    labelled: BTreeMap<Label, Weak<GuardCount>>,
    turns: Turns,
    cause: Option<Cause>,
    /// The last position in a span that was asked for; see [`next_position`].
    position: u32,
    /// Guards that were given up, and those that were cut in parts of this drain.
    lost: Option<Overdue>,
    /// The outcome of a forced close, `lost` included.
    overdue: Option<Overdue>,
}

/// The turns of a lame duck time: watcher counts that are told before the drain starts, one after the other.
#[derive(Debug, Default)]
struct Turns {
    watcher_counts: Vec<Arc<WatcherCount>>,
    /// How many of them have been told.
    come: usize,
    /// Whether the lame duck time has begun.
    begun: bool,
    /// The state of the Weyl sequence that spreads the turns.
    taken: u32,
}

impl Shared {
    /// Makes a running drain.
    pub(crate) fn open() -> Arc<WatcherCount> {
        let shards = sync::shards();
        let mut locked = Locked::default();
        let shared = tie_knots(shards, &mut Vec::with_capacity(shards), &mut locked);
        let watcher_count = locked.watcher_counts[0].clone();
        shared.locked.with(|it| *it = locked);
        watcher_count
    }

    #[inline]
    pub(crate) fn state(&self) -> State {
        self.phase().state()
    }

    #[inline]
    fn phase(&self) -> Phase {
        // Acquire: a thread that reads Clean sees what the holders of guards wrote before they dropped them.
        Phase::from_word(self.phase.load(Ordering::Acquire))
    }

    /// Changes the phase from one to the other. Returns whether this call changed it.
    fn step(&self, from: Phase, to: Phase) -> bool {
        // SeqCst: at most three times in a drain's life, so a weaker ordering would save nothing.
        self.phase.compare_exchange(from as u8, to as u8, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// The `GuardCount` of this thread's shard; `None` once draining.
    #[inline]
    pub(crate) fn guard_count(&self) -> Option<Arc<GuardCount>> {
        if self.phase() != Phase::Running {
            return None;
        }
        let guard_count = self.shard().guard_count.upgrade()?;
        // If the drain starts between these two lines, it waits for this count. But if `start` has returned before this call,
        // there may be no guard. The upgrade alone does not see to that: older guards keep a shard open.
        (self.phase() == Phase::Running).then_some(guard_count)
    }

    /// The `GuardCount` of the label; `None` once draining, unless the caller holds a guard already.
    pub(crate) fn labelled(this: &Arc<Self>, label: &Label, is_holder: bool) -> Option<Arc<GuardCount>> {
        this.locked.with(|locked| {
            // The phase leaves Running under this lock only, so it stays as it is until the lock is released.
            if !is_holder && this.phase() != Phase::Running {
                return None;
            }
            if let Some(guard_count) = locked.labelled.get(label).and_then(Weak::upgrade) {
                return Some(guard_count);
            }
            // Counted before it can be dropped. The count is not zero: the drain's own shards are open, or the
            // caller's is. Relaxed: only the decrements order the end of the drain.
            this.open_shards.fetch_add(1, Ordering::Relaxed);
            let shard = this.shard_index();
            let guard_count = Arc::new(GuardCount::new(this.clone(), shard, Some(label.clone())));
            // A clone, so that the label of the caller is dropped outside the lock: a live label may run foreign code.
            locked.labelled.insert(label.clone(), Arc::downgrade(&guard_count));
            Some(guard_count)
        })
    }

    /// The `WatcherCount` of this thread's shard, or `own` if that one has been dropped.
    #[inline]
    pub(crate) fn watcher_count(&self, own: &Arc<WatcherCount>) -> Arc<WatcherCount> {
        let index = self.shard_index();
        if index == own.shard || own.is_turn {
            // The common case: a plain clone, without an upgrade of a `Weak`.
            return own.clone();
        }
        self.shards[index].watcher_count.upgrade().unwrap_or_else(|| own.clone())
    }

    /// The shard of this thread.
    #[inline]
    fn shard(&self) -> &Shard {
        &self.shards[self.shard_index()]
    }

    /// The index of this thread's shard. The number of shards is a power of two.
    #[inline]
    fn shard_index(&self) -> usize {
        sync::thread_hint() & (self.shards.len() - 1)
    }

    /// Starts the drain, unless it has started.
    pub(crate) fn start(&self, cause: Cause) {
        // A cause that is not needed is dropped at the end, outside the lock: a live label may run foreign code.
        let mut cause = Some(cause);
        let (watcher_counts, turns, last_counts) = self.locked.with(|locked| {
            // The phase first: from here on no guard is given.
            if self.step(Phase::Running, Phase::Draining) {
                locked.cause = cause.take();
            }
            // Under the lock: when another `start` returns meanwhile, the watchers must be ready as well.
            for watcher_count in locked.watcher_counts.iter().chain(&locked.turns.watcher_counts) {
                watcher_count.tell();
            }
            let guard_counts = core::mem::take(&mut locked.guard_counts);
            // `into_inner` drops our `Arc` without running the drop of `GuardCount` (which wakes) under the lock. A
            // `GuardCount` without guards is returned, and dropped below.
            let last_counts: Vec<GuardCount> = guard_counts.into_iter().filter_map(Arc::into_inner).collect();
            (
                core::mem::take(&mut locked.watcher_counts),
                core::mem::take(&mut locked.turns.watcher_counts),
                last_counts,
            )
        });
        // Before the watchers are woken, so that none of them finds a drain without guards that is not closed.
        drop(last_counts);
        WakeAll(watcher_counts.into_iter().chain(turns).flat_map(|watcher_count| watcher_count.started.take())).all();
    }

    /// Closes a drain by force, if it is draining: first its parts, so that what they have cut is in the outcome.
    pub(crate) fn close(&self) {
        /// Closes the drain itself, also if a waker of a part panics.
        struct Then<'a>(&'a Shared);
        impl Drop for Then<'_> {
            fn drop(&mut self) {
                self.0.close_itself();
            }
        }
        let _then = Then(self);
        // Release, with the Acquire of `is_forced`: a thread that reads it sees that the drain has started.
        self.forced.store(1, Ordering::Release);
        WakeAll(self.parts.take()).all();
    }

    fn close_itself(&self) {
        let closed = self.locked.with(|locked| {
            if self.phase() != Phase::Draining {
                return false;
            }
            let guards = self.counts(locked);
            if guards == 0 {
                // The last guard is being dropped on another thread: the end is a clean one. The counts were read
                // without an ordering; the fence adds what `phase` promises to a thread that reads Clean.
                fence(Ordering::Acquire);
                return self.step(Phase::Draining, Phase::Clean);
            }
            // Before the step: a thread that sees the step reads this.
            locked.overdue = Some(Overdue::forced(guards, locked.held()).and(locked.lost.clone()));
            self.step(Phase::Draining, Phase::Forced)
        });
        if closed {
            self.wake_at_close();
        }
    }

    /// Adds to the outcome what was lost, if the drain is not closed yet. The caller should hold a guard.
    pub(crate) fn record_loss(&self, lost: Overdue) {
        let _dropped_outside_the_lock = self.locked.with(|locked| {
            if self.state() == State::Closed {
                return Some(lost);
            }
            locked.lost = Some(lost.and(locked.lost.take()));
            None
        });
    }

    pub(crate) fn cause(&self) -> Option<Cause> {
        self.locked.with(|locked| locked.cause.clone())
    }

    /// The futures that wait for the beginning of a forced close.
    pub(crate) fn parts(&self) -> &WakerList {
        &self.parts
    }

    /// Whether a forced close has begun.
    pub(crate) fn is_forced(&self) -> bool {
        self.forced.load(Ordering::Acquire) != 0
    }

    /// Makes the turns of a lame duck time. Returns whether it did: only once, and only while the drain is running.
    pub(crate) fn make_turns(this: &Arc<Self>, many: usize) -> bool {
        this.locked.with(|locked| {
            let is_first = this.phase() == Phase::Running && locked.turns.watcher_counts.is_empty();
            if is_first {
                locked.turns.watcher_counts.resize_with(many, || Arc::new(WatcherCount::new(this.clone(), 0, true)));
            }
            is_first
        })
    }

    /// Begins the lame duck time.
    pub(crate) fn begin_turns(&self) {
        self.locked.with(|locked| locked.turns.begun = true);
    }

    /// Makes the watchers of the next turn ready.
    pub(crate) fn next_turn(&self) {
        let next = self.locked.with(|locked| {
            let next = locked.turns.watcher_counts.get(locked.turns.come)?.clone();
            locked.turns.come += 1;
            // Under the lock, so that `take_turn` gives no turn that has come.
            next.tell();
            Some(next)
        });
        if let Some(watcher_count) = next {
            WakeAll(watcher_count.started.take()).all();
        }
    }

    /// One of the turns that are still to come, and whether the lame duck time has begun. Each turn is given about equally
    /// often.
    pub(crate) fn take_turn(&self) -> Option<(Arc<WatcherCount>, bool)> {
        self.locked.with(|locked| {
            let Turns { watcher_counts, come, begun, taken } = &mut locked.turns;
            let to_come = watcher_counts.get(*come..)?;
            let index = (u64::from(next_position(taken)) * to_come.len() as u64) >> 32;
            let watcher_count = usize::try_from(index).ok().and_then(|index| to_come.get(index))?;
            Some((watcher_count.clone(), *begun))
        })
    }

    /// A position in a span of 32 bits, for whoever asks; see [`next_position`].
    pub(crate) fn take_position(&self) -> u32 {
        self.locked.with(|locked| next_position(&mut locked.position))
    }

    /// The number of guards that are held.
    pub(crate) fn guards(&self) -> usize {
        // Under the lock, because `start` drops the drain's own counts under it.
        self.locked.with(|locked| self.counts(locked).saturating_sub(locked.guard_counts.len()))
    }

    /// The labels in use, and the number of guards of each.
    pub(crate) fn held(&self) -> Vec<Held> {
        self.locked.with(|locked| locked.held())
    }

    /// The number of guards, plus the drain's own counts while it is running.
    fn counts(&self, locked: &Locked) -> usize {
        let shards = self.shards.iter().map(|shard| &shard.guard_count);
        shards.chain(locked.labelled.values()).map(Weak::strong_count).sum()
    }

    /// The outcome; `None` while the drain is not closed.
    pub(crate) fn outcome(&self) -> Option<Result<(), Overdue>> {
        match self.phase() {
            Phase::Running | Phase::Draining => None,
            Phase::Clean => Some(self.locked.with(|locked| locked.lost.clone()).map_or(Ok(()), Err)),
            Phase::Forced => Some(self.locked.with(|locked| locked.overdue.clone()).map_or(Ok(()), Err)),
        }
    }

    /// The futures that wait for the drop of the last guard.
    pub(crate) fn released(&self) -> &WakerList {
        &self.released
    }

    /// Whether every guard has been dropped, also those that were held at a forced close.
    pub(crate) fn is_released(&self) -> bool {
        // Acquire: a thread that sees it sees what the holders wrote.
        self.open_shards.load(Ordering::Acquire) == 0
    }

    fn wake_at_close(&self) {
        WakeAll(self.shards.iter().flat_map(|shard| shard.closed.take())).all();
    }
}

/// The next one of a Weyl sequence: multiples of the golden ratio modulo one, in 32 bits. Any run of it is spread evenly.
fn next_position(position: &mut u32) -> u32 {
    *position = position.wrapping_add(0x9E37_79B9);
    *position
}

/// Makes `Shared` and its counts, which refer to each other: a count owns `Shared`, which has a `Weak` of each count.
/// `new_cyclic` ties one such knot, so `Shared` is made in the innermost of as many nested calls as there are counts.
fn tie_knots(many: usize, known: &mut Vec<(Weak<GuardCount>, Weak<WatcherCount>)>, locked: &mut Locked) -> Arc<Shared> {
    let index = known.len();
    if index == many {
        let shards = known.drain(..).map(|(guard_count, watcher_count)| Shard {
            guard_count,
            watcher_count,
            closed: WakerList::new(),
        });
        return Arc::new(Shared {
            phase: AtomicU8::new(Phase::Running as u8),
            open_shards: AtomicUsize::new(index),
            shards: shards.collect(),
            locked: Lock::new(Locked::default()),
            released: WakerList::new(),
            forced: AtomicU8::new(0),
            parts: WakerList::new(),
        });
    }
    let mut watcher_counts = None;
    let guard_count = Arc::new_cyclic(|guard_count| {
        let watcher_count = Arc::new_cyclic(|watcher_count| {
            known.push((guard_count.clone(), watcher_count.clone()));
            WatcherCount::new(tie_knots(many, known, locked), index, false)
        });
        let shared = watcher_count.shared.clone();
        watcher_counts = Some(watcher_count);
        GuardCount::new(shared, index, None)
    });
    let shared = guard_count.shared.clone();
    locked.guard_counts.push(guard_count);
    locked.watcher_counts.extend(watcher_counts);
    shared
}

impl Locked {
    fn held(&self) -> Vec<Held> {
        let counted = self.labelled.iter().map(|(label, guard_count)| (label, guard_count.strong_count()));
        let mut held: Vec<_> = counted.filter(|(_, n)| *n > 0).map(|(label, n)| Held::new(label.clone(), n)).collect();
        held.sort_by_key(|it| Reverse(it.guards()));
        held
    }
}

impl Drop for GuardCount {
    fn drop(&mut self) {
        if let Some(label) = &self.label {
            let _dropped_outside_the_lock = self.shared.locked.with(|locked| {
                // Another thread may have made the label anew since our count reached zero.
                let gone = locked.labelled.get(label).is_some_and(|guard_count| guard_count.strong_count() == 0);
                if gone { locked.labelled.remove_entry(label) } else { None }
            });
        }
        // AcqRel: the thread that closes the drain sees what the holders of other shards wrote.
        if self.shared.open_shards.fetch_sub(1, Ordering::AcqRel) == 1 {
            if self.shared.step(Phase::Draining, Phase::Clean) {
                self.shared.wake_at_close();
            }
            WakeAll(self.shared.released.take()).all();
        }
    }
}

impl WatcherCount {
    fn new(shared: Arc<Shared>, index: usize, is_turn: bool) -> Self {
        Self { shared, shard: index, is_turn, told: AtomicU8::new(0), started: WakerList::new() }
    }

    /// Makes the watchers ready. The caller then wakes those in `started`.
    fn tell(&self) {
        // Release, with the Acquire of `is_told`: a watcher that is ready sees that the drain has started.
        self.told.store(1, Ordering::Release);
    }

    /// Whether the watchers here are ready: the drain has started, or their turn has come.
    #[inline]
    pub(crate) fn is_told(&self) -> bool {
        self.told.load(Ordering::Acquire) != 0
    }

    /// The watcher count of a guard's shard. If that was dropped, a new one that no shard knows: the drain has started.
    pub(crate) fn of(guard_count: &GuardCount) -> Arc<Self> {
        let known = guard_count.shared.shards[guard_count.shard].watcher_count.upgrade();
        known.unwrap_or_else(|| {
            // Nothing wakes the wakers of such a watcher count, so it must be told from the beginning. The count was read as
            // zero without an ordering; with the fence this thread sees what was written before: that the drain has started.
            fence(Ordering::Acquire);
            let watcher_count = Self::new(guard_count.shared.clone(), guard_count.shard, false);
            watcher_count.tell();
            Arc::new(watcher_count)
        })
    }

    /// The futures that wait for the start.
    #[inline]
    pub(crate) fn started(&self) -> &WakerList {
        &self.started
    }

    /// The futures that wait for the close.
    #[inline]
    pub(crate) fn closed(&self) -> &WakerList {
        &self.shared.shards[self.shard].closed
    }
}

impl GuardCount {
    fn new(shared: Arc<Shared>, index: usize, label: Option<Label>) -> Self {
        Self { shared, shard: index, label, _apart: Apart::default() }
    }

    pub(crate) fn label(&self) -> Option<&Label> {
        self.label.as_ref()
    }

    /// The futures that wait for the close.
    #[inline]
    pub(crate) fn closed(&self) -> &WakerList {
        &self.shared.shards[self.shard].closed
    }
}
