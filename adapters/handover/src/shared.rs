//! `Shared`: what listeners, the handover and its thread all know.

use std::collections::HashMap;
use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ebbtide::{Drain, State};

use crate::driver::Command;
use crate::wake::Wake;

pub(crate) struct Shared {
    /// Begins when the successor is in charge.
    pub(crate) superseded: Drain,
    /// Begins when this process is in charge, and has said that it can serve. Nothing is accepted before.
    pub(crate) serving: Drain,
    /// Nothing is accepted any more: the successor does.
    pub(crate) has_left: AtomicBool,
    /// The manager has the listeners, too, for a next start.
    pub(crate) are_stored: AtomicBool,
    /// The process number of the successor that is in charge; 0: none.
    by: AtomicU32,
    /// A successor has descriptors of the listeners, or may have them.
    pub(crate) is_lent: AtomicBool,
    /// What a successor gets.
    listeners: Mutex<HashMap<String, Arc<OwnedFd>>>,
    commands: Sender<Command>,
    pub(crate) wake: Arc<Wake>,
}

impl Shared {
    pub(crate) fn new(commands: Sender<Command>, wake: Arc<Wake>) -> Arc<Self> {
        Arc::new(Self {
            superseded: Drain::new(),
            serving: Drain::new(),
            has_left: AtomicBool::new(false),
            are_stored: AtomicBool::new(false),
            by: AtomicU32::new(0),
            is_lent: AtomicBool::new(false),
            listeners: Mutex::default(),
            commands,
            wake,
        })
    }

    pub(crate) fn listeners(&self) -> MutexGuard<'_, HashMap<String, Arc<OwnedFd>>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_serving(&self) -> bool {
        self.serving.state() != State::Running
    }

    pub(crate) fn has_left(&self) -> bool {
        self.has_left.load(Ordering::SeqCst)
    }

    pub(crate) fn superseded_by(&self) -> Option<u32> {
        Some(self.by.load(Ordering::SeqCst)).filter(|it| *it > 0)
    }

    pub(crate) fn supersede(&self, by: u32) {
        self.by.store(by, Ordering::SeqCst);
    }

    pub(crate) fn is_lent(&self) -> bool {
        self.is_lent.load(Ordering::SeqCst)
    }

    /// Returns the command if there is nobody to obey it.
    pub(crate) fn command(&self, command: Command) -> Result<(), Command> {
        self.commands.send(command).map_err(|it| it.0)?;
        self.wake.wake();
        Ok(())
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("has_left", &self.has_left()).finish_non_exhaustive()
    }
}
