#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod action;
mod body;
mod chart;
mod events;
#[cfg(feature = "metrics")]
mod facade;
mod history;
mod metric;
mod observer;
mod page;
mod probe;
mod record;
mod rows;
#[cfg(feature = "service")]
mod service;
mod snapshot;
mod text;
mod token;
mod view;

pub use action::{Action, Attempt, Refusal};
pub use body::Body;
pub use probe::{Probe, Scraped};
pub use token::{Token, WeakToken};
