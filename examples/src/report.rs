//! What an operator sees of a drain.

use std::fmt::Write as _;
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use ebbtide::{Held, Overdue};

use crate::output;
use crate::work::Work;

/// Tells of one drain: a live line on a terminal, plain lines elsewhere.
#[derive(Debug)]
pub struct Report {
    since: Instant,
    lame_duck: Duration,
    /// How many connections had been cut by bounds before.
    cut_before: u64,
    limit: Option<Duration>,
    live: bool,
    last: String,
}

impl Report {
    /// It begins now, with a lame duck time; `limit` is when it will be closed by force.
    #[must_use]
    pub fn begin(lame_duck: Duration, limit: Option<Duration>, work: &Work) -> Self {
        let live = io::stdout().is_terminal();
        Self { since: Instant::now(), lame_duck, cut_before: work.cut_by_bounds(), limit, live, last: String::new() }
    }

    /// How often [`progress`](Self::progress) is worth calling.
    #[must_use]
    pub fn interval(&self) -> Duration {
        Duration::from_millis(if self.live { 100 } else { 1000 })
    }

    /// One line of how far the drain has come.
    pub fn progress(&mut self, work: &Work) {
        let passed = self.since.elapsed();
        let (what, until) = match self.lame_duck {
            lame_duck if passed < lame_duck => ("lame duck", Some(lame_duck)),
            _ => ("draining", self.limit),
        };
        let mut line = format!("{what}: {} in flight", work.in_flight());
        if let Some(until) = until {
            let _ = write!(line, ", {:.1} s left", until.saturating_sub(passed).as_secs_f64());
        }
        if self.live {
            output::print(format!("\r\x1b[2K{line}"));
        } else if line != self.last {
            output::say(line.as_str());
        }
        self.last = line;
    }

    /// The last line. Returns the exit code.
    pub fn end(self, outcome: &Result<(), Overdue>, work: &Work) -> u8 {
        let took = self.since.elapsed().as_secs_f64();
        let cut_by_bounds = work.cut_by_bounds() - self.cut_before;
        let mut line = match outcome {
            Ok(()) => format!("drained in {took:.3} s"),
            Err(overdue) => {
                format!("closed by force after {took:.3} s; cut: {}", cut(overdue))
            }
        };
        if cut_by_bounds > 0 {
            let _ = write!(line, "; cut because its client took or sent nothing for too long: {cut_by_bounds}");
        }
        let clear = if self.live { "\r\x1b[2K" } else { "" };
        output::say(format!("{clear}{line}"));
        u8::from(outcome.is_err() || cut_by_bounds > 0)
    }
}

/// What was cut, by its labels, and how much has none.
fn cut(overdue: &Overdue) -> String {
    let mut cut: Vec<_> = overdue.held().iter().map(ToString::to_string).collect();
    let labelled: usize = overdue.held().iter().map(Held::guards).sum();
    match overdue.guards().saturating_sub(labelled) {
        0 => {}
        1 => cut.push("1 guard without a label".into()),
        n => cut.push(format!("{n} guards without a label")),
    }
    cut.join("; ")
}

#[cfg(test)]
mod tests {
    use ebbtide::Drain;
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn what_has_no_label_is_told_beside_what_has_one() {
        let drain = Drain::new();
        let watcher = drain.watcher();
        let guards = [watcher.labelled("task"), watcher.guard()];
        drain.close();
        drop(guards);
        let overdue = drain.start().now_or_never().expect("closed").expect_err("two were held");
        assert_eq!(cut(&overdue), "task; 1 guard without a label");
    }
}
