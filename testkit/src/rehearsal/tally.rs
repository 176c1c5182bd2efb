//! What came of a promise, run by run.

use crate::report::Verdict;

#[derive(Default)]
pub(super) struct Tally {
    runs: usize,
    broken: usize,
    first: String,
}

impl Tally {
    /// A run, in which this was wrong or nothing.
    pub(super) fn note(&mut self, point: &dyn Fn() -> String, fault: Option<String>) {
        self.runs += 1;
        let Some(fault) = fault else { return };
        self.broken += 1;
        if self.broken == 1 {
            self.first = format!("{}: {fault}", point());
        }
    }

    pub(super) fn verdict(self) -> Verdict {
        match (self.runs, self.broken) {
            (0, _) => Self::never(),
            (_, 0) => Verdict::Kept,
            (runs, broken) => Verdict::Broken(format!("{} (in {broken} of {runs} runs)", self.first)),
        }
    }

    /// Of what there was no occasion for.
    pub(super) fn never() -> Verdict {
        Verdict::NotOffered("there was no occasion".into())
    }
}
