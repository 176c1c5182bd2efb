//! What clients of one kind saw.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// How long each answer took.
    times: Vec<Duration>,
    failed: BTreeMap<String, u64>,
    noted: BTreeMap<String, u64>,
}

impl Tally {
    pub(crate) fn answered(&mut self, time: Duration) {
        self.times.push(time);
    }

    pub(crate) fn failed(&mut self, why: impl Into<String>) {
        *self.failed.entry(why.into()).or_default() += 1;
    }

    /// What is no failure, and worth a word.
    pub(crate) fn noted(&mut self, what: impl Into<String>) {
        *self.noted.entry(what.into()).or_default() += 1;
    }

    pub(crate) fn answers(&self) -> usize {
        self.times.len()
    }

    pub(crate) fn failures(&self) -> u64 {
        self.failed.values().sum()
    }

    /// How often something was noted.
    pub(crate) fn notes(&self, what: &str) -> u64 {
        self.noted.get(what).copied().unwrap_or_default()
    }
}

/// A row of the table, without the kind.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut times = self.times.clone();
        times.sort_unstable();
        // Of a thousand, the last but one.
        let most = times.get(times.len().saturating_sub(1 + times.len() / 1000)).copied().unwrap_or_default();
        let worst = times.last().copied().unwrap_or_default();
        let listed = |counts: &BTreeMap<String, u64>| {
            let parts: Vec<_> = counts.iter().map(|(what, times)| format!("{times} {what}")).collect();
            parts.join(", ")
        };
        let (answers, failures) = (self.answers(), self.failures());
        let (failed, noted) = (listed(&self.failed), listed(&self.noted));
        let (most, worst) = (most.as_millis(), worst.as_millis());
        write!(f, "{answers} | {failures} | {most} ms | {worst} ms | {failed} | {noted}")
    }
}
