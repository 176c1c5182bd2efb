//! What is to be woken, and when. Time is an argument.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::task::Waker;
use std::time::Instant;

pub(crate) type Id = u64;

/// Timers, the earliest first.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    /// Those that were removed stay in it for a while: a heap gives up its first only.
    heap: BinaryHeap<Reverse<(Instant, Id)>>,
    wakers: HashMap<Id, Waker>,
    last: Id,
}

/// How many removed ones are not worth a rebuild.
const FEW: usize = 64;

impl Timers {
    /// A new one.
    pub(crate) fn insert(&mut self, deadline: Instant, waker: Waker) -> Id {
        self.last += 1;
        self.heap.push(Reverse((deadline, self.last)));
        self.wakers.insert(self.last, waker);
        self.last
    }

    /// Has this one woken instead, and gives back that one, for the caller to drop outside its lock. `false` where it
    /// was due already.
    pub(crate) fn swap(&mut self, id: Id, waker: &mut Waker) -> bool {
        self.wakers.get_mut(&id).map(|kept| std::mem::swap(kept, waker)).is_some()
    }

    /// Wakes nobody. Most timers end so: they are bounds that nothing ran into.
    pub(crate) fn remove(&mut self, id: Id) -> Option<Waker> {
        let waker = self.wakers.remove(&id);
        if self.heap.len() > 2 * self.wakers.len() + FEW {
            self.heap.retain(|Reverse((_, id))| self.wakers.contains_key(id));
        }
        waker
    }

    /// When the first is due.
    pub(crate) fn next(&mut self) -> Option<Instant> {
        loop {
            let Reverse((deadline, id)) = self.heap.peek()?;
            if self.wakers.contains_key(id) {
                return Some(*deadline);
            }
            self.heap.pop();
        }
    }

    /// Takes one that is due.
    pub(crate) fn due(&mut self, now: Instant) -> Option<Waker> {
        if self.next()? > now {
            return None;
        }
        let Reverse((_, id)) = self.heap.pop()?;
        self.wakers.remove(&id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;
    use std::time::Duration;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn after(begun: Instant, seconds: u64) -> Instant {
        begun + Duration::from_secs(seconds)
    }

    fn wake_due(timers: &mut Timers, now: Instant) {
        while let Some(waker) = timers.due(now) {
            waker.wake();
        }
    }

    #[test]
    fn they_are_due_in_their_order_and_at_their_instant() {
        let begun = Instant::now();
        let mut timers = Timers::default();
        let woken: [Arc<Woken>; 3] = Default::default();
        for (seconds, woken) in [3, 1, 2].into_iter().zip(&woken) {
            timers.insert(after(begun, seconds), woken.clone().into());
        }
        let counts = || woken.each_ref().map(|it| it.0.load(Ordering::SeqCst));
        assert_eq!(timers.next(), Some(after(begun, 1)));
        wake_due(&mut timers, begun);
        assert_eq!(counts(), [0, 0, 0]);
        wake_due(&mut timers, after(begun, 1));
        assert_eq!(counts(), [0, 1, 0]);
        wake_due(&mut timers, after(begun, 3));
        assert_eq!((counts(), timers.next()), ([1, 1, 1], None));
    }

    #[test]
    fn the_last_waker_is_woken_and_none_of_a_removed_one() {
        let now = Instant::now();
        let mut timers = Timers::default();
        let woken: [Arc<Woken>; 3] = Default::default();
        let swapped = timers.insert(now, woken[0].clone().into());
        assert!(timers.swap(swapped, &mut woken[1].clone().into()));
        let removed = timers.insert(now, woken[2].clone().into());
        timers.remove(removed);
        wake_due(&mut timers, now);
        assert_eq!(woken.map(|it| it.0.load(Ordering::SeqCst)), [0, 1, 0]);
        assert!(!timers.swap(swapped, &mut Waker::noop().clone()), "it was due");
    }

    #[test]
    fn removed_ones_do_not_pile_up() {
        let now = Instant::now();
        let mut timers = Timers::default();
        for _ in 0..10 * FEW {
            let id = timers.insert(now, Waker::noop().clone());
            timers.remove(id);
        }
        assert!(timers.heap.len() <= FEW + 1, "{}", timers.heap.len());
    }
}
