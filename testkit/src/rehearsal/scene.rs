//! One client, one connection, one drain.

use std::io::Cursor;
use std::time::Duration;

use ebbtide::{Overdue, State};

use crate::client::{Client, Response};
use crate::pipe::Stream;
use crate::rehearsal::head_of;
use crate::simulation::{Serve, Simulation};
use crate::wire::End;

/// What a client does, step by step, and what it hears.
pub(super) struct Scene {
    simulation: Simulation,
    /// None once the client has left.
    stream: Option<Stream>,
    /// A response to HEAD has no body, whatever it says.
    heads: bool,
    heard: Vec<u8>,
    heard_last: Duration,
    /// What had come, read or not, when the drain began, and when that was.
    drain: Option<(usize, Duration)>,
    /// The drain was closed while the connection was open and not cut.
    early: bool,
    /// The service's own tasks, from before the connection.
    tasks: usize,
}

/// What a client heard, and how it ended.
pub(super) struct Heard {
    /// Those that are complete.
    pub(super) responses: Vec<Response>,
    /// Something came behind them that is no complete response.
    pub(super) partial: bool,
    /// How many of the responses were begun, and how many complete, when the drain began.
    pub(super) begun: usize,
    pub(super) complete: usize,
    /// None where the connection did not end.
    pub(super) end: Option<End>,
    /// How long after the last byte that was.
    pub(super) behind: Duration,
    /// The last byte came in the instant in which the drain began.
    pub(super) coincides: bool,
    /// How long after the drain began that was.
    pub(super) after: Duration,
    pub(super) early: bool,
    /// Who panicked meanwhile.
    pub(super) panicked: Vec<String>,
}

/// Time that a clock of milliseconds may lose here and there.
pub(super) const SLACK: Duration = Duration::from_millis(5);

impl Scene {
    /// Connects to what serves connections so.
    pub(super) fn new(simulation: Simulation, serve: Serve, capacity: usize, heads: bool) -> Self {
        let tasks = simulation.driver().tasks();
        let stream = simulation.reach_through(capacity, serve).expect("the drain has not begun");
        let (heard, heard_last) = (Vec::new(), simulation.now());
        Self { simulation, stream: Some(stream), heads, heard, heard_last, drain: None, early: false, tasks }
    }

    fn stream(&self) -> &Stream {
        self.stream.as_ref().expect("the client is there")
    }

    /// Lets everybody see what was sent.
    pub(super) fn settle(&self) {
        self.simulation.settle();
    }

    pub(super) fn pass(&self, time: Duration) {
        self.simulation.pass(time);
    }

    pub(super) fn now(&self) -> Duration {
        self.simulation.now()
    }

    /// The smallest thing that can happen. Returns whether anything did.
    pub(super) fn step(&self, limit: Duration) -> bool {
        self.simulation.driver().step(limit)
    }

    /// Sends all this as soon as there is room for it. What the server does not take is the server's to answer for.
    pub(super) fn send(&mut self, bytes: &[u8], within: Duration) {
        let (limit, mut rest) = (self.now() + within, bytes);
        // Without letting anybody run, where there is room.
        while let Ok(sent @ 1..) = self.stream().put(rest) {
            rest = &rest[sent..];
        }
        if !rest.is_empty() {
            let stream = self.stream.as_ref().expect("the client is there");
            self.simulation.driver().wait_until(limit, || {
                match stream.put(rest) {
                    Ok(sent) => rest = &rest[sent..],
                    Err(_) => rest = &[],
                }
                rest.is_empty()
            });
        }
    }

    /// Sends as much of this as the server takes until its end comes, and reads all the while.
    pub(super) fn flood(&mut self, bytes: &[u8], within: Duration) {
        let (limit, mut rest) = (self.now() + within, bytes);
        let Self { simulation, stream, heard, heard_last, .. } = self;
        let stream = stream.as_ref().expect("the client is there");
        simulation.driver().wait_until(limit, || {
            listen(simulation, stream, heard, heard_last);
            match stream.put(rest) {
                Ok(sent) => rest = &rest[sent..],
                Err(_) => rest = &[],
            }
            rest.is_empty()
        });
    }

    /// Sends a byte that nobody has asked for, if there is room for it.
    pub(super) fn nudge(&self) {
        drop(self.stream().put(b"x"));
    }

    /// The drain begins.
    pub(super) fn drain(&mut self) {
        let there = self.heard.len() + self.stream.as_ref().map_or(0, Stream::unread);
        self.drain = Some((there, self.now()));
        drop(self.simulation.drain().start());
    }

    /// Reads so many bytes, if they are there.
    pub(super) fn read(&mut self, most: usize) {
        let bytes = self.stream().take(most);
        if !bytes.is_empty() {
            self.heard_last = self.now();
            self.heard.extend(bytes);
        }
    }

    /// Waits until so many bytes have come, and reads none.
    pub(super) fn leave_unread(&self, bytes: usize, within: Duration) {
        self.simulation.driver().wait_until(self.now() + within, || self.stream().unread() >= bytes);
    }

    /// Whether the end has come.
    pub(super) fn is_ended(&self) -> bool {
        self.stream().ended().is_some()
    }

    /// Whether the server still has the connection.
    pub(super) fn is_served(&self) -> bool {
        self.stream().is_served()
    }

    pub(super) fn state(&self) -> State {
        self.simulation.drain().state()
    }

    /// Reads until so many responses are complete, or until the end. Returns whether they are.
    pub(super) fn hear_responses(&mut self, count: usize, within: Duration) -> bool {
        let limit = self.now() + within;
        let Self { simulation, stream, heard, heard_last, heads, .. } = self;
        let stream = stream.as_ref().expect("the client is there");
        simulation.driver().wait_until(limit, || {
            let before = heard.len();
            listen(simulation, stream, heard, heard_last);
            // What still comes is not looked at: no time passes before this is asked again.
            heard.len() == before && (parse(heard, *heads).0.len() >= count || stream.ended().is_some())
        });
        parse(heard, *heads).0.len() >= count
    }

    /// Whether a response is complete by now, or the connection over.
    pub(super) fn hears_a_response(&mut self) -> bool {
        let Self { simulation, stream, heard, heard_last, heads, .. } = self;
        let stream = stream.as_ref().expect("the client is there");
        listen(simulation, stream, heard, heard_last);
        if is_chunked(heard) && !heard.ends_with(b"\r\n\r\n") && stream.ended().is_none() {
            // Not yet the last chunk: a response without an end would be read again and again.
            return false;
        }
        let (responses, _) = parse(heard, *heads);
        // A body of no known length is as long as the connection.
        let is_over = |it: &Response| *heads || it.is_delimited() || stream.ended().is_some();
        responses.first().is_some_and(is_over)
    }

    /// Whether a response has begun by now: its head is complete.
    pub(super) fn hears_a_head(&mut self) -> bool {
        let Self { simulation, stream, heard, heard_last, .. } = self;
        listen(simulation, stream.as_ref().expect("the client is there"), heard, heard_last);
        head_of(heard).is_some()
    }

    /// How much was heard.
    pub(super) fn heard(&self) -> usize {
        self.heard.len()
    }

    /// Forgets what was heard, as of an exchange that is over.
    pub(super) fn forget(&mut self) {
        self.heard.clear();
    }

    /// Reads until the end.
    pub(super) fn hear(&mut self, within: Duration) -> Heard {
        let limit = self.now() + within;
        let Self { simulation, stream, heard, heard_last, early, .. } = self;
        let stream = stream.as_ref().expect("the client is there");
        simulation.driver().wait_until(limit, || {
            listen(simulation, stream, heard, heard_last);
            let ended = stream.ended().is_some();
            *early |= !ended && stream.is_served() && simulation.drain().state() == State::Closed;
            ended
        });
        let (before, drained) = self.drain.unwrap_or((self.heard.len(), Duration::ZERO));
        let (complete, partial) = parse(&self.heard[..before.min(self.heard.len())], self.heads);
        let begun = complete.len() + usize::from(partial);
        let complete = complete.len();
        let (responses, partial) = parse(&self.heard, self.heads);
        Heard {
            responses,
            partial,
            begun,
            complete,
            end: self.stream().ended(),
            behind: self.now().saturating_sub(self.heard_last),
            coincides: self.heard_last == drained,
            after: self.now().saturating_sub(drained),
            early: self.early,
            panicked: self.simulation.driver().panicked(),
        }
    }

    /// The client ends its direction.
    pub(super) fn half_close(&mut self) {
        if let Some(stream) = &mut self.stream {
            drop(crate::Transport::half_close(stream));
        }
    }

    /// The client goes.
    pub(super) fn leave(&mut self) {
        self.stream = None;
    }

    /// The client goes, by a reset.
    pub(super) fn reset(&mut self) {
        if let Some(stream) = self.stream.take() {
            stream.reset();
        }
    }

    /// The drain is closed by force. Returns what that cut.
    pub(super) fn close(&mut self) -> Result<(), Overdue> {
        self.simulation.drain().close();
        let drained = self.simulation.drain().start();
        self.simulation.block_on(drained)
    }

    /// The drain's end, within this time from now; or what is wrong with it.
    pub(super) fn drained(&mut self, within: Duration) -> Result<(), String> {
        let limit = self.now() + within;
        let drain = self.simulation.drain();
        if !self.simulation.driver().wait_until(limit, || drain.state() == State::Closed) {
            return Err(format!("the drain has not ended in {within:?}; {}", self.simulation.driver().describe()));
        }
        let drained = drain.start();
        self.simulation.block_on(drained).map_err(|cut| format!("the drain was closed by force: {cut}"))
    }
}

impl Scene {
    /// What is wrong with the tasks that are there though the drain is over: those that were at work, and so come to an end.
    /// Those that come to none are the service's own, such as one that sweeps a cache, begun by its first request.
    pub(super) fn left_behind(&self) -> Option<String> {
        let driver = self.simulation.driver();
        driver.settle();
        let (over, left) = (self.now(), driver.tasks().saturating_sub(self.tasks));
        driver.wait_until(over + AFTERWARDS, || driver.tasks() <= self.tasks);
        let worked = left.saturating_sub(driver.tasks().saturating_sub(self.tasks));
        let after = self.now().saturating_sub(over);
        (worked > 0).then(|| {
            let tasks = if worked == 1 { "1 task was" } else { &format!("{worked} tasks were") };
            format!("{tasks} still at work when the drain was over, until {after:?} later: for want of a guard?")
        })
    }
}

/// How long what a drain leaves behind is looked at. What works for longer is taken for a part of the service.
const AFTERWARDS: Duration = Duration::from_secs(60);

impl Heard {
    /// What is wrong with what should have been a response, or with this one, which should have been like that one.
    pub(super) fn fault(&self, other: Option<(&Response, &Response)>) -> String {
        let mut fault = match other {
            Some((other, expected)) if other.status != expected.status => {
                format!("{} and not {}", other.status, expected.status)
            }
            Some((other, expected)) => {
                let (other, expected) = (other.body.escape_ascii(), expected.body.escape_ascii());
                format!("\"{other:.80}\" and not \"{expected:.80}\"")
            }
            None => {
                let what = if self.partial { "half a response" } else { "no response" };
                match self.end {
                    Some(End::Fin) => format!("{what}, and the end"),
                    Some(End::Reset) => format!("{what}, and a reset"),
                    None => format!("{what} in time, and no end"),
                }
            }
        };
        if !self.panicked.is_empty() {
            fault = format!("{fault}; panicked: {}", self.panicked.join(", "));
        }
        fault
    }

    /// What is wrong with an end that is to come so soon behind the last byte.
    pub(super) fn not_fin(&self, behind: Duration) -> Option<String> {
        match self.end {
            Some(End::Fin) if self.behind <= behind => None,
            Some(End::Fin) => Some(format!("it ends {:?} later", self.behind)),
            Some(End::Reset) => Some("it is reset".into()),
            None => Some("it does not end".into()),
        }
    }

    /// What is wrong with an end that is to come so soon after the drain began.
    pub(super) fn not_ended(&self, after: Duration) -> Option<String> {
        match self.end {
            Some(End::Fin) if self.after <= after => None,
            Some(End::Fin) => Some(format!("it ends {:?} after the drain began", self.after)),
            Some(End::Reset) => Some("it is reset".into()),
            None => Some("it does not end".into()),
        }
    }

    /// The same, where there is nothing to be said.
    pub(super) fn not_silent_fin(&self, after: Duration) -> Option<String> {
        let said = self.partial || !self.responses.is_empty();
        said.then(|| "something is said to who said nothing".to_owned()).or_else(|| self.not_ended(after))
    }
}

fn listen(simulation: &Simulation, stream: &Stream, heard: &mut Vec<u8>, last: &mut Duration) {
    loop {
        let bytes = stream.take(usize::MAX);
        if bytes.is_empty() {
            return;
        }
        *last = simulation.now();
        heard.extend(bytes);
    }
}

/// Whether it begins with the head of a response that comes in chunks.
fn is_chunked(bytes: &[u8]) -> bool {
    let head = head_of(bytes).map(|it| String::from_utf8_lossy(&bytes[..it]).to_ascii_lowercase());
    head.is_some_and(|it| it.contains("\r\ntransfer-encoding:"))
}

/// The complete responses, and whether there is something behind them that is none. What comes behind an upgrade is not
/// looked at.
fn parse(bytes: &[u8], heads: bool) -> (Vec<Response>, bool) {
    let mut client = Client::over(Cursor::new(bytes.to_vec()));
    let mut responses = Vec::new();
    while client.has_more() {
        let answer = if heads { client.head() } else { client.answer() };
        match answer {
            Ok(switched) if switched.status == 101 => return (vec![switched], false),
            Ok(interim) if interim.status < 200 => {}
            Ok(response) => responses.push(response),
            Err(_) => return (responses, true),
        }
    }
    (responses, false)
}
