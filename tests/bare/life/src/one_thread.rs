//! A critical section for programs with one thread and no interrupts: it only counts.

use core::sync::atomic::{AtomicUsize, Ordering};

static HELD: AtomicUsize = AtomicUsize::new(0);
static ENTERED: AtomicUsize = AtomicUsize::new(0);

/// Whether no critical section is held.
#[must_use]
pub fn interrupts_on() -> bool {
    HELD.load(Ordering::Relaxed) == 0
}

/// How many critical sections have been entered.
#[must_use]
pub fn sections() -> usize {
    ENTERED.load(Ordering::Relaxed)
}

struct OneThread;

critical_section::set_impl!(OneThread);

#[expect(unsafe_code, reason = "the trait is unsafe to implement, and there is no std to bring an implementation")]
// SAFETY: where there is one thread and nothing interrupts it, nothing runs beside it.
unsafe impl critical_section::Impl for OneThread {
    unsafe fn acquire() {
        HELD.fetch_add(1, Ordering::Relaxed);
        ENTERED.fetch_add(1, Ordering::Relaxed);
    }

    unsafe fn release((): ()) {
        HELD.fetch_sub(1, Ordering::Relaxed);
    }
}
