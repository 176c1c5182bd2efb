//! What stands in a file, and its form as text: lines that people can read, and that are parsed strictly.
//!
//! The form is one of its own and not JSON, since the file is for `cat` first. A parser of it needs no dependency.

use std::fmt;
use std::str::Lines;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::holder::Holder;
use crate::process::Process;
use crate::text;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) process: Process,
    pub(crate) begun: SystemTime,
    pub(crate) cause: String,
    pub(crate) deadline: Option<Duration>,
    pub(crate) elapsed: Duration,
    pub(crate) was_closed: bool,
    pub(crate) holders: Vec<Holder>,
    /// Entries that were left out.
    pub(crate) more: usize,
    /// Guards without a label.
    pub(crate) unlabelled: usize,
}

const FIRST_LINE: &str = "ebbtide post-mortem 1";
/// So that a file that was cut is noticed.
const LAST_LINE: &str = "end";
const UNKNOWN: &str = "-";
const DRAINING: &str = "draining";
const CLOSED: &str = "closed by force";

/// The most entries of one record.
pub(crate) const MOST: usize = 100;

impl Record {
    /// A record from its text, which must be, byte for byte, what is written for that record. So what cannot be parsed may be
    /// read as unknown, and is noticed in the end.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        if lines.next() != Some(FIRST_LINE) {
            return None;
        }
        let process = Process {
            pid: value(&mut lines, "pid ")?.parse().ok()?,
            boot: Some(value(&mut lines, "boot ")?.to_owned()).filter(|it| it != UNKNOWN),
            born: value(&mut lines, "born ")?.parse().ok(),
        };
        let begun = httpdate::parse_http_date(value(&mut lines, "begun ")?).ok()?;
        let cause = value(&mut lines, "cause ")?.to_owned();
        let deadline = text::parse_seconds(value(&mut lines, "deadline ")?);
        let elapsed = text::parse_seconds(value(&mut lines, "elapsed ")?)?;
        let was_closed = value(&mut lines, "state ")? == CLOSED;
        let holders = lines.clone().map_while(|it| it.strip_prefix("held ")).map(holder).collect::<Option<Vec<_>>>()?;
        let mut lines = lines.skip(holders.len());
        let more = lines.next()?.strip_prefix("more ")?.parse().ok()?;
        let unlabelled = lines.next()?.strip_prefix("without a label ")?.parse().ok()?;
        let record = Self { process, begun, cause, deadline, elapsed, was_closed, holders, more, unlabelled };
        let texts = record.holders.iter().map(|it| &it.what).chain([&record.cause]);
        let is_clean = texts.into_iter().all(|it| text::is_line(it)) && record.holders.iter().all(|it| it.guards > 0);
        (is_clean && record.to_string() == text).then_some(record)
    }
}

fn value<'a>(lines: &mut Lines<'a>, key: &str) -> Option<&'a str> {
    lines.next()?.strip_prefix(key)
}

fn holder(text: &str) -> Option<Holder> {
    let (how, what) = text.split_once(" x ")?;
    let (age, guards) = how.rsplit_once(' ')?;
    Some(Holder { what: what.to_owned(), guards: guards.parse().ok()?, age: text::parse_seconds(age) })
}

/// A date that can be written, whatever the machine's clock says.
pub(crate) fn writable(date: SystemTime) -> SystemTime {
    /// From 1970 to 9999, the years that `httpdate` can write; in whole seconds, as it does.
    const LAST: u64 = 253_402_300_799;
    let seconds = date.duration_since(UNIX_EPOCH).map_or(0, |it| it.as_secs().min(LAST));
    UNIX_EPOCH + Duration::from_secs(seconds)
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_unknown = |it: Option<String>| it.unwrap_or_else(|| UNKNOWN.into());
        let Process { pid, boot, born } = &self.process;
        writeln!(f, "{FIRST_LINE}")?;
        writeln!(f, "pid {pid}")?;
        writeln!(f, "boot {}", or_unknown(boot.clone()))?;
        writeln!(f, "born {}", or_unknown(born.map(|it| it.to_string())))?;
        writeln!(f, "begun {}", httpdate::fmt_http_date(self.begun))?;
        writeln!(f, "cause {}", self.cause)?;
        writeln!(f, "deadline {}", or_unknown(self.deadline.map(text::seconds)))?;
        writeln!(f, "elapsed {}", text::seconds(self.elapsed))?;
        writeln!(f, "state {}", if self.was_closed { CLOSED } else { DRAINING })?;
        for Holder { what, guards, age } in &self.holders {
            writeln!(f, "held {} {guards} x {what}", or_unknown(age.map(text::seconds)))?;
        }
        writeln!(f, "more {}", self.more)?;
        writeln!(f, "without a label {}", self.unlabelled)?;
        writeln!(f, "{LAST_LINE}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = include_str!("../tests/killed");

    fn record() -> Record {
        Record {
            process: Process { pid: 812, boot: Some("of-another-machine".into()), born: Some(9041) },
            begun: UNIX_EPOCH + Duration::from_secs(1_795_794_002),
            cause: "SIGTERM".into(),
            deadline: Some(Duration::from_secs(30)),
            elapsed: Duration::from_millis(29_800),
            was_closed: false,
            holders: vec![
                Holder::new("GET /report").aged(Duration::from_millis(29_100)),
                Holder { guards: 2, ..Holder::new("upload") },
            ],
            more: 7,
            unlabelled: 1,
        }
    }

    #[test]
    fn a_record_is_text_for_people_and_a_record_again() {
        assert_eq!(record().to_string(), TEXT);
        assert_eq!(Record::parse(TEXT), Some(record()));
    }

    #[test]
    fn what_is_not_known_is_read_as_such() {
        let process = Process { pid: 1, boot: None, born: None };
        let bare = Record { process, deadline: None, was_closed: true, holders: Vec::new(), ..record() };
        assert_eq!(Record::parse(&bare.to_string()), Some(bare));
    }

    #[test]
    fn a_text_that_was_cut_or_changed_is_none() {
        for length in 0..TEXT.len() {
            assert_eq!(Record::parse(&TEXT[..length]), None, "{length}");
        }
        for (from, to) in [
            ("mortem 1", "mortem 2"),
            ("pid 812", "pid 0812"),
            ("pid 812", "pid -1"),
            ("deadline 30.0 s", "deadline inf s"),
            ("deadline 30.0 s", "deadline -1.0 s"),
            ("elapsed 29.8 s", "elapsed 29.80 s"),
            ("elapsed 29.8 s", "elapsed 9e99 s"),
            ("state draining", "state idle"),
            ("- 2 x", "- 0 x"),
            ("/report", "/rep\u{1b}[31mort"),
            ("15:40:02", "25:40:02"),
            ("end\n", "end\nend\n"),
            ("\n", "\r\n"),
        ] {
            assert!(TEXT.contains(from));
            assert_eq!(Record::parse(&TEXT.replacen(from, to, 1)), None, "{from} -> {to}");
        }
    }

    #[test]
    fn a_clock_that_is_set_to_no_possible_date_is_written_as_one() {
        let year = Duration::from_secs(366 * 24 * 60 * 60);
        for date in [UNIX_EPOCH - year, UNIX_EPOCH + year * 9_000] {
            let record = Record { begun: writable(date), ..record() };
            assert_eq!(Record::parse(&record.to_string()), Some(record));
        }
    }

    proptest! {
        #[test]
        fn no_label_breaks_the_form(texts in prop::collection::vec(any::<String>(), 0..4), age in prop::option::of(0_u32..1_000_000)) {
            let holders = texts.iter().map(|it| Holder {
                age: age.map(|it| Duration::from_millis(u64::from(it) * 100)),
                ..Holder::new(it)
            });
            let cause = text::line(&texts.concat());
            let record = Record { holders: holders.collect(), cause, ..record() };
            prop_assert_eq!(Record::parse(&record.to_string()), Some(record));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in ".*", lines in prop::collection::vec("(pid|held|more|end|cause|born) .{0,20}", 0..16)) {
            Record::parse(&text);
            Record::parse(&format!("{FIRST_LINE}\n{}", lines.join("\n")));
        }
    }
}
