#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod event;
mod folder;
mod holder;
mod killed;
mod lock;
mod post_mortem;
mod process;
mod record;
mod recorder;
#[cfg(feature = "service")]
mod service;
mod text;
mod waiting;

pub use event::{Event, Oddity, Trouble};
pub use holder::Holder;
pub use killed::Killed;
pub use post_mortem::PostMortem;
pub use recorder::Recorder;
