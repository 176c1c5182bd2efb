//! What the core needs from below: reference counts, atomics, a lock, and hints of how many cores there are and which
//! thread this is.

#[cfg(loom)]
mod model;

#[cfg(loom)]
pub(crate) use self::model::{Arc, Lock, Weak, here, shards};
#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU8, AtomicUsize, Ordering, fence};

#[cfg(all(not(loom), feature = "portable-atomic"))]
pub(crate) use portable_atomic::{AtomicU8, AtomicUsize, Ordering, fence};
#[cfg(all(not(loom), feature = "portable-atomic"))]
pub(crate) use portable_atomic_util::{Arc, Weak};

#[cfg(all(not(loom), not(feature = "portable-atomic")))]
pub(crate) use alloc::sync::{Arc, Weak};
#[cfg(all(not(loom), not(feature = "portable-atomic")))]
pub(crate) use core::sync::atomic::{AtomicU8, AtomicUsize, Ordering, fence};

/// A lock that is only ever held for a few lines of our own.
#[cfg(all(not(loom), feature = "std"))]
#[derive(Debug, Default)]
pub(crate) struct Lock<T>(std::sync::Mutex<T>);

#[cfg(all(not(loom), feature = "std"))]
impl<T> Lock<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(std::sync::Mutex::new(value))
    }

    #[inline]
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        // Nothing under the lock panics halfway through a change, so a poisoned value is whole.
        f(&mut self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

/// A lock that is only ever held for a few lines of our own: interrupts are off meanwhile.
#[cfg(all(not(loom), not(feature = "std"), feature = "critical-section"))]
#[derive(Debug)]
pub(crate) struct Lock<T>(critical_section::Mutex<core::cell::RefCell<T>>);

#[cfg(all(not(loom), not(feature = "std"), feature = "critical-section"))]
impl<T> Lock<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(critical_section::Mutex::new(core::cell::RefCell::new(value)))
    }

    #[inline]
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        critical_section::with(|section| f(&mut self.0.borrow_ref_mut(section)))
    }
}

/// The shards a drain should have: enough that threads seldom meet on one.
///
/// Without `std` nobody can say how many cores there are; one shard is right everywhere and smallest.
#[cfg(all(not(loom), not(feature = "std")))]
pub(crate) fn shards() -> usize {
    1
}

/// The shards a drain should have: enough that threads seldom meet on one.
#[cfg(all(not(loom), feature = "std"))]
pub(crate) fn shards() -> usize {
    // Asking costs some ten microseconds (it reads the control group), so it is asked once.
    static LANES: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    *LANES.get_or_init(|| {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        // One core has no contention to spread; beyond 64 shards memory outweighs what is won.
        if cores == 1 { 1 } else { (2 * cores).next_power_of_two().min(64) }
    })
}

/// A number by which this thread finds its shard. Only speed depends on it.
#[cfg(not(loom))]
#[inline]
pub(crate) fn here() -> usize {
    // Threads are told apart by where their stacks lie: std gives each two MiB, one after the other, so neighbours
    // differ in the bits above.
    let here = core::mem::MaybeUninit::<u8>::uninit();
    here.as_ptr().addr() >> 21
}

/// Runs foreign code whose panic may not stop us, if a panic can be caught at all.
#[cfg(any(feature = "std", loom))]
pub(crate) fn swallow_panic(f: impl FnOnce()) {
    drop(std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)));
}

#[cfg(not(any(feature = "std", loom)))]
pub(crate) fn swallow_panic(f: impl FnOnce()) {
    f();
}

/// Whether this thread is unwinding, so that a second panic would abort the process.
#[cfg(any(feature = "std", loom))]
pub(crate) fn panicking() -> bool {
    std::thread::panicking()
}

#[cfg(not(any(feature = "std", loom)))]
pub(crate) fn panicking() -> bool {
    false
}
