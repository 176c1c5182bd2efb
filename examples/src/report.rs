//! What an operator sees of a drain.

use std::fmt::Write as _;
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use ebbtide::Overdue;

use crate::output;
use crate::work::Work;

/// Tells of one drain: a live line on a terminal, plain lines elsewhere.
#[derive(Debug)]
pub struct Report {
    since: Instant,
    limit: Option<Duration>,
    live: bool,
    last: String,
}

impl Report {
    /// The drain begins now; `limit` is when it will be closed by force.
    #[must_use]
    pub fn begin(limit: Option<Duration>) -> Self {
        let live = io::stdout().is_terminal();
        Self { since: Instant::now(), limit, live, last: String::new() }
    }

    /// How often [`progress`](Self::progress) is worth calling.
    #[must_use]
    pub fn interval(&self) -> Duration {
        Duration::from_millis(if self.live { 100 } else { 1000 })
    }

    /// One line of how far the drain has come.
    pub fn progress(&mut self, work: &Work) {
        let mut line = format!("draining: {} in flight", work.in_flight());
        if let Some(limit) = self.limit {
            let left = limit.saturating_sub(self.since.elapsed());
            let _ = write!(line, ", {:.1} s left", left.as_secs_f64());
        }
        if self.live {
            output::print(format!("\r\x1b[2K{line}"));
        } else if line != self.last {
            output::say(line.as_str());
        }
        self.last = line;
    }

    /// The last line. Returns the exit code.
    pub fn end(self, outcome: &Result<(), Overdue>) -> u8 {
        let took = self.since.elapsed().as_secs_f64();
        let line = match outcome {
            Ok(()) => format!("drained in {took:.3} s"),
            Err(overdue) => {
                let cut: Vec<_> = overdue.held().iter().map(ToString::to_string).collect();
                let what = if cut.is_empty() { overdue.to_string() } else { format!("cut: {}", cut.join("; ")) };
                format!("closed by force after {took:.3} s; {what}")
            }
        };
        let clear = if self.live { "\r\x1b[2K" } else { "" };
        output::say(format!("{clear}{line}"));
        u8::from(outcome.is_err())
    }
}
