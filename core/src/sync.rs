//! Reference counts, atomics and a lock, of `std`, `alloc`, `portable-atomic` or loom; hints for the number of shards and for
//! the shard of a thread.

#[cfg(loom)]
mod model;

#[cfg(loom)]
pub(crate) use self::model::{Arc, Lock, Weak, shards, thread_hint};
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

/// A lock. No foreign code runs while it is held.
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
        // No code under the lock panics halfway through a change, so a poisoned value is consistent.
        f(&mut self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

/// A lock: a critical section, so interrupts are off while it is held. No foreign code runs in it.
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

/// How many shards a drain has.
///
/// Without `std` the number of cores is unknown; one shard is correct everywhere, and smallest.
#[cfg(all(not(loom), not(feature = "std")))]
pub(crate) fn shards() -> usize {
    1
}

/// How many shards a drain has: enough that threads seldom share one.
#[cfg(all(not(loom), feature = "std"))]
pub(crate) fn shards() -> usize {
    // The call costs some ten microseconds (it reads the control group), so it is made once.
    static SHARDS: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    *SHARDS.get_or_init(|| {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        // One core has no contention to spread; beyond 64 shards the memory costs more than the spread saves.
        if cores == 1 { 1 } else { (2 * cores).next_power_of_two().min(64) }
    })
}

/// A number that differs from thread to thread, to choose a shard. Only speed depends on it.
#[cfg(not(loom))]
#[inline]
pub(crate) fn thread_hint() -> usize {
    // The address of the stack: std gives each thread two MiB, one after the other, so neighbours differ in the bits above.
    let byte = core::mem::MaybeUninit::<u8>::uninit();
    byte.as_ptr().addr() >> 21
}

/// Runs foreign code and catches its panic, if panics can be caught.
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
