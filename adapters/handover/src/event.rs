//! `Event`: something that happened to a handover.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Something that happened to a [`Handover`](crate::Handover). Its `Display` is a line for a log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A successor has asked for the listeners. This process serves as before until that one is ready.
    Begun {
        /// The successor.
        pid: u32,
    },
    /// The successor has ended, or took too long. This process serves on.
    Failed {
        /// The successor.
        pid: u32,
        /// What was wrong.
        why: String,
    },
    /// A process was told that it cannot take over.
    Rejected {
        /// Which, if it is known.
        pid: Option<u32>,
        /// What it was told.
        why: String,
    },
    /// The successor is in charge. This process does not accept any more.
    Superseded {
        /// The successor.
        pid: u32,
    },
    /// The predecessor has given its listeners.
    TookOver {
        /// The predecessor.
        pid: u32,
        /// How many came.
        listeners: usize,
    },
    /// A listener that came is not wanted by this process, or not at this address. It is closed here.
    Unwanted {
        /// Its name.
        listener: String,
    },
    /// This process is in charge.
    InCharge,
    /// The predecessor says how its drain goes.
    Predecessor {
        /// Its words.
        says: String,
    },
    /// The predecessor has ended.
    PredecessorEnded {
        /// Its last words; `None` if it was killed or has crashed.
        last_words: Option<String>,
    },
    /// The control socket cannot accept. It is tried again.
    Control {
        /// What the system says.
        error: String,
    },
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begun { pid } => write!(f, "process {pid} takes over"),
            Self::Failed { pid, why } => write!(f, "process {pid} did not take over: {why}; this process serves on"),
            Self::Rejected { pid: Some(pid), why } => write!(f, "process {pid} cannot take over: {why}"),
            Self::Rejected { pid: None, why } => write!(f, "somebody cannot take over: {why}"),
            Self::Superseded { pid } => write!(f, "process {pid} is in charge, this process drains"),
            Self::TookOver { pid, listeners } => write!(f, "took over {listeners} listeners from process {pid}"),
            Self::Unwanted { listener } => write!(f, "{listener}: came from the predecessor and is not wanted"),
            Self::InCharge => f.write_str("in charge"),
            Self::Predecessor { says } => write!(f, "the predecessor: {says}"),
            Self::PredecessorEnded { last_words: Some(words) } => write!(f, "the predecessor has ended: {words}"),
            Self::PredecessorEnded { last_words: None } => f.write_str("the predecessor has ended without a word"),
            Self::Control { error } => write!(f, "cannot accept on the control socket: {error}"),
        }
    }
}

/// Who is told of events, on a thread of its own: a log that nobody reads holds up no handover.
#[derive(Clone, Debug, Default)]
pub(crate) struct Events(Option<SyncSender<Event>>);

/// The end of that thread: when all [`Events`] are dropped, and everything is told.
#[derive(Debug)]
pub(crate) struct Ended(Mutex<Receiver<()>>);

/// How many events may wait to be told. Others are lost.
const MOST: usize = 1024;

impl Events {
    pub(crate) fn new(mut told: impl FnMut(Event) + Send + 'static) -> (Self, Ended) {
        let (sender, events) = sync_channel(MOST);
        let (until_here, ended) = channel();
        let tell = move || {
            let _until_here: Sender<()> = until_here;
            while let Ok(event) = events.recv() {
                // A panic of it is its own: the panic hook has told of it.
                drop(catch_unwind(AssertUnwindSafe(|| told(event))));
            }
        };
        let thread = thread::Builder::new().name("handover events".into()).spawn(tell);
        (Self(thread.is_ok().then_some(sender)), Ended(Mutex::new(ended)))
    }

    pub(crate) fn tell(&self, event: Event) {
        if let Some(sender) = &self.0 {
            drop(sender.try_send(event));
        }
    }
}

/// How long the end of a process may be held up by a log.
const LAST_LINES: Duration = Duration::from_millis(100);

impl Ended {
    /// Waits for the last lines, though not for a log that nobody reads.
    pub(crate) fn wait(&self) {
        let ended = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let _is_told = ended.recv_timeout(LAST_LINES);
    }
}
