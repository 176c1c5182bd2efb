//! Lists of wakers: the only lock of the hot data, never held while a waker runs, is cloned or is dropped.
//!
//! Not `event_listener::Event`: that calls wakers while it holds its list's lock, so a waker that polls inline
//! deadlocks (guarantee `every_waiter_wakes`).

use alloc::vec::Vec;
use core::mem;
use core::task::{Poll, Waker};

use crate::sync::{self, Lock};

/// Wakers that wait for one event which happens once.
#[derive(Debug)]
// Away from what stands beside it, and so is whatever it is a field of: that is read by the threads of all shards, and
// this is written by those of one.
#[cfg_attr(feature = "std", repr(align(128)))]
pub(crate) struct WakerList(Lock<Slots>);

/// One future's place in a list: which slot it has, and which waker it left there.
///
/// The two addresses are those of `Waker::will_wake`. Comparing addresses instead of keeping a second clone is
/// sound because they are the slot's own clone's, which keeps them from being used again. Those of the waker it was
/// cloned from may be: some wakers live on a stack until they are cloned.
#[derive(Debug)]
pub(crate) struct Registration {
    slot: usize,
    data: usize,
    vtable: usize,
}

#[derive(Debug, Default)]
struct Slots {
    /// Apart from the others, so that it is reached with one step less: most lists are short.
    first: Vec<Slot>,
    /// Chunks, all full but the last. Not one list: that would be copied under the lock whenever it outgrows its memory,
    /// all of it, and own up to twice the memory that it needs.
    more: Vec<Vec<Slot>>,
    /// The first vacant slot, or where the next one will be made.
    vacant: usize,
    waiting: usize,
}

/// No `Option` in it, so that a slot is no larger than the waker.
#[derive(Debug)]
enum Slot {
    Waiting(Waker),
    Vacant { next: usize },
}

/// Wakers still to be woken: those left over by a panic are woken as it unwinds.
pub(crate) struct WakeAll<I: Iterator<Item = Waker>>(pub(crate) I);

/// Slots per chunk: 64 KiB of them on targets with 64 bits, which allocators still serve without a system call.
const CHUNK: usize = 4096;

/// A list this short keeps its memory when the last waiter leaves.
const KEPT: usize = 32;

impl WakerList {
    pub(crate) fn new() -> Self {
        Self(Lock::new(Slots::default()))
    }

    /// Leaves `waker` at `place`, unless the event is `over`. Returns whether it will be woken.
    ///
    /// This and the next are kept out of line: their callers are inlined, and stay short without them.
    #[inline(never)]
    fn register(&self, place: &mut Registration, waker: &Waker, over: impl Fn() -> bool) -> bool {
        let clone = waker.clone();
        let (data, vtable) = addresses(&clone);
        let left = self.0.with(|slots| {
            // Whoever ends the wait changes the state first and takes the list second, under this lock: so
            // either we see the state here, or our slot is in the list that is taken.
            if over() {
                return Err(clone);
            }
            if let Some(slot) = place.slot() {
                return Ok(Some(slots.replace(slot, clone)));
            }
            place.slot = slots.insert(clone);
            Ok(None)
        });
        // The old waker, or the clone that was not needed, is dropped here: outside the lock.
        match left {
            Ok(_old) => {
                (place.data, place.vtable) = (data, vtable);
                true
            }
            Err(_clone) => false,
        }
    }

    /// Takes the waker at `slot` off the list, if it still is on it.
    #[inline(never)]
    fn deregister(&self, slot: usize) {
        let _dropped_outside_the_lock = self.0.with(|slots| slots.remove(slot));
    }

    /// Takes every waker off the list.
    pub(crate) fn take(&self) -> impl Iterator<Item = Waker> + use<> {
        let Slots { first, more, .. } = self.0.with(mem::take);
        first.into_iter().chain(more.into_iter().flatten()).filter_map(Slot::waiting)
    }
}

impl Registration {
    pub(crate) const NONE: Self = Self { slot: usize::MAX, data: 0, vtable: 0 };

    /// Ready once the event is `over`; if it is not, `waker` is woken when it is.
    ///
    /// Asked again with the same waker this is a load and a comparison: a connection asks on every wake.
    #[inline]
    pub(crate) fn poll<'a>(
        &mut self,
        waker: &Waker,
        over: impl Fn() -> bool,
        list: impl FnOnce() -> &'a WakerList,
    ) -> Poll<()> {
        if over() {
            return Poll::Ready(());
        }
        if self.has(waker) || list().register(self, waker, over) { Poll::Pending } else { Poll::Ready(()) }
    }

    /// To be called before the future that waits is dropped.
    #[inline]
    pub(crate) fn forget<'a>(&mut self, list: impl FnOnce() -> &'a WakerList) {
        if let Some(slot) = self.slot() {
            *self = Self::NONE;
            list().deregister(slot);
        }
    }

    /// Whether `waker` is the one that was left here.
    #[inline]
    fn has(&self, waker: &Waker) -> bool {
        // Not asked whether it is taken: no waker's vtable is at the address of `NONE`.
        (self.data, self.vtable) == addresses(waker)
    }

    #[inline]
    fn is_taken(&self) -> bool {
        self.slot != usize::MAX
    }

    fn slot(&self) -> Option<usize> {
        self.is_taken().then_some(self.slot)
    }
}

impl Slots {
    #[inline]
    fn get_mut(&mut self, place: usize) -> Option<&mut Slot> {
        if place < self.first.len() {
            return Some(&mut self.first[place]);
        }
        let place = place.checked_sub(CHUNK)?;
        self.more.get_mut(place / CHUNK)?.get_mut(place % CHUNK)
    }

    #[inline]
    fn insert(&mut self, waker: Waker) -> usize {
        self.waiting += 1;
        let place = self.vacant;
        match self.get_mut(place) {
            Some(slot) => {
                if let Slot::Vacant { next } = mem::replace(slot, Slot::Waiting(waker)) {
                    self.vacant = next;
                }
            }
            None => self.push(waker),
        }
        place
    }

    #[cold]
    fn push(&mut self, waker: Waker) {
        let chunk = match self.vacant.checked_sub(CHUNK) {
            None => &mut self.first,
            Some(place) => {
                if place / CHUNK == self.more.len() {
                    self.more.push(Vec::with_capacity(CHUNK));
                }
                &mut self.more[place / CHUNK]
            }
        };
        chunk.push(Slot::Waiting(waker));
        self.vacant += 1;
    }

    #[cold]
    fn give_back(&mut self) {
        // Nothing but vacant slots in it, so no foreign code runs here either.
        *self = Self::default();
    }

    fn replace(&mut self, slot: usize, waker: Waker) -> Waker {
        match self.get_mut(slot) {
            Some(Slot::Waiting(old)) => mem::replace(old, waker),
            // Not reached: a list is taken only once the event is over, and then nobody registers.
            _ => waker,
        }
    }

    /// The waker that was left at `place`: to be dropped outside the lock.
    fn remove(&mut self, place: usize) -> Option<Waker> {
        // A list that has been taken is empty for good, so a place that is gone cannot be somebody else's.
        let next = self.vacant;
        let left = mem::replace(self.get_mut(place)?, Slot::Vacant { next });
        self.vacant = place;
        self.waiting -= 1;
        if self.waiting == 0 && self.first.capacity() > KEPT {
            self.give_back();
        }
        left.waiting()
    }
}

impl Slot {
    #[inline]
    fn waiting(self) -> Option<Waker> {
        match self {
            Self::Waiting(waker) => Some(waker),
            Self::Vacant { .. } => None,
        }
    }
}

impl<I: Iterator<Item = Waker>> WakeAll<I> {
    /// Wakes them all. The first waker that panics is heard once all have been woken.
    pub(crate) fn all(mut self) {
        if sync::panicking() {
            return;
        }
        // Not a `for` loop: this one is told to the iterator inside, and costs half as much.
        self.0.by_ref().for_each(Waker::wake);
    }
}

impl<I: Iterator<Item = Waker>> Drop for WakeAll<I> {
    fn drop(&mut self) {
        for waker in &mut self.0 {
            sync::swallow_panic(|| waker.wake());
        }
    }
}

#[inline]
fn addresses(waker: &Waker) -> (usize, usize) {
    (waker.data().addr(), core::ptr::from_ref(waker.vtable()).addr())
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_no_larger_than_the_waker() {
        assert_eq!(size_of::<Slot>(), size_of::<Waker>());
    }

    #[test]
    fn places_survive_the_coming_and_going_of_others() {
        let waiters = WakerList::new();
        let mut places: Vec<_> = (0..=3 * CHUNK).map(|_| Registration::NONE).collect();
        let register = |place: &mut Registration| assert!(waiters.register(place, Waker::noop(), || false));
        places.iter_mut().for_each(register);
        places.iter_mut().step_by(3).for_each(|place| place.forget(|| &waiters));
        places.iter_mut().step_by(6).for_each(register);

        let mut slots: Vec<_> = places.iter().filter_map(Registration::slot).collect();
        slots.sort_unstable();
        slots.dedup();
        let waiting = places.iter().filter(|place| place.is_taken()).count();
        assert_eq!(slots.len(), waiting);
        assert!(slots.last() < Some(&places.len()), "a vacant slot was not used again");
        assert_eq!(waiters.take().count(), waiting);
    }

    #[test]
    fn a_list_gives_its_memory_back() {
        let waiters = WakerList::new();
        let mut places: Vec<_> = (0..2 * CHUNK).map(|_| Registration::NONE).collect();
        for place in &mut places {
            assert!(waiters.register(place, Waker::noop(), || false));
        }
        for place in &mut places {
            place.forget(|| &waiters);
        }
        assert_eq!(waiters.0.with(|slots| slots.first.capacity() + slots.more.capacity()), 0);
    }
}
