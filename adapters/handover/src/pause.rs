//! A stop at a step of the protocol, for tests that kill a process there.

use std::sync::OnceLock;
use std::{env, thread};

/// Stops for ever if `EBBTIDE_PAUSE` says this step, and says so first.
pub(crate) fn at(step: &str) {
    static WANTED: OnceLock<Option<String>> = OnceLock::new();
    let wanted = WANTED.get_or_init(|| env::var("EBBTIDE_PAUSE").ok());
    if wanted.as_deref() == Some(step) {
        println!("paused at {step}");
        loop {
            thread::park();
        }
    }
}
