//! What a look remembers for the next one.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::history::History;
use crate::snapshot::{Kind, Row, Seconds};
use crate::text::clipped;

/// What a look remembers for the next one.
#[derive(Default)]
pub(crate) struct Record {
    seen: HashMap<(String, String), Instant>,
    pub(crate) history: History,
    pub(crate) ended: Option<Duration>,
    names: BTreeSet<String>,
}

/// How many labels the metrics tell apart. Those that come later are counted together.
const LABELS: usize = 32;
/// How long such a label is at most, in bytes.
const LONGEST: usize = 64;

pub(crate) const CONNECTION: &str = "connection";
pub(crate) const UNLABELLED: &str = "unlabelled";
const OTHER: &str = "other";

impl Record {
    /// Since when rows that do not tell themselves have been seen.
    pub(crate) fn age(&mut self, rows: &mut [Row], now: Instant) {
        let mut seen = HashMap::with_capacity(self.seen.len());
        for row in rows.iter_mut().filter(|it| it.kind != Kind::Connection) {
            let key = (row.part.clone().unwrap_or_default(), row.what.clone());
            let since = self.seen.get(&key).copied().unwrap_or(now);
            row.seconds = Seconds(now - since);
            seen.insert(key, since);
        }
        self.seen = seen;
    }

    /// The labels that are told apart, those that nobody holds now among them.
    pub(crate) fn labels(&mut self, sums: &HashMap<String, usize>) -> Vec<(String, usize)> {
        let mut labels = self.classes(sums.iter().map(|(label, guards)| (&label[..], *guards)));
        let absent = self.names.iter().filter(|it| labels.iter().all(|(label, _)| label != *it));
        let absent: Vec<_> = absent.map(|it| (it.clone(), 0)).collect();
        labels.extend(absent);
        labels.sort();
        labels
    }

    pub(crate) fn classes<'a>(&mut self, labels: impl Iterator<Item = (&'a str, usize)>) -> Vec<(String, usize)> {
        let mut classes = HashMap::<_, usize>::new();
        for (label, guards) in labels {
            *classes.entry(self.class(label)).or_default() += guards;
        }
        let mut classes: Vec<_> = classes.into_iter().collect();
        classes.sort();
        classes
    }

    /// What the metrics call a label: itself, unless there are too many of its kind. What it was called once is told from
    /// then on, be it as 0.
    fn class(&mut self, label: &str) -> String {
        let address = label.split_once(": ").map_or(label, |it| it.0);
        let label = if address.parse::<SocketAddr>().is_ok() { CONNECTION.to_owned() } else { clipped(label, LONGEST) };
        let is_common = |it: &str| [CONNECTION, UNLABELLED, OTHER].contains(&it);
        let others = self.names.iter().filter(|it| !is_common(it)).count();
        let has_room = others < LABELS || is_common(&label) || self.names.contains(&label);
        let label = if has_room { label } else { OTHER.to_owned() };
        self.names.insert(label.clone());
        label
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(labels: impl Iterator<Item = String>) -> HashMap<String, usize> {
        labels.map(|it| (it, 1)).collect()
    }

    #[test]
    fn metrics_have_few_labels_however_many_there_are() {
        let mut record = Record::default();
        let tenants = (0..1000).map(|at| format!("tenant {at}"));
        let peers = (1..1000).map(|port| format!("[::1]:{port}: active 1.2 s, GET /"));
        let labels = record.labels(&sums(tenants.chain(peers)));
        let count = |label: &str| labels.iter().find(|it| it.0 == label).map(|it| it.1);
        assert_eq!((count(OTHER), count(CONNECTION)), (Some(1000 - LABELS), Some(999)));
        assert_eq!(labels.len(), LABELS + 2, "{labels:?}");

        let labels = record.labels(&sums(["late".to_owned()].into_iter()));
        assert_eq!(labels.iter().map(|it| it.1).sum::<usize>(), 1);
        assert_eq!(labels.len(), LABELS + 2, "those that were told go on, as 0: {labels:?}");
    }

    #[test]
    fn a_label_of_the_metrics_is_short_and_of_one_line() {
        let labels = Record::default().labels(&sums([format!("a\n{}", "b".repeat(999))].into_iter()));
        assert_eq!((labels[0].0.len(), labels[0].0.contains('\n')), (LONGEST + '…'.len_utf8(), false));
    }
}
