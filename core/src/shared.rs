//! What all handles of one drain share, split into shards so that threads do not meet: the only atomics.
//!
//! A shard has two reference counts, each on cache lines of its own. A [`Guard`](crate::Guard) *is* a count of the
//! shard's [`GuardCount`], a [`Watcher`](crate::Watcher) *is* a count of its [`WatcherCount`]; taking and releasing
//! either is one clone and drop of an `Arc`. `Arc` itself knows when the last count of a `GuardCount` is gone, so nothing
//! here counts guards.
//!
//! A label is a shard of its own, made when the first guard asks for it: so its guards are counted by their own
//! `GuardCount`, their clones keep it, and guards without a label pay nothing.
//!
//! Two invariants carry the rest:
//!
//! - *Open.* While the drain runs, `Shared` itself owns one count of every `GuardCount`, so none can vanish. Starting
//!   gives those counts back; from then on a `GuardCount` lives exactly as long as a guard of its shard.
//! - *Last.* `open_shards` is the number of `GuardCount`s alive; whoever takes it to zero closes the drain.

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
    owned: Lock<Owned>,
    /// Wait for the last release, also behind a forced close. A list of their own: what waits in one waits for one event.
    released: WakerList,
    /// Not 0 from when a forced close has begun: what is a part of this drain is closed first.
    forced: AtomicU8,
    /// Wait for that.
    parts: WakerList,
}

/// What guards count in one shard. Its drop is the release of the shard's last guard.
#[derive(Debug)]
// Two cache lines: processors fetch neighbours in pairs. With one shard, as without `std`, there are no neighbours.
#[cfg_attr(feature = "std", repr(align(128)))]
pub(crate) struct GuardCount {
    pub(crate) shared: Arc<Shared>,
    shard: usize,
    label: Option<Label>,
}

/// What watchers count in one shard.
#[derive(Debug)]
pub(crate) struct WatcherCount {
    pub(crate) shared: Arc<Shared>,
    shard: usize,
    /// Whether the watchers that count here have a turn of their own in a lame duck time, so that a clone stays here.
    apart: bool,
    /// Whether those who count here have heard: not 0. It is here and not with the phase, so that a watcher finds it in one
    /// step, and because some hear before the start.
    told: AtomicU8,
    /// Wait for the start. Here, where a watcher finds them in one step: one may be made, asked and dropped per request.
    started: WakerList,
}

#[derive(Debug)]
struct Shard {
    guard_count: Weak<GuardCount>,
    watcher_count: Weak<WatcherCount>,
    /// Wait for the close.
    closed: WakerList,
}

/// What `Shared` owns of itself until the start, the labels in use, and what was cut.
#[derive(Debug, Default)]
struct Owned {
    guard_counts: Vec<Arc<GuardCount>>,
    watcher_counts: Vec<Arc<WatcherCount>>,
    labelled: BTreeMap<Label, Weak<GuardCount>>,
    turns: Turns,
    cause: Option<Cause>,
    /// Where in a span the last one is that was asked for a time.
    place: u32,
    /// What parts of the drain have cut, and what was given up, whether or not it will be closed by force.
    lost: Option<Overdue>,
    /// What the forced close has cut, those included.
    overdue: Option<Overdue>,
}

/// The watcher counts that hear of the drain before it starts, one after the other.
#[derive(Debug, Default)]
struct Turns {
    watcher_counts: Vec<Arc<WatcherCount>>,
    /// How many of them have.
    come: usize,
    /// Whether the time has begun in which they do.
    begun: bool,
    taken: u32,
}

impl Shared {
    /// A running drain; what comes back is one count of it.
    pub(crate) fn open() -> Arc<WatcherCount> {
        let shards = sync::shards();
        let mut owned = Owned::default();
        let shared = tie_knots(shards, &mut Vec::with_capacity(shards), &mut owned);
        let watcher_count = owned.watcher_counts[0].clone();
        shared.owned.with(|it| *it = owned);
        watcher_count
    }

    #[inline]
    pub(crate) fn state(&self) -> State {
        self.phase().state()
    }

    #[inline]
    fn phase(&self) -> Phase {
        // Acquire: whoever reads Clean sees what the holders of guards wrote before they released them.
        Phase::from_word(self.phase.load(Ordering::Acquire))
    }

    /// One step of the phase. Returns whether this call made it.
    fn step(&self, from: Phase, to: Phase) -> bool {
        // SeqCst: made at most three times in a drain's life, so there is nothing to save.
        self.phase.compare_exchange(from as u8, to as u8, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// A count of this thread's `GuardCount`; `None` once draining.
    #[inline]
    pub(crate) fn guard_count(&self) -> Option<Arc<GuardCount>> {
        if self.phase() != Phase::Running {
            return None;
        }
        let guard_count = self.shard().guard_count.upgrade()?;
        // A start between the two lines is no hole: the count is taken, so the drain waits for it. But a start
        // that returned before we were called must not be missed, and once it is seen here the guard may not
        // leave: a shard kept open by older guards would go on handing out new ones.
        (self.phase() == Phase::Running).then_some(guard_count)
    }

    /// A count of the label's `GuardCount`; `None` once draining, unless the caller is a holder already.
    pub(crate) fn labelled(this: &Arc<Self>, label: &Label, is_holder: bool) -> Option<Arc<GuardCount>> {
        this.owned.with(|owned| {
            // The phase leaves Running under this lock only, so what is true here is so until we are done.
            if !is_holder && this.phase() != Phase::Running {
                return None;
            }
            if let Some(guard_count) = owned.labelled.get(label).and_then(Weak::upgrade) {
                return Some(guard_count);
            }
            // Open before it can be dropped. It is not the first one: the drain's own shards are open, or the
            // caller's is. Relaxed: the drain's end is ordered by the releases alone.
            this.open_shards.fetch_add(1, Ordering::Relaxed);
            let shard = this.here();
            let guard_count = Arc::new(GuardCount { shared: this.clone(), shard, label: Some(label.clone()) });
            // Another clone, so that the given label is dropped outside the lock, refused or not: it may be live.
            owned.labelled.insert(label.clone(), Arc::downgrade(&guard_count));
            Some(guard_count)
        })
    }

    /// A count of this thread's `WatcherCount`, or of the given one if that has no watcher count any more.
    #[inline]
    pub(crate) fn watcher_count(&self, own: &Arc<WatcherCount>) -> Arc<WatcherCount> {
        let here = self.here();
        if here == own.shard || own.apart {
            // Most are cloned at home, where a plain clone needs no look at the count first.
            return own.clone();
        }
        self.shards[here].watcher_count.upgrade().unwrap_or_else(|| own.clone())
    }

    /// The shard of this thread.
    #[inline]
    fn shard(&self) -> &Shard {
        &self.shards[self.here()]
    }

    /// Which shard that is. Their number is a power of two.
    #[inline]
    fn here(&self) -> usize {
        sync::here() & (self.shards.len() - 1)
    }

    pub(crate) fn start(&self, cause: Cause) {
        // Dropped at the end, where it is not the first: outside the lock, for it may be anything.
        let mut cause = Some(cause);
        let (watcher_counts, turns, last_counts) = self.owned.with(|owned| {
            // The phase first: whoever asks for a guard from here on is refused.
            if self.step(Phase::Running, Phase::Draining) {
                owned.cause = cause.take();
            }
            // Under the lock: another `start` that returns meanwhile has told them too.
            for watcher_count in owned.watcher_counts.iter().chain(&owned.turns.watcher_counts) {
                watcher_count.tell();
            }
            let guard_counts = core::mem::take(&mut owned.guard_counts);
            // `into_inner` gives our count back without running the drop of `GuardCount` (which wakes) under the
            // lock; a `GuardCount` that nobody else counts comes out and is dropped below.
            let last_counts: Vec<GuardCount> = guard_counts.into_iter().filter_map(Arc::into_inner).collect();
            (core::mem::take(&mut owned.watcher_counts), core::mem::take(&mut owned.turns.watcher_counts), last_counts)
        });
        // Before the watchers hear of it, so that none of them finds a drain that waits for nobody.
        drop(last_counts);
        WakeAll(watcher_counts.into_iter().chain(turns).flat_map(|watcher_count| watcher_count.started.take())).all();
    }

    /// Closes a drain that has started, whatever is held: first its parts, so that what they have cut is known, then itself.
    pub(crate) fn close(&self) {
        /// Also if a waker of the parts panics.
        struct Then<'a>(&'a Shared);
        impl Drop for Then<'_> {
            fn drop(&mut self) {
                self.0.close_itself();
            }
        }
        let _then = Then(self);
        // Release, with the Acquire of `is_forced`: whoever has heard of it sees that it has started.
        self.forced.store(1, Ordering::Release);
        WakeAll(self.parts.take()).all();
    }

    fn close_itself(&self) {
        let closed = self.owned.with(|owned| {
            if self.phase() != Phase::Draining {
                return false;
            }
            let guards = self.counts(owned);
            if guards == 0 {
                // The last guard is being released on another thread: the end is a clean one. The counts were read
                // without an ordering; the fence makes of them what `phase` promises to whoever reads Clean.
                fence(Ordering::Acquire);
                return self.step(Phase::Draining, Phase::Clean);
            }
            // Before the step, since whoever sees the step asks for this.
            owned.overdue = Some(Overdue::forced(guards, owned.held()).and(owned.lost.clone()));
            self.step(Phase::Draining, Phase::Forced)
        });
        if closed {
            self.wake_at_close();
        }
    }

    /// Has the outcome tell of what was lost, whatever closes the drain. Whoever calls it holds a guard, or it is too late.
    pub(crate) fn lose(&self, lost: Overdue) {
        let _dropped_outside_the_lock = self.owned.with(|owned| {
            if self.state() == State::Closed {
                return Some(lost);
            }
            owned.lost = Some(lost.and(owned.lost.take()));
            None
        });
    }

    pub(crate) fn cause(&self) -> Option<Cause> {
        self.owned.with(|owned| owned.cause.clone())
    }

    /// Those who wait for the beginning of a forced close.
    pub(crate) fn parts(&self) -> &WakerList {
        &self.parts
    }

    /// Whether a forced close has begun.
    pub(crate) fn is_forced(&self) -> bool {
        self.forced.load(Ordering::Acquire) != 0
    }

    /// Makes so many turns, for watchers that are to hear of the drain before it starts. Returns whether it did: not once
    /// draining, and not a second time, since somebody may wait for those that there are.
    pub(crate) fn make_turns(this: &Arc<Self>, many: usize) -> bool {
        this.owned.with(|owned| {
            let makes = this.phase() == Phase::Running && owned.turns.watcher_counts.is_empty();
            if makes {
                owned.turns.watcher_counts.resize_with(many, || Arc::new(WatcherCount::new(this.clone(), 0, true)));
            }
            makes
        })
    }

    /// The time begins in which the turns come.
    pub(crate) fn begin_turns(&self) {
        self.owned.with(|owned| owned.turns.begun = true);
    }

    /// The next turn comes.
    pub(crate) fn next_turn(&self) {
        let next = self.owned.with(|owned| {
            let next = owned.turns.watcher_counts.get(owned.turns.come)?.clone();
            owned.turns.come += 1;
            // Under the lock, so that whoever takes a turn that is to come gets one that has not come.
            next.tell();
            Some(next)
        });
        if let Some(watcher_count) = next {
            WakeAll(watcher_count.started.take()).all();
        }
    }

    /// One of the turns that are still to come, and whether the time had begun in which they do. However many are taken,
    /// one gets about as many as the other.
    pub(crate) fn take_turn(&self) -> Option<(Arc<WatcherCount>, bool)> {
        self.owned.with(|owned| {
            let Turns { watcher_counts, come, begun, taken } = &mut owned.turns;
            let to_come = watcher_counts.get(*come..)?;
            let place = (u64::from(next_place(taken)) * to_come.len() as u64) >> 32;
            let watcher_count = usize::try_from(place).ok().and_then(|place| to_come.get(place))?;
            Some((watcher_count.clone(), *begun))
        })
    }

    /// A place in a span of 32 bits, for whoever asks; see [`next_place`].
    pub(crate) fn take_place(&self) -> u32 {
        self.owned.with(|owned| next_place(&mut owned.place))
    }

    /// How many guards are held.
    pub(crate) fn guards(&self) -> usize {
        // Under the lock, because `start` gives the owned counts back under it.
        self.owned.with(|owned| self.counts(owned).saturating_sub(owned.guard_counts.len()))
    }

    /// Who holds guards, of those that have a label.
    pub(crate) fn held(&self) -> Vec<Held> {
        self.owned.with(|owned| owned.held())
    }

    fn counts(&self, owned: &Owned) -> usize {
        let shards = self.shards.iter().map(|shard| &shard.guard_count);
        shards.chain(owned.labelled.values()).map(Weak::strong_count).sum()
    }

    /// How it ended; `None` while it has not.
    pub(crate) fn outcome(&self) -> Option<Result<(), Overdue>> {
        match self.phase() {
            Phase::Running | Phase::Draining => None,
            Phase::Clean => Some(self.owned.with(|owned| owned.lost.clone()).map_or(Ok(()), Err)),
            Phase::Forced => Some(self.owned.with(|owned| owned.overdue.clone()).map_or(Ok(()), Err)),
        }
    }

    /// Those who wait for the last release.
    pub(crate) fn released(&self) -> &WakerList {
        &self.released
    }

    /// Whether every guard has been released, those that were cut included.
    pub(crate) fn is_released(&self) -> bool {
        // Acquire: whoever sees it sees what the holders wrote.
        self.open_shards.load(Ordering::Acquire) == 0
    }

    fn wake_at_close(&self) {
        WakeAll(self.shards.iter().flat_map(|shard| shard.closed.take())).all();
    }
}

/// The next one of a Weyl sequence: multiples of the golden ratio, modulo one, in 32 bits. Any run of it is spread evenly.
fn next_place(place: &mut u32) -> u32 {
    *place = place.wrapping_add(0x9E37_79B9);
    *place
}

/// Builds what the shards refer to each other by: a `GuardCount` and a `WatcherCount` own `Shared`, which knows them weakly.
/// `new_cyclic` ties one such knot, so `Shared` is made in the innermost of as many calls as there are knots.
fn tie_knots(many: usize, known: &mut Vec<(Weak<GuardCount>, Weak<WatcherCount>)>, owned: &mut Owned) -> Arc<Shared> {
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
            owned: Lock::new(Owned::default()),
            released: WakerList::new(),
            forced: AtomicU8::new(0),
            parts: WakerList::new(),
        });
    }
    let mut watcher_counts = None;
    let guard_count = Arc::new_cyclic(|guard_count| {
        let watcher_count = Arc::new_cyclic(|watcher_count| {
            known.push((guard_count.clone(), watcher_count.clone()));
            WatcherCount::new(tie_knots(many, known, owned), index, false)
        });
        let shared = watcher_count.shared.clone();
        watcher_counts = Some(watcher_count);
        GuardCount { shared, shard: index, label: None }
    });
    let shared = guard_count.shared.clone();
    owned.guard_counts.push(guard_count);
    owned.watcher_counts.extend(watcher_counts);
    shared
}

impl Owned {
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
            let _dropped_outside_the_lock = self.shared.owned.with(|owned| {
                // Somebody may have made the label anew since our count reached zero.
                let gone = owned.labelled.get(label).is_some_and(|guard_count| guard_count.strong_count() == 0);
                if gone { owned.labelled.remove_entry(label) } else { None }
            });
        }
        // AcqRel: the one that closes has seen all that the holders of the other shards wrote.
        if self.shared.open_shards.fetch_sub(1, Ordering::AcqRel) == 1 {
            if self.shared.step(Phase::Draining, Phase::Clean) {
                self.shared.wake_at_close();
            }
            WakeAll(self.shared.released.take()).all();
        }
    }
}

impl WatcherCount {
    fn new(shared: Arc<Shared>, index: usize, apart: bool) -> Self {
        Self { shared, shard: index, apart, told: AtomicU8::new(0), started: WakerList::new() }
    }

    /// To be followed by a wake of those who wait here, and by it alone.
    fn tell(&self) {
        // Release, with the Acquire of `is_told`: whoever has heard of the start sees that it has started.
        self.told.store(1, Ordering::Release);
    }

    /// Whether those who count here have heard: the drain has started, or their turn has come.
    #[inline]
    pub(crate) fn is_told(&self) -> bool {
        self.told.load(Ordering::Acquire) != 0
    }

    /// A watcher count outside the books, for a guard that outlives every watcher.
    pub(crate) fn of(guard_count: &GuardCount) -> Arc<Self> {
        let known = guard_count.shared.shards[guard_count.shard].watcher_count.upgrade();
        known.unwrap_or_else(|| {
            // Nobody takes the wakers that are left at such a watcher count, so none may be. The count was read as zero without
            // an ordering; the fence has us see all that was written before it was lowered: that the drain has started.
            fence(Ordering::Acquire);
            let watcher_count = Self::new(guard_count.shared.clone(), guard_count.shard, false);
            watcher_count.tell();
            Arc::new(watcher_count)
        })
    }

    /// Those who wait for the start.
    #[inline]
    pub(crate) fn started(&self) -> &WakerList {
        &self.started
    }

    /// Those who wait for the close.
    #[inline]
    pub(crate) fn closed(&self) -> &WakerList {
        &self.shared.shards[self.shard].closed
    }
}

impl GuardCount {
    pub(crate) fn label(&self) -> Option<&Label> {
        self.label.as_ref()
    }

    /// Those who wait for the close.
    #[inline]
    pub(crate) fn closed(&self) -> &WakerList {
        &self.shared.shards[self.shard].closed
    }
}
