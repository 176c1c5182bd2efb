//! Lists of wakers: the only lock of the hot data, never held while a waker runs, is cloned or is dropped.
//!
//! Not `event_listener::Event`: that calls wakers while it holds its list's lock, so a waker that polls inline
//! deadlocks (guarantee `every_waiter_wakes`).

use alloc::vec::{self, Vec};
use core::mem;
use core::task::Waker;

use crate::sync::{self, Lock};

/// Wakers that wait for one event which happens once.
#[derive(Debug)]
pub(crate) struct Waiters(Lock<Slots>);

/// One future's place in a list: which slot it has, and which waker it left there.
///
/// The two addresses are those of `Waker::will_wake`. Comparing addresses instead of keeping a second clone is
/// sound because they are the slot's own clone's, which keeps them from being used again. Those of the waker it was
/// cloned from may be: some wakers live on a stack until they are cloned.
#[derive(Debug)]
pub(crate) struct Place {
    slot: usize,
    data: usize,
    vtable: usize,
}

#[derive(Debug, Default)]
struct Slots {
    all: Vec<Slot>,
    first_vacant: Option<usize>,
    waiting: usize,
}

#[derive(Debug)]
enum Slot {
    Waiting(Waker),
    Vacant { next: Option<usize> },
}

/// Wakers still to be woken: those left over by a panic are woken as it unwinds.
pub(crate) struct Wake<I: Iterator<Item = Waker>>(pub(crate) I);

/// A list this short keeps its memory when the last waiter leaves.
const KEPT: usize = 32;

impl Waiters {
    pub(crate) fn new() -> Self {
        Self(Lock::new(Slots::default()))
    }

    /// Leaves `waker` at `place`, unless the event is `over`. Returns whether it will be woken.
    pub(crate) fn register(&self, place: &mut Place, waker: &Waker, over: impl Fn() -> bool) -> bool {
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

    /// Takes `place` off the list, where it still is on it.
    pub(crate) fn deregister(&self, place: &mut Place) {
        let Some(slot) = place.slot() else { return };
        *place = Place::NONE;
        let _dropped_outside_the_lock = self.0.with(|slots| slots.remove(slot));
    }

    /// Takes every waker off the list.
    pub(crate) fn take(&self) -> impl Iterator<Item = Waker> + use<> {
        Taken(self.0.with(mem::take).all.into_iter())
    }
}

impl Place {
    pub(crate) const NONE: Self = Self { slot: usize::MAX, data: 0, vtable: 0 };

    /// Whether `waker` is the one that was left here.
    pub(crate) fn has(&self, waker: &Waker) -> bool {
        self.slot != usize::MAX && (self.data, self.vtable) == addresses(waker)
    }

    pub(crate) fn is_taken(&self) -> bool {
        self.slot != usize::MAX
    }

    fn slot(&self) -> Option<usize> {
        self.is_taken().then_some(self.slot)
    }
}

impl Slots {
    fn insert(&mut self, waker: Waker) -> usize {
        self.waiting += 1;
        let Some(slot) = self.first_vacant else {
            self.all.push(Slot::Waiting(waker));
            return self.all.len() - 1;
        };
        if let Slot::Vacant { next } = mem::replace(&mut self.all[slot], Slot::Waiting(waker)) {
            self.first_vacant = next;
        }
        slot
    }

    fn replace(&mut self, slot: usize, waker: Waker) -> Waker {
        match self.all.get_mut(slot) {
            Some(Slot::Waiting(old)) => mem::replace(old, waker),
            // Not reached: a list is taken only once the event is over, and then nobody registers.
            _ => waker,
        }
    }

    /// What is to be dropped outside the lock: the waker, and the memory of a list that became empty.
    fn remove(&mut self, slot: usize) -> Option<(Slot, Vec<Slot>)> {
        // A list that has been taken is empty for good, so a place that is gone cannot be somebody else's.
        let taken = self.all.get_mut(slot)?;
        let waiting = mem::replace(taken, Slot::Vacant { next: self.first_vacant });
        self.first_vacant = Some(slot);
        self.waiting -= 1;
        let mut memory = Vec::new();
        if self.waiting == 0 && self.all.capacity() > KEPT {
            memory = mem::take(self).all;
        }
        Some((waiting, memory))
    }
}

struct Taken(vec::IntoIter<Slot>);

impl Iterator for Taken {
    type Item = Waker;

    fn next(&mut self) -> Option<Waker> {
        loop {
            if let Slot::Waiting(waker) = self.0.next()? {
                return Some(waker);
            }
        }
    }
}

impl<I: Iterator<Item = Waker>> Wake<I> {
    /// Wakes them all. The first waker that panics is heard once all have been woken.
    pub(crate) fn all(mut self) {
        if sync::panicking() {
            return;
        }
        for waker in &mut self.0 {
            waker.wake();
        }
    }
}

impl<I: Iterator<Item = Waker>> Drop for Wake<I> {
    fn drop(&mut self) {
        for waker in &mut self.0 {
            sync::swallow_panic(|| waker.wake());
        }
    }
}

fn addresses(waker: &Waker) -> (usize, usize) {
    (waker.data().addr(), core::ptr::from_ref(waker.vtable()).addr())
}
