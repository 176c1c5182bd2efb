//! The drain that the process's signals start.

use std::sync::{Mutex, PoisonError};

use ebbtide::{Drain, Guard, Label, Watcher};
use ebbtide_signal::{InstallError, Signals, escalate};

/// Signal handlers are the process's, and so is what they start: servers in one process hear the same signals.
static SIGNALLED: Mutex<Option<Drain>> = Mutex::new(None);

/// A watcher of that drain, and a guard for a part of the process; `None` once the signal has come.
pub(crate) fn part(label: Label) -> Result<(Watcher, Option<Guard>), InstallError> {
    let mut signalled = SIGNALLED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(drain) = &*signalled {
        return Ok((drain.watcher(), drain.watcher().labelled(label)));
    }
    let drain = Drain::new();
    // The guard first: a signal may have come by the time that they are heard.
    let (watcher, guard) = (drain.watcher(), drain.watcher().labelled(label));
    escalate(drain.clone(), Signals::new()?);
    *signalled = Some(drain);
    Ok((watcher, guard))
}
