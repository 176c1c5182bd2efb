//! What an operator sees of a server.

use std::cmp::Ordering;
use std::fmt::Display;
use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ebbtide_tokio::{Event, Outcome};

use crate::output;
use crate::work::Work;

/// Tells of a service while it runs: what its [`on_event`](ebbtide_tokio::Service::on_event) calls.
pub fn report(work: &Work, deadline: Option<Duration>) -> impl FnMut(Event) + Send + use<> {
    let work = work.clone();
    move |event| match event {
        Event::Listening { part, address } => listening(&part.to_string(), &address),
        Event::Draining { .. } => {
            work.begin();
            progress(&event.to_string(), &work, deadline);
        }
        Event::Waiting { elapsed, .. } => progress("draining", &work, deadline.map(|it| it.saturating_sub(elapsed))),
        // A prober that hangs up is nothing to tell.
        Event::Connection { part, .. } if part == "diagnostics".into() => {}
        Event::Connection { .. } => failed(&event),
        Event::Failed(_) => output::complain(format!("server: {event}")),
        _ => output::say(event.to_string()),
    }
}

/// Tells how it ended. Returns the exit code.
#[must_use]
pub fn end(outcome: &Outcome, work: &Work) -> ExitCode {
    if outcome.start_error().is_some() {
        output::complain(format!("server: {outcome}"));
        return outcome.into();
    }
    let clear = if is_live() { CLEAR } else { "" };
    match work.cut_by_bounds() {
        0 => {
            output::say(format!("{clear}{outcome}"));
            outcome.into()
        }
        cut => {
            output::say(format!("{clear}{outcome}; cut because its client took or sent nothing for too long: {cut}"));
            ExitCode::FAILURE
        }
    }
}

/// Says where a part listens, for the port may have been 0.
pub fn listening(part: &str, address: &str) {
    match part {
        "http" => {
            output::say(format!("serving on http://{address}"));
            output::say(format!("try: curl -i 'http://{address}/slow?ms=5000'   and Ctrl-C here in the middle"));
        }
        "https" => output::say(format!("serving on https://{address}")),
        part => output::say(format!("{part} on http://{address}")),
    }
}

/// How far the drain has come: one live line on a terminal, a line each time elsewhere.
fn progress(what: &str, work: &Work, left: Option<Duration>) {
    let left = left.map(|it| format!(", {:.1} s left", it.as_secs_f64())).unwrap_or_default();
    let line = format!("{what}, {} in flight{left}", work.in_flight());
    if is_live() {
        output::print(format!("{CLEAR}{line}"));
    } else {
        output::say(line);
    }
}

fn is_live() -> bool {
    io::stdout().is_terminal()
}

/// Makes a live line empty.
const CLEAR: &str = "\r\x1b[2K";

/// Tells of an error of accepting or of a connection, a few lines a second at most: clients can cause as many as they like.
pub fn failed(error: &dyn Display) {
    static LINES: Mutex<Option<(Instant, u32)>> = Mutex::new(None);
    let mut lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    let (since, said) = lines.filter(|(since, _)| since.elapsed() < INTERVAL).unwrap_or((Instant::now(), 0));
    *lines = Some((since, said.saturating_add(1)));
    match said.cmp(&MOST) {
        Ordering::Less => output::complain(format!("server: {error}")),
        Ordering::Equal => output::complain("server: and more of that kind"),
        Ordering::Greater => {}
    }
}

/// How many lines there are at most in an interval.
const MOST: u32 = 10;
const INTERVAL: Duration = Duration::from_secs(1);
