//! What all handles of one drain share, split into lanes so that threads do not meet: the only atomics.
//!
//! A lane has two reference counts, each on cache lines of its own. A [`Guard`](crate::Guard) *is* a count of the
//! lane's [`Hold`], a [`Watcher`](crate::Watcher) *is* a count of its [`Seat`]; taking and releasing either is one
//! clone and drop of an `Arc`. `Arc` itself knows when the last count of a `Hold` is gone, so nothing here counts
//! guards.
//!
//! A label is a lane of its own, made when the first guard asks for it: so its guards are counted by their own `Hold`,
//! their clones keep it, and guards without a label pay nothing.
//!
//! Two invariants carry the rest:
//!
//! - *Open.* While the drain runs, `Shared` itself owns one count of every `Hold`, so none can vanish. Starting
//!   gives those counts back; from then on a `Hold` lives exactly as long as a guard of its lane.
//! - *Last.* `open_lanes` is the number of `Hold`s alive; whoever takes it to zero closes the drain.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::cmp::Reverse;

use crate::cause::Cause;
use crate::holders::{Held, Label};
use crate::overdue::Overdue;
use crate::state::{Phase, State};
use crate::sync::{self, Arc, AtomicU8, AtomicUsize, Lock, Ordering, Weak, fence};
use crate::waiters::{Waiters, Wake};

#[derive(Debug)]
pub(crate) struct Shared {
    /// A [`Phase`].
    phase: AtomicU8,
    open_lanes: AtomicUsize,
    lanes: Box<[Lane]>,
    owned: Lock<Owned>,
    /// Wait for the last release, also behind a forced close. A list of their own: what waits in one waits for one event.
    released: Waiters,
    /// Not 0 from when a forced close has begun: what is a part of this drain is closed first.
    forced: AtomicU8,
    /// Wait for that.
    parts: Waiters,
}

/// What guards count in one lane. Its drop is the release of the lane's last guard.
#[derive(Debug)]
// Two cache lines: processors fetch neighbours in pairs. With one lane, as without `std`, there are no neighbours.
#[cfg_attr(feature = "std", repr(align(128)))]
pub(crate) struct Hold {
    pub(crate) shared: Arc<Shared>,
    lane: usize,
    label: Option<Label>,
}

/// What watchers count in one lane.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) shared: Arc<Shared>,
    lane: usize,
    /// Whether the watchers that count here have a turn of their own in a lame duck time, so that a clone stays here.
    apart: bool,
    /// Whether those who count here have heard: not 0. It is here and not with the phase, so that a watcher finds it in one
    /// step, and because some hear before the start.
    told: AtomicU8,
    /// Wait for the start. Here, where a watcher finds them in one step: one may be made, asked and dropped per request.
    started: Waiters,
}

#[derive(Debug)]
struct Lane {
    hold: Weak<Hold>,
    seat: Weak<Seat>,
    /// Wait for the close.
    closed: Waiters,
}

/// What `Shared` owns of itself until the start, the labels in use, and what was cut.
#[derive(Debug, Default)]
struct Owned {
    holds: Vec<Arc<Hold>>,
    seats: Vec<Arc<Seat>>,
    labelled: BTreeMap<Label, Weak<Hold>>,
    turns: Turns,
    cause: Option<Cause>,
    /// What parts of the drain have cut, and what was given up, whether or not it will be closed by force.
    lost: Option<Overdue>,
    /// What the forced close has cut, those included.
    overdue: Option<Overdue>,
}

/// The seats that hear of the drain before it starts, one after the other.
#[derive(Debug, Default)]
struct Turns {
    seats: Vec<Arc<Seat>>,
    /// How many of them have.
    come: usize,
    /// Whether the time has begun in which they do.
    begun: bool,
    taken: u32,
}

impl Shared {
    /// A running drain; what comes back is one count of it.
    pub(crate) fn open() -> Arc<Seat> {
        let lanes = sync::lanes();
        let mut owned = Owned::default();
        let shared = with_lanes(lanes, &mut Vec::with_capacity(lanes), &mut owned);
        let seat = owned.seats[0].clone();
        shared.owned.with(|it| *it = owned);
        seat
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

    /// A count of this thread's `Hold`; `None` once draining.
    #[inline]
    pub(crate) fn hold(&self) -> Option<Arc<Hold>> {
        if self.phase() != Phase::Running {
            return None;
        }
        let hold = self.lane().hold.upgrade()?;
        // A start between the two lines is no hole: the count is taken, so the drain waits for it. But a start
        // that returned before we were called must not be missed, and once it is seen here the guard may not
        // leave: a lane kept open by older guards would go on handing out new ones.
        (self.phase() == Phase::Running).then_some(hold)
    }

    /// A count of the label's `Hold`; `None` once draining, unless the caller is a holder already.
    pub(crate) fn labelled(this: &Arc<Self>, label: &Label, is_holder: bool) -> Option<Arc<Hold>> {
        this.owned.with(|owned| {
            // The phase leaves Running under this lock only, so what is true here is so until we are done.
            if !is_holder && this.phase() != Phase::Running {
                return None;
            }
            if let Some(hold) = owned.labelled.get(label).and_then(Weak::upgrade) {
                return Some(hold);
            }
            // Open before it can be dropped. It is not the first one: the drain's own lanes are open, or the
            // caller's is. Relaxed: the drain's end is ordered by the releases alone.
            this.open_lanes.fetch_add(1, Ordering::Relaxed);
            let lane = this.here();
            let hold = Arc::new(Hold { shared: this.clone(), lane, label: Some(label.clone()) });
            // Another clone, so that the given label is dropped outside the lock, refused or not: it may be live.
            owned.labelled.insert(label.clone(), Arc::downgrade(&hold));
            Some(hold)
        })
    }

    /// A count of this thread's `Seat`, or of the given one where that has no seat any more.
    #[inline]
    pub(crate) fn seat(&self, own: &Arc<Seat>) -> Arc<Seat> {
        let here = self.here();
        if here == own.lane || own.apart {
            // Most are cloned at home, where a plain clone needs no look at the count first.
            return own.clone();
        }
        self.lanes[here].seat.upgrade().unwrap_or_else(|| own.clone())
    }

    /// The lane of this thread.
    #[inline]
    fn lane(&self) -> &Lane {
        &self.lanes[self.here()]
    }

    /// Which lane that is. Their number is a power of two.
    #[inline]
    fn here(&self) -> usize {
        sync::here() & (self.lanes.len() - 1)
    }

    pub(crate) fn start(&self, cause: Cause) {
        // Dropped at the end, where it is not the first: outside the lock, for it may be anything.
        let mut cause = Some(cause);
        let (seats, turns, last_counts) = self.owned.with(|owned| {
            // The phase first: whoever asks for a guard from here on is refused.
            if self.step(Phase::Running, Phase::Draining) {
                owned.cause = cause.take();
            }
            // Under the lock: another `start` that returns meanwhile has told them too.
            for seat in owned.seats.iter().chain(&owned.turns.seats) {
                seat.tell();
            }
            let holds = core::mem::take(&mut owned.holds);
            // `into_inner` gives our count back without running the drop of `Hold` (which wakes) under the
            // lock; a `Hold` that nobody else counts comes out and is dropped below.
            let last_counts: Vec<Hold> = holds.into_iter().filter_map(Arc::into_inner).collect();
            (core::mem::take(&mut owned.seats), core::mem::take(&mut owned.turns.seats), last_counts)
        });
        // Before the watchers hear of it, so that none of them finds a drain that waits for nobody.
        drop(last_counts);
        Wake(seats.into_iter().chain(turns).flat_map(|seat| seat.started.take())).all();
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
        Wake(self.parts.take()).all();
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
    pub(crate) fn parts(&self) -> &Waiters {
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
            let makes = this.phase() == Phase::Running && owned.turns.seats.is_empty();
            if makes {
                owned.turns.seats.resize_with(many, || Arc::new(Seat::new(this.clone(), 0, true)));
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
            let next = owned.turns.seats.get(owned.turns.come)?.clone();
            owned.turns.come += 1;
            // Under the lock, so that whoever takes a turn that is to come gets one that has not come.
            next.tell();
            Some(next)
        });
        if let Some(seat) = next {
            Wake(seat.started.take()).all();
        }
    }

    /// One of the turns that are still to come, and whether the time had begun in which they do. However many are taken,
    /// one gets about as many as the other.
    pub(crate) fn take_turn(&self) -> Option<(Arc<Seat>, bool)> {
        self.owned.with(|owned| {
            let Turns { seats, come, begun, taken } = &mut owned.turns;
            let to_come = seats.get(*come..)?;
            // A Weyl sequence: multiples of the golden ratio, modulo one, here in 32 bits. Any run of it is spread evenly.
            *taken = taken.wrapping_add(0x9E37_79B9);
            let place = (u64::from(*taken) * to_come.len() as u64) >> 32;
            let seat = usize::try_from(place).ok().and_then(|place| to_come.get(place))?;
            Some((seat.clone(), *begun))
        })
    }

    /// How many guards are held.
    pub(crate) fn guards(&self) -> usize {
        // Under the lock, because `start` gives the owned counts back under it.
        self.owned.with(|owned| self.counts(owned).saturating_sub(owned.holds.len()))
    }

    /// Who holds guards, of those that have a label.
    pub(crate) fn held(&self) -> Vec<Held> {
        self.owned.with(|owned| owned.held())
    }

    fn counts(&self, owned: &Owned) -> usize {
        let lanes = self.lanes.iter().map(|lane| &lane.hold);
        lanes.chain(owned.labelled.values()).map(Weak::strong_count).sum()
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
    pub(crate) fn released(&self) -> &Waiters {
        &self.released
    }

    /// Whether every guard has been released, those that were cut included.
    pub(crate) fn is_released(&self) -> bool {
        // Acquire: whoever sees it sees what the holders wrote.
        self.open_lanes.load(Ordering::Acquire) == 0
    }

    fn wake_at_close(&self) {
        Wake(self.lanes.iter().flat_map(|lane| lane.closed.take())).all();
    }
}

/// Builds what the lanes refer to each other by: a `Hold` and a `Seat` own `Shared`, which knows them weakly.
/// `new_cyclic` ties one such knot, so `Shared` is made in the innermost of as many calls as there are knots.
fn with_lanes(lanes: usize, known: &mut Vec<(Weak<Hold>, Weak<Seat>)>, owned: &mut Owned) -> Arc<Shared> {
    let lane = known.len();
    if lane == lanes {
        let lanes = known.drain(..).map(|(hold, seat)| Lane { hold, seat, closed: Waiters::new() });
        return Arc::new(Shared {
            phase: AtomicU8::new(Phase::Running as u8),
            open_lanes: AtomicUsize::new(lane),
            lanes: lanes.collect(),
            owned: Lock::new(Owned::default()),
            released: Waiters::new(),
            forced: AtomicU8::new(0),
            parts: Waiters::new(),
        });
    }
    let mut seats = None;
    let hold = Arc::new_cyclic(|hold| {
        let seat = Arc::new_cyclic(|seat| {
            known.push((hold.clone(), seat.clone()));
            Seat::new(with_lanes(lanes, known, owned), lane, false)
        });
        let shared = seat.shared.clone();
        seats = Some(seat);
        Hold { shared, lane, label: None }
    });
    let shared = hold.shared.clone();
    owned.holds.push(hold);
    owned.seats.extend(seats);
    shared
}

impl Owned {
    fn held(&self) -> Vec<Held> {
        let counted = self.labelled.iter().map(|(label, hold)| (label, hold.strong_count()));
        let mut held: Vec<_> = counted.filter(|(_, n)| *n > 0).map(|(label, n)| Held::new(label.clone(), n)).collect();
        held.sort_by_key(|it| Reverse(it.guards()));
        held
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Some(label) = &self.label {
            let _dropped_outside_the_lock = self.shared.owned.with(|owned| {
                // Somebody may have made the label anew since our count reached zero.
                let gone = owned.labelled.get(label).is_some_and(|hold| hold.strong_count() == 0);
                if gone { owned.labelled.remove_entry(label) } else { None }
            });
        }
        // AcqRel: the one that closes has seen all that the holders of the other lanes wrote.
        if self.shared.open_lanes.fetch_sub(1, Ordering::AcqRel) == 1 {
            if self.shared.step(Phase::Draining, Phase::Clean) {
                self.shared.wake_at_close();
            }
            Wake(self.shared.released.take()).all();
        }
    }
}

impl Seat {
    fn new(shared: Arc<Shared>, lane: usize, apart: bool) -> Self {
        Self { shared, lane, apart, told: AtomicU8::new(0), started: Waiters::new() }
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

    /// A seat outside the books, for a guard that outlives every watcher.
    pub(crate) fn of(hold: &Hold) -> Arc<Self> {
        let known = hold.shared.lanes[hold.lane].seat.upgrade();
        known.unwrap_or_else(|| {
            // Nobody takes the wakers that are left at such a seat, so none may be. The count was read as zero without
            // an ordering; the fence has us see all that was written before it was lowered: that the drain has started.
            fence(Ordering::Acquire);
            let seat = Self::new(hold.shared.clone(), hold.lane, false);
            seat.tell();
            Arc::new(seat)
        })
    }

    /// Those who wait for the start.
    #[inline]
    pub(crate) fn started(&self) -> &Waiters {
        &self.started
    }

    /// Those who wait for the close.
    #[inline]
    pub(crate) fn closed(&self) -> &Waiters {
        &self.shared.lanes[self.lane].closed
    }
}

impl Hold {
    pub(crate) fn label(&self) -> Option<&Label> {
        self.label.as_ref()
    }

    /// Those who wait for the close.
    #[inline]
    pub(crate) fn closed(&self) -> &Waiters {
        &self.shared.lanes[self.lane].closed
    }
}
