//! What the life needs of the machine it runs on.

use core::fmt::Arguments;

/// What the life needs of the machine it runs on.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    /// Prints a line.
    pub say: fn(Arguments<'_>),
    /// How many bytes of the heap are in use.
    pub heap: fn() -> usize,
    /// Whether an interrupt could come now: no critical section is held.
    pub interrupts_on: fn() -> bool,
    /// How many critical sections have been entered, the allocator's included. Always the same where nobody counts.
    pub sections: fn() -> usize,
    /// Returns after the next interrupt of the timer, whose handler calls [`tick`](crate::tick).
    pub wait: fn(),
}
