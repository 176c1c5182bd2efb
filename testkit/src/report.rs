//! What a suite found.

use std::fmt;

/// Every promise, and whether it is kept.
#[derive(Clone, Debug)]
pub struct Report {
    pub(crate) server: String,
    pub(crate) outcomes: Vec<Outcome>,
}

/// Of one promise.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// What is promised, as a sentence in snake case.
    pub promise: &'static str,
    /// Whether it is kept.
    pub verdict: Verdict,
}

/// Whether a promise is kept. There is no fourth answer, so a `match` may be without a last arm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Kept,
    /// It is not: how.
    Broken(String),
    /// Nothing of the kind is: why.
    NotOffered(String),
}

impl Report {
    /// Which server this is about.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Every promise's.
    #[must_use]
    pub fn outcomes(&self) -> &[Outcome] {
        &self.outcomes
    }

    /// The verdict on a promise, if there is such a promise.
    #[must_use]
    pub fn verdict(&self, promise: &str) -> Option<&Verdict> {
        self.outcomes.iter().find(|it| it.promise == promise).map(|it| &it.verdict)
    }

    /// Those that are not kept.
    pub fn broken(&self) -> impl Iterator<Item = &Outcome> {
        self.outcomes.iter().filter(|it| matches!(it.verdict, Verdict::Broken(_)))
    }

    /// Panics with what is broken, if anything is.
    #[track_caller]
    pub fn expect_kept(&self) {
        assert!(self.broken().next().is_none(), "{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |is: fn(&Verdict) -> bool| self.outcomes.iter().filter(|it| is(&it.verdict)).count();
        let kept = count(|it| *it == Verdict::Kept);
        let not_offered = count(|it| matches!(it, Verdict::NotOffered(_)));
        let broken = self.outcomes.len() - kept - not_offered;
        write!(f, "{}: {kept} kept, {broken} broken, {not_offered} not offered", self.server)?;
        self.outcomes.iter().try_for_each(|it| write!(f, "\n{it}"))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  {}: {}", self.promise.replace('_', " "), self.verdict)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kept => f.write_str("kept"),
            Self::Broken(how) => write!(f, "BROKEN: {how}"),
            Self::NotOffered(why) => write!(f, "not offered: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_counts_and_then_tells() {
        let outcome = |promise, verdict| Outcome { promise, verdict };
        let outcomes = vec![
            outcome("a_request_is_answered", Verdict::Kept),
            outcome("an_idle_connection_ends", Verdict::Broken("it was reset".into())),
            outcome("a_stream_completes", Verdict::NotOffered("no HTTP/2".into())),
        ];
        let report = Report { server: "ours".into(), outcomes };
        let expected = "ours: 1 kept, 1 broken, 1 not offered\n  \
                        a request is answered: kept\n  \
                        an idle connection ends: BROKEN: it was reset\n  \
                        a stream completes: not offered: no HTTP/2";
        assert_eq!(report.to_string(), expected);
        assert_eq!(report.broken().count(), 1);
    }
}
