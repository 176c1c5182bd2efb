//! What came of a rehearsal.

use std::fmt;

/// What came of a [`Rehearsal`](super::Rehearsal), line by line.
#[derive(Clone, Debug)]
#[must_use = "a promise may be broken"]
pub struct Report {
    pub(super) lines: Vec<Line>,
    pub(super) runs: usize,
}

/// One promise, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub(super) promise: &'static str,
    pub(super) verdict: Verdict,
}

/// What came of a promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// In so many runs.
    Kept(usize),
    /// How, the first time, and how often.
    Broken(String),
    /// Nobody asked for it, or it is not to be had: why.
    NotOffered(String),
}

impl Report {
    /// All of it.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// The promises that were broken.
    pub fn broken(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| matches!(line.verdict, Verdict::Broken(_)))
    }

    /// Whether none was.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.broken().next().is_none()
    }

    /// How many simulations it took.
    #[must_use]
    pub fn runs(&self) -> usize {
        self.runs
    }

    /// Panics with the report where a promise was broken.
    #[track_caller]
    pub fn check(&self) {
        assert!(self.is_kept(), "\n{self}");
    }
}

impl Line {
    /// What was promised.
    #[must_use]
    pub fn promise(&self) -> &'static str {
        self.promise
    }

    /// What came of it.
    #[must_use]
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))?;
        write!(f, "{} broken, in {} runs", self.broken().count(), self.runs)
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.verdict {
            Verdict::Kept(runs) => write!(f, "kept         {} ({runs} runs)", self.promise),
            Verdict::Broken(how) => write!(f, "BROKEN       {}: {how}", self.promise),
            Verdict::NotOffered(why) => write!(f, "not offered  {}: {why}", self.promise),
        }
    }
}
