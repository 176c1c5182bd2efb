#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod event;
mod life;
mod listen;
mod moment;
mod outcome;
mod part;
mod plan;
mod planned;
mod readiness;
mod running;
mod runtime;
mod service;
mod stage;
mod status;
#[cfg(feature = "tracing")]
mod trace;

pub use event::Event;
pub use listen::{Binding, Bound, Listen};
pub use outcome::{Outcome, PartError, StartError};
pub use part::Part;
pub use plan::Overbooked;
pub use readiness::{Obstacle, Readiness};
pub use runtime::{LocalTask, Runtime, Task};
pub use service::Service;
pub use status::{PartStatus, StageStatus, Status};
#[cfg(feature = "tracing")]
pub use trace::trace_drain;
