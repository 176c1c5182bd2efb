#![doc = include_str!("../README.md")]
#![cfg(unix)]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

/// A place at which the tests of a crash can stop a process.
macro_rules! step {
    ($($what:tt)*) => {
        #[cfg(test)]
        crate::pause::at(&format!($($what)*));
    };
}

mod bind;
mod builder;
mod connection;
mod control;
mod driver;
mod environment;
mod event;
mod giver;
mod handover;
mod listener;
#[cfg(test)]
mod pause;
mod protocol;
mod replace;
mod shared;
mod superseded;
#[cfg_attr(not(any(target_os = "linux", target_os = "android")), path = "no_systemd.rs")]
mod systemd;
mod takeover_error;
#[cfg(test)]
mod tests;
mod wake;
mod wire;

pub use builder::Builder;
pub use connection::{Adopted, Connection, Given};
pub use event::Event;
pub use giver::Giver;
pub use handover::Handover;
pub use listener::{Departing, Named, Origin};
pub use replace::{Program, ReplaceError, Replacer, Replacing};
pub use superseded::Superseded;
pub use takeover_error::TakeoverError;
