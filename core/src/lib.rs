#![doc = include_str!("lib.md")]
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(
    not(target_has_atomic = "ptr"),
    allow(dead_code, reason = "some functions are for children only, which are absent there")
)]

#[cfg(not(any(feature = "std", feature = "critical-section", loom)))]
compile_error!(
    "ebbtide needs a lock: enable the feature `std` (the default), or `critical-section` and \
     link an implementation of it (most microcontroller crates bring one)"
);

extern crate alloc;
#[cfg(any(feature = "std", loom))]
extern crate std;

mod cause;
// Needs `links`.
#[cfg(target_has_atomic = "ptr")]
mod child;
mod drain;
mod drained;
mod draining;
mod grace;
mod guard;
mod label;
mod lame_duck;
// Makes wakers of `alloc::sync::Arc`, which exists only on targets with compare-and-swap.
#[cfg(target_has_atomic = "ptr")]
mod links;
mod overdue;
mod shared;
mod state;
mod sync;
mod until;
mod waker_list;
mod watcher;

pub use cause::Cause;
pub use drain::Drain;
pub use drained::{Deadline, Drained, Released};
pub use draining::Draining;
pub use grace::Grace;
pub use guard::Guard;
pub use label::{Held, Label};
pub use lame_duck::{LameDuck, Turn};
pub use overdue::Overdue;
pub use state::State;
pub use until::Until;
pub use watcher::{Closed, Watcher};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
