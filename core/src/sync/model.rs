//! The same types for loom.
//!
//! loom 0.7 has no `Weak`, so reference counts are modelled here. `strong` is the count that loom sees and schedules. Every
//! handle also has a real `Arc`, for the value and for its drop. A handle lowers `strong` first and drops the real `Arc`
//! second, with no step of loom in between. So the value is dropped in the same step in which `strong` reaches zero.
//!
//! The orderings are those of `alloc::sync::Arc`, and nowhere stronger: a stronger model would hide bugs.

use alloc::boxed::Box;
use core::ops::Deref;
use std::sync as real;

use loom::sync::atomic::{AtomicUsize, Ordering, fence};

#[derive(Debug)]
pub(crate) struct Arc<T: ?Sized> {
    counts: real::Arc<Counts>,
    value: Option<real::Arc<T>>,
}

#[derive(Debug)]
pub(crate) struct Weak<T: ?Sized> {
    counts: real::Arc<Counts>,
    value: real::Weak<T>,
}

#[derive(Debug)]
struct Counts {
    strong: AtomicUsize,
}

impl<T> Arc<T> {
    pub(crate) fn new(value: T) -> Self {
        Self::new_cyclic(|_| value)
    }

    pub(crate) fn new_cyclic(value: impl FnOnce(&Weak<T>) -> T) -> Self {
        let counts = real::Arc::new(Counts { strong: AtomicUsize::new(0) });
        let known = counts.clone();
        let value = real::Arc::new_cyclic(|weak| value(&Weak { counts: known, value: weak.clone() }));
        counts.strong.store(1, Ordering::Release);
        Self { counts, value: Some(value) }
    }

    pub(crate) fn downgrade(this: &Self) -> Weak<T> {
        let value = this.value.as_ref().map_or_else(real::Weak::new, real::Arc::downgrade);
        Weak { counts: this.counts.clone(), value }
    }

    pub(crate) fn into_inner(mut this: Self) -> Option<T> {
        this.release().and_then(real::Arc::into_inner)
    }
}

impl<T: ?Sized> Arc<T> {
    pub(crate) fn strong_count(this: &Self) -> usize {
        this.counts.strong.load(Ordering::Relaxed)
    }

    /// Lowers the count, and returns the real `Arc` for the caller to drop.
    fn release(&mut self) -> Option<real::Arc<T>> {
        let value = self.value.take()?;
        if self.counts.strong.fetch_sub(1, Ordering::Release) == 1 {
            fence(Ordering::Acquire);
        }
        Some(value)
    }
}

impl<T: ?Sized> From<Box<T>> for Arc<T> {
    fn from(value: Box<T>) -> Self {
        let counts = real::Arc::new(Counts { strong: AtomicUsize::new(1) });
        Self { counts, value: Some(value.into()) }
    }
}

impl<T: ?Sized> Clone for Arc<T> {
    fn clone(&self) -> Self {
        self.counts.strong.fetch_add(1, Ordering::Relaxed);
        Self { counts: self.counts.clone(), value: self.value.clone() }
    }
}

impl<T: ?Sized> Deref for Arc<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_ref().expect("taken only by the handle's drop")
    }
}

impl<T: ?Sized> Drop for Arc<T> {
    fn drop(&mut self) {
        drop(self.release());
    }
}

impl<T> Weak<T> {
    pub(crate) fn upgrade(&self) -> Option<Arc<T>> {
        let mut seen = self.counts.strong.load(Ordering::Relaxed);
        while seen > 0 {
            let (success, failure) = (Ordering::Acquire, Ordering::Relaxed);
            match self.counts.strong.compare_exchange(seen, seen + 1, success, failure) {
                Ok(_) => return Some(Arc { counts: self.counts.clone(), value: self.value.upgrade() }),
                Err(now) => seen = now,
            }
        }
        None
    }

    pub(crate) fn strong_count(&self) -> usize {
        // As weak as in `alloc`, which documents no ordering here, and gives none.
        self.counts.strong.load(Ordering::Relaxed)
    }
}

impl<T> Clone for Weak<T> {
    fn clone(&self) -> Self {
        Self { counts: self.counts.clone(), value: self.value.clone() }
    }
}

/// Two, so that the models cover guards, watchers and wakes of different shards.
pub(crate) fn shards() -> usize {
    2
}

/// The number of loom's thread: the same in every execution, as loom requires. The address of a stack would not be.
pub(crate) fn thread_hint() -> usize {
    let id = std::format!("{:?}", loom::thread::current().id());
    id.bytes().filter(u8::is_ascii_digit).fold(0, |number, digit| number * 10 + usize::from(digit - b'0'))
}

/// A lock that loom schedules.
#[derive(Debug)]
pub(crate) struct Lock<T>(loom::sync::Mutex<T>);

impl<T> Lock<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        f(&mut self.0.lock().expect("loom locks are not poisoned"))
    }
}
