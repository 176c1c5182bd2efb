//! `Killed`: a drain of an earlier process that did not come to its end.

use std::fmt;
use std::time::{Duration, SystemTime};

use crate::holder::Holder;
use crate::record::Record;
use crate::text;

/// A drain whose process was killed before its end: by `SIGKILL`, for a lack of memory, by a loss of power.
///
/// `Display` is one line for a log. All of it is as of the last time that the file was written, up to a second before the
/// kill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Killed {
    record: Record,
    had_machine_restarted: bool,
}

impl Killed {
    pub(crate) fn new(record: Record) -> Self {
        Self { had_machine_restarted: record.process.is_of_another_boot(), record }
    }

    /// The number of the process. In a container that is often 1.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.record.process.pid
    }

    /// When the drain began, by the clock of the machine at that time. It is exact to a second.
    #[must_use]
    pub fn begun(&self) -> SystemTime {
        self.record.begun
    }

    /// Why the drain began.
    #[must_use]
    pub fn cause(&self) -> &str {
        &self.record.cause
    }

    /// The deadline of the drain, if the process [has told it](crate::PostMortem::deadline).
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        self.record.deadline
    }

    /// How long the drain had gone on, by a clock that nobody can set. It is exact to 0.1 s.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.record.elapsed
    }

    /// Whether the drain was closed by force, and the process was killed with something that did not end by that.
    #[must_use]
    pub fn was_closed(&self) -> bool {
        self.record.was_closed
    }

    /// Whether the machine has been started anew since, as after a loss of power. It is known on Linux only.
    #[must_use]
    pub fn had_machine_restarted(&self) -> bool {
        self.had_machine_restarted
    }

    /// What was held: at most 100 entries. Those that have an age are first, the oldest before the others.
    #[must_use]
    pub fn holders(&self) -> &[Holder] {
        &self.record.holders
    }

    /// How many entries there were beyond these.
    #[must_use]
    pub fn more(&self) -> usize {
        self.record.more
    }

    /// The number of guards without a label.
    #[must_use]
    pub fn unlabelled(&self) -> usize {
        self.record.unlabelled
    }
}

impl fmt::Display for Killed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Record { process, cause, deadline, elapsed, was_closed, holders, more, unlabelled, .. } = &self.record;
        let how = if self.had_machine_restarted { "ended with its machine" } else { "was killed" };
        write!(f, "the last drain of process {} {how} after {}", process.pid, text::seconds(*elapsed))?;
        write!(f, " ({cause}")?;
        if let Some(deadline) = deadline {
            write!(f, ", deadline {}", text::seconds(*deadline))?;
        }
        if *was_closed {
            f.write_str(", closed by force")?;
        }
        f.write_str(")")?;
        let mut separators = [" while holding: "].into_iter().chain(std::iter::repeat(", "));
        let mut next = || separators.next().unwrap_or_default();
        for holder in holders {
            write!(f, "{}{holder}", next())?;
        }
        if *more > 0 {
            write!(f, "{}{more} more", next())?;
        }
        match unlabelled {
            0 => Ok(()),
            1 => write!(f, "{}1 guard without a label", next()),
            n => write!(f, "{}{n} guards without a label", next()),
        }
    }
}
