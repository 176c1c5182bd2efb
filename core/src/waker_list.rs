//! `WakerList`: the wakers of the futures that wait for one event, under a lock.
//!
//! The lock is never held while a waker runs, is cloned or is dropped. That is why it is not `event_listener::Event`, which
//! calls wakers under its lock: a waker that polls inline would deadlock (guarantee `every_waiter_wakes`).

use alloc::vec::Vec;
use core::mem;
use core::task::{Poll, Waker};

use crate::sync::{self, Lock};

/// The wakers of futures that wait for one event, which happens once.
#[derive(Debug)]
// On cache lines of its own, which also aligns the struct that it is a field of. The threads of one shard write this; those
// of all shards read the fields beside it.
#[cfg_attr(feature = "std", repr(align(128)))]
pub(crate) struct WakerList(Lock<Slots>);

/// One future's registration in a list: the index of its slot, and the identity of the waker in it.
///
/// The identity is the two addresses that `Waker::will_wake` compares, so no second clone is kept. They are those of the clone
/// in the slot, which keeps them from being used again. Those of the original could be: some wakers live on a stack until
/// they are cloned.
#[derive(Debug)]
pub(crate) struct Registration {
    slot: usize,
    data: usize,
    vtable: usize,
}

#[derive(Debug, Default)]
struct Slots {
    /// The first chunk, with one indirection less: most lists are short.
    first: Vec<Slot>,
    /// Further chunks, all full but the last. One `Vec` would be copied under the lock whenever it grows, and would own up to
    /// twice the memory that it needs.
    more: Vec<Vec<Slot>>,
    /// The index of the first vacant slot, or of the next new one.
    vacant: usize,
    waiting: usize,
}

/// A list entry. Without an `Option`, so that it is no larger than the waker.
#[derive(Debug)]
enum Slot {
    Waiting(Waker),
    Vacant { next: usize },
}

/// Wakes an iterator of wakers, also if one of them panics: the rest is woken by the drop.
pub(crate) struct WakeAll<I: Iterator<Item = Waker>>(pub(crate) I);

/// Slots per chunk: 64 KiB on targets with 64 bits, which allocators serve without a system call.
const CHUNK: usize = 4096;

/// A list of at most this capacity keeps its memory when the last waiter leaves.
const KEPT: usize = 32;

impl WakerList {
    pub(crate) fn new() -> Self {
        Self(Lock::new(Slots::default()))
    }

    /// Stores `waker` in the list, unless the event `is_over`. Returns whether it was stored.
    ///
    /// This and the next function are not inlined, so that their inlined callers stay short.
    #[inline(never)]
    fn register(&self, registration: &mut Registration, waker: &Waker, is_over: impl Fn() -> bool) -> bool {
        let clone = waker.clone();
        let (data, vtable) = addresses(&clone);
        let left = self.0.with(|slots| {
            // The thread that ends the wait changes the state first, and takes the list second, under this lock. So
            // either we see the state here, or our slot is in the list that is taken.
            if is_over() {
                return Err(clone);
            }
            if let Some(slot) = registration.slot() {
                return Ok(Some(slots.replace(slot, clone)));
            }
            registration.slot = slots.insert(clone);
            Ok(None)
        });
        // The old waker, or the clone that was not needed, is dropped here: outside the lock.
        match left {
            Ok(_old) => {
                (registration.data, registration.vtable) = (data, vtable);
                true
            }
            Err(_clone) => false,
        }
    }

    /// Removes the waker at `slot`, if it is still in the list.
    #[inline(never)]
    fn deregister(&self, slot: usize) {
        let _dropped_outside_the_lock = self.0.with(|slots| slots.remove(slot));
    }

    /// Takes all wakers out of the list.
    pub(crate) fn take(&self) -> impl Iterator<Item = Waker> + use<> {
        let Slots { first, more, .. } = self.0.with(mem::take);
        first.into_iter().chain(more.into_iter().flatten()).filter_map(Slot::waiting)
    }
}

impl Registration {
    pub(crate) const NONE: Self = Self { slot: usize::MAX, data: 0, vtable: 0 };

    /// Ready if the event `is_over`; otherwise `waker` is woken when it is.
    ///
    /// Polled again with the same waker, this is one load and one comparison: a connection polls it on every wake.
    #[inline]
    pub(crate) fn poll<'a>(
        &mut self,
        waker: &Waker,
        is_over: impl Fn() -> bool,
        list: impl FnOnce() -> &'a WakerList,
    ) -> Poll<()> {
        if is_over() {
            return Poll::Ready(());
        }
        if self.holds(waker) || list().register(self, waker, is_over) { Poll::Pending } else { Poll::Ready(()) }
    }

    /// Removes the waker. Must be called when the future that waits is dropped.
    #[inline]
    pub(crate) fn forget<'a>(&mut self, list: impl FnOnce() -> &'a WakerList) {
        if let Some(slot) = self.slot() {
            *self = Self::NONE;
            list().deregister(slot);
        }
    }

    /// Whether `waker` is the one that is registered.
    #[inline]
    fn holds(&self, waker: &Waker) -> bool {
        // Without a look at `slot`: no waker has the vtable address of `NONE`.
        (self.data, self.vtable) == addresses(waker)
    }

    #[inline]
    fn slot(&self) -> Option<usize> {
        (self.slot != Self::NONE.slot).then_some(self.slot)
    }
}

impl Slots {
    #[inline]
    fn get_mut(&mut self, index: usize) -> Option<&mut Slot> {
        if index < self.first.len() {
            return Some(&mut self.first[index]);
        }
        let index = index.checked_sub(CHUNK)?;
        self.more.get_mut(index / CHUNK)?.get_mut(index % CHUNK)
    }

    #[inline]
    fn insert(&mut self, waker: Waker) -> usize {
        self.waiting += 1;
        let index = self.vacant;
        match self.get_mut(index) {
            Some(slot) => {
                if let Slot::Vacant { next } = mem::replace(slot, Slot::Waiting(waker)) {
                    self.vacant = next;
                }
            }
            None => self.push(waker),
        }
        index
    }

    #[cold]
    fn push(&mut self, waker: Waker) {
        let chunk = match self.vacant.checked_sub(CHUNK) {
            None => &mut self.first,
            Some(index) => {
                if index / CHUNK == self.more.len() {
                    self.more.push(Vec::with_capacity(CHUNK));
                }
                &mut self.more[index / CHUNK]
            }
        };
        chunk.push(Slot::Waiting(waker));
        self.vacant += 1;
    }

    #[cold]
    fn give_back(&mut self) {
        // All slots are vacant, so no waker is dropped here.
        *self = Self::default();
    }

    fn replace(&mut self, index: usize, waker: Waker) -> Waker {
        match self.get_mut(index) {
            Some(Slot::Waiting(old)) => mem::replace(old, waker),
            // Not reached: a list is taken only once the event is over, and then nothing is registered.
            _ => waker,
        }
    }

    /// Vacates the slot and returns its waker, to be dropped outside the lock.
    fn remove(&mut self, index: usize) -> Option<Waker> {
        // A list that was taken stays empty, so the slot cannot belong to another registration.
        let next = self.vacant;
        let left = mem::replace(self.get_mut(index)?, Slot::Vacant { next });
        self.vacant = index;
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
    /// Wakes all of them. The first panic is resumed once all have been woken.
    pub(crate) fn all(mut self) {
        if sync::panicking() {
            return;
        }
        // Not a `for` loop: `for_each` uses the iterator's own loops, and costs half as much.
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
    fn registrations_keep_their_slots_while_others_come_and_go() {
        let list = WakerList::new();
        let mut registrations: Vec<_> = (0..=3 * CHUNK).map(|_| Registration::NONE).collect();
        let register = |it: &mut Registration| assert!(list.register(it, Waker::noop(), || false));
        registrations.iter_mut().for_each(register);
        registrations.iter_mut().step_by(3).for_each(|it| it.forget(|| &list));
        registrations.iter_mut().step_by(6).for_each(register);

        let mut slots: Vec<_> = registrations.iter().filter_map(Registration::slot).collect();
        let waiting = slots.len();
        slots.sort_unstable();
        slots.dedup();
        assert_eq!(slots.len(), waiting);
        assert!(slots.last() < Some(&registrations.len()), "a vacant slot was not used again");
        assert_eq!(list.take().count(), waiting);
    }

    #[test]
    fn a_list_gives_its_memory_back() {
        let list = WakerList::new();
        let mut registrations: Vec<_> = (0..2 * CHUNK).map(|_| Registration::NONE).collect();
        for registration in &mut registrations {
            assert!(list.register(registration, Waker::noop(), || false));
        }
        for registration in &mut registrations {
            registration.forget(|| &list);
        }
        assert_eq!(list.0.with(|slots| slots.first.capacity() + slots.more.capacity()), 0);
    }
}
