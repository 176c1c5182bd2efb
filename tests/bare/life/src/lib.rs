//! The core's whole life, for a machine without an operating system.
//!
//! [`live`] is one function that polls by hand and needs no executor; the programs beside this package call it on the
//! host, on a microcontroller and as WebAssembly. What it asks of them is a [`Machine`] and a timer whose interrupt
//! handler calls [`tick`]. It panics where the core does not keep a promise.

#![no_std]

mod interrupt;
mod life;
mod machine;
#[cfg(feature = "one-thread")]
mod one_thread;
mod task;

pub use interrupt::{Job, Timer, hand, is_at_work, take_back, tick, ticks};
pub use life::live;
pub use machine::Machine;
#[cfg(feature = "one-thread")]
pub use one_thread::{interrupts_on, sections};
pub use task::Task;
