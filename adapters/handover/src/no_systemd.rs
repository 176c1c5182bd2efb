//! What systemd is told on systems that do not have it: nothing.

use std::os::fd::OwnedFd;
use std::sync::Arc;

pub(crate) fn ready(_: &str) {}

pub(crate) fn reloading() {}

pub(crate) fn superseded(_: u32) {}

pub(crate) fn stopping(_: &str) {}

pub(crate) fn remains(_: &str, _: bool) {}

pub(crate) fn store(_: &str, _: &Arc<OwnedFd>) -> bool {
    false
}
