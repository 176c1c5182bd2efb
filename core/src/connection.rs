//! What to do with one connection: the policy that every HTTP adapter follows.
//!
//! A pure state machine. The adapter tells it what happened ([`read`](Policy::read), [`request`](Policy::request),
//! [`drain`](Policy::drain) and so on), asks what to do ([`step`](Policy::step)) and which timers to keep
//! ([`wait`](Policy::wait)). It knows no socket, no clock and no HTTP library.
//!
//! | the connection, when the drain begins | what happens |
//! |---|---|
//! | silent: no byte yet | a short grace, then closed |
//! | part of a request head, first or later | served when complete, bounded |
//! | idle, kept alive | a short grace for a request already on the wire; then closed |
//! | request in flight | completes; says `Connection: close` where its head is still to be written |
//! | client still sends while we close | half-closed, then what comes is read and dropped, bounded |
//! | HTTP/2 | told by GOAWAY at once; streams complete; its preface and its last PING are bounded |
//! | upgraded | left to its handler |
//! | a client that takes nothing | bounded, in every state |
//!
//! # Examples
//!
//! ```
//! use ebbtide::connection::{Bounds, Policy, Step, Timer};
//!
//! let mut policy = Policy::new(Bounds::default());
//! policy.read(b"GET / HTTP/1.1\r\n\r\n");
//! policy.request(false);
//! policy.drain();
//! assert_eq!(policy.step(), Step::Serve); // in flight: it completes
//! assert!(policy.response()); // and says close
//! policy.response_ended();
//! policy.half_closed(); // the engine has written the end
//! assert!(!policy.lingers()); // nothing more is coming
//! ```

use core::time::Duration;

/// How long a draining connection is waited for, state by state. Zero is allowed: it means "not at all".
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use ebbtide::connection::Bounds;
///
/// let bounds = Bounds { idle: Duration::ZERO, ..Bounds::default() };
/// assert_eq!(bounds.silent, Duration::from_millis(150));
/// # assert_eq!(bounds.idle, Duration::ZERO);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Grace for the first byte of a connection. 150 ms. (Go holds the drain 5 s: golang/go#59037.)
    pub silent: Duration,
    /// Grace for a request already on the wire to an idle connection. 100 ms. (hyperium/hyper#3792.)
    pub idle: Duration,
    /// For the rest of a request head, counted from the drain or from the head's first byte. 5 s.
    pub head: Duration,
    /// For the rest of an HTTP/2 preface. 5 s. (hyperium/hyper#4170.)
    pub preface: Duration,
    /// For the answer to the PING between the two GOAWAYs (RFC 9113, section 6.8), where no stream is open. 5 s.
    pub goaway: Duration,
    /// For a client to take some of what is written to it. 5 s.
    pub stall: Duration,
    /// For reading and dropping what a client still sends after our end was written (RFC 9112, section 9.6). 3 s.
    pub linger: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            silent: Duration::from_millis(150),
            idle: Duration::from_millis(100),
            head: Duration::from_secs(5),
            preface: Duration::from_secs(5),
            goaway: Duration::from_secs(5),
            stall: Duration::from_secs(5),
            linger: Duration::from_secs(3),
        }
    }
}

/// What to do with a connection now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Go on.
    Serve,
    /// Ask the protocol engine to end after what is in flight, then tell [`Policy::finishing`], and go on.
    Finish,
    /// Let go of it.
    Close,
}

/// The two clocks a connection can need at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// Runs from the moment a state was entered.
    State,
    /// Starts anew whenever bytes move.
    Progress,
}

/// A timer to keep: tell [`Policy::expired`] when `after` has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// How long from now.
    pub after: Duration,
    /// A wait of another epoch is another wait: start its timer anew.
    pub epoch: u64,
}

/// Where one connection stands, and what is to be done with it.
#[derive(Clone, Debug)]
pub struct Policy {
    bounds: Bounds,
    stage: Stage,
    protocol: Protocol,
    end: End,
    in_flight: usize,
    /// The head of the response in flight is written, without `Connection: close`.
    kept_alive: bool,
    /// The last write was not taken.
    blocked: bool,
    /// The last request had a body, of which some may still be on its way.
    had_body: bool,
    balance: Balance,
    state_epoch: u64,
    progress_epoch: u64,
}

/// Whether the connection is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Open,
    Draining,
    /// Draining, and the engine was asked to finish.
    Finishing,
}

/// Bytes written less bytes read. Answers to control frames are no larger than the frames, so a client that only
/// sends PINGs does not raise it, and one that takes a response does.
#[derive(Clone, Copy, Debug, Default)]
struct Balance {
    now: i64,
    highest: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// So many bytes have come, all as in the HTTP/2 preface. None: silent.
    Preface(usize),
    /// Part of a request head.
    Head,
    Active,
    Idle,
    /// Nothing is in flight and nothing more will be served: the engine writes its end.
    Ending,
    Upgraded,
    /// Our end is written. `heard`: something came since.
    Lingering {
        heard: bool,
    },
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Http1,
    Http2,
}

/// RFC 9113, section 3.4.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// An HTTP/2 client ends the connection itself once it has read our GOAWAY; this is for the frames that cross it
/// (golang/go#18701), and short because a client that has nothing to say need not be waited for.
const HTTP2_QUIET: Duration = Duration::from_millis(20);

impl Policy {
    /// A connection that was just accepted.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            stage: Stage::Preface(0),
            protocol: Protocol::Http1,
            end: End::Open,
            in_flight: 0,
            kept_alive: false,
            blocked: false,
            had_body: false,
            balance: Balance::default(),
            state_epoch: 0,
            progress_epoch: 0,
        }
    }

    /// The drain has begun.
    pub fn drain(&mut self) {
        if self.end == End::Open {
            self.end = End::Draining;
            // What was waited for without a bound until now has one from now on.
            self.state_epoch += 1;
            self.progress_epoch += 1;
        }
    }

    /// These bytes came from the client.
    pub fn read(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.balance.read(bytes.len());
        match self.stage {
            Stage::Preface(before) => {
                let expected = &PREFACE[before..];
                let common = expected.len().min(bytes.len());
                if expected[..common] != bytes[..common] {
                    self.enter(Stage::Head);
                } else if common == expected.len() {
                    self.protocol = Protocol::Http2;
                    self.enter(Stage::Idle);
                } else if before == 0 {
                    self.enter(Stage::Preface(common));
                } else {
                    // The bound of a preface is not extended by another byte of it.
                    self.stage = Stage::Preface(before + common);
                }
            }
            Stage::Idle if self.protocol == Protocol::Http1 => self.enter(Stage::Head),
            Stage::Lingering { .. } => {
                self.stage = Stage::Lingering { heard: true };
                self.progress_epoch += 1;
            }
            // A client that takes nothing is not waited for longer because it sends.
            Stage::Ending if !self.blocked => self.progress_epoch += 1,
            Stage::Ending | Stage::Head | Stage::Active | Stage::Idle | Stage::Upgraded | Stage::Closed => {}
        }
    }

    /// Whether [`read`](Self::read) has to be told. In the other states an adapter may read without looking.
    #[must_use]
    pub fn listens(&self) -> bool {
        !matches!(self.stage, Stage::Head | Stage::Active | Stage::Upgraded | Stage::Closed)
    }

    /// The client took so many of the bytes that were to be written.
    pub fn wrote(&mut self, bytes: usize) {
        self.blocked = false;
        if self.balance.wrote(bytes) || !self.answers_only() {
            self.progress_epoch += 1;
        }
    }

    /// The client takes nothing at present.
    pub fn blocked(&mut self) {
        if !self.blocked && !self.answers_only() {
            self.progress_epoch += 1;
        }
        self.blocked = true;
    }

    /// The head of a request is complete.
    pub fn request(&mut self, has_body: bool) {
        self.in_flight += 1;
        self.had_body = has_body;
        self.kept_alive = false;
        self.enter(Stage::Active);
    }

    /// The head of a response is about to be written. Returns whether it is to say `Connection: close`.
    #[must_use = "the response is to say `Connection: close` where this is true"]
    pub fn response(&mut self) -> bool {
        let close = self.end != End::Open && self.protocol == Protocol::Http1;
        self.kept_alive = !close;
        close
    }

    /// A response ended: its last byte was handed to the engine, or it will never come.
    pub fn response_ended(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if self.in_flight > 0 || self.stage != Stage::Active {
            return;
        }
        let goes_on = self.protocol == Protocol::Http2 || (self.kept_alive && self.end != End::Finishing);
        self.enter(if goes_on { Stage::Idle } else { Stage::Ending });
    }

    /// The connection (HTTP/1), or the stream of the response at hand (HTTP/2), is no longer HTTP (RFC 9110,
    /// sections 7.8 and 9.3.6): its handler has it.
    pub fn upgraded(&mut self) {
        match self.protocol {
            Protocol::Http1 => self.enter(Stage::Upgraded),
            // In flight for as long as the connection: only the engine knows when such a stream ends.
            Protocol::Http2 => self.in_flight += 1,
        }
    }

    /// The engine was asked to finish, as [`Step::Finish`] said.
    pub fn finishing(&mut self) {
        self.end = End::Finishing;
        self.progress_epoch += 1;
        if self.protocol == Protocol::Http1 && self.in_flight == 0 {
            self.enter(Stage::Ending);
        }
    }

    /// Our end of the connection is written. Read on while it [`lingers`](Self::lingers).
    pub fn half_closed(&mut self) {
        if !matches!(self.stage, Stage::Upgraded | Stage::Lingering { .. } | Stage::Closed) {
            self.enter(Stage::Lingering { heard: false });
        }
    }

    /// Whether to wait for more from the client when, after our end was written, nothing is there to be read.
    #[must_use]
    pub fn lingers(&self) -> bool {
        match self.stage {
            Stage::Lingering { heard } => heard || self.had_body || self.protocol == Protocol::Http2,
            _ => false,
        }
    }

    /// A [`wait`](Self::wait) is over.
    pub fn expired(&mut self, timer: Timer) {
        let idle = self.stage == Stage::Idle && self.protocol == Protocol::Http1;
        // Idle is the one state in which the engine still has something to do: to write its end.
        self.enter(if timer == Timer::State && idle { Stage::Ending } else { Stage::Closed });
    }

    /// What to do now.
    #[must_use]
    pub fn step(&self) -> Step {
        let finish = match (self.stage, self.protocol) {
            (Stage::Closed, _) => return Step::Close,
            (Stage::Ending, _) | (Stage::Active | Stage::Idle, Protocol::Http2) => true,
            // While a response's head is to be written, it is the head that says close. Engines would say it on
            // a `101 Switching Protocols` too.
            (Stage::Active, Protocol::Http1) => self.kept_alive,
            _ => false,
        };
        if finish && self.end == End::Draining { Step::Finish } else { Step::Serve }
    }

    /// The timer to keep, if any.
    #[must_use]
    pub fn wait(&self, timer: Timer) -> Option<Wait> {
        let lingering = matches!(self.stage, Stage::Lingering { .. });
        if self.end == End::Open && !lingering {
            return None;
        }
        let after = match timer {
            Timer::State => match (self.stage, self.protocol) {
                (Stage::Preface(0), _) => self.bounds.silent,
                (Stage::Preface(_), _) => self.bounds.preface,
                (Stage::Head, _) => self.bounds.head,
                (Stage::Idle, Protocol::Http1) => self.bounds.idle,
                (Stage::Lingering { .. }, _) => self.bounds.linger,
                _ => return None,
            },
            Timer::Progress => match (self.stage, self.protocol) {
                (Stage::Upgraded | Stage::Closed, _) => return None,
                (Stage::Lingering { .. }, Protocol::Http1) => self.bounds.idle,
                (Stage::Lingering { .. }, Protocol::Http2) => HTTP2_QUIET.min(self.bounds.idle),
                (Stage::Ending, _) => self.bounds.stall,
                // Nothing is in flight, but the last of a response may still be: so not from the state's entry.
                (Stage::Idle, Protocol::Http2) => self.bounds.goaway,
                _ if self.blocked => self.bounds.stall,
                _ => return None,
            },
        };
        let epoch = match timer {
            Timer::State => self.state_epoch,
            Timer::Progress => self.progress_epoch,
        };
        Some(Wait { after, epoch })
    }

    /// No stream is open, so what is written answers control frames, or is the last of a response.
    fn answers_only(&self) -> bool {
        self.protocol == Protocol::Http2 && self.stage == Stage::Idle
    }

    fn enter(&mut self, stage: Stage) {
        if self.stage != Stage::Closed {
            self.stage = stage;
            self.balance = Balance::default();
            self.state_epoch += 1;
            self.progress_epoch += 1;
        }
    }
}

impl Balance {
    fn read(&mut self, bytes: usize) {
        self.now -= i64::try_from(bytes).unwrap_or(i64::MAX / 2);
    }

    /// Returns whether it is higher than ever.
    fn wrote(&mut self, bytes: usize) -> bool {
        self.now += i64::try_from(bytes).unwrap_or(i64::MAX / 2);
        let rises = self.now > self.highest;
        self.highest = self.highest.max(self.now);
        rises
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draining(events: impl FnOnce(&mut Policy)) -> Policy {
        let mut policy = Policy::new(Bounds::default());
        events(&mut policy);
        policy.drain();
        policy
    }

    fn bound(policy: &Policy, timer: Timer) -> Option<Duration> {
        policy.wait(timer).map(|wait| wait.after)
    }

    fn served(policy: &mut Policy) {
        policy.read(b"GET / HTTP/1.1\r\n\r\n");
        policy.request(false);
        let _ = policy.response();
        policy.response_ended();
    }

    #[test]
    fn nothing_is_bounded_before_the_drain() {
        let mut policy = Policy::new(Bounds::default());
        for timer in [Timer::State, Timer::Progress] {
            assert_eq!(policy.wait(timer), None);
        }
        policy.read(b"GET /");
        policy.blocked();
        assert_eq!((policy.wait(Timer::State), policy.wait(Timer::Progress)), (None, None));
        assert_eq!(policy.step(), Step::Serve);
    }

    #[test]
    fn a_silent_connection_has_a_short_grace() {
        let mut policy = draining(|_| {});
        assert_eq!(bound(&policy, Timer::State), Some(Bounds::default().silent));
        policy.expired(Timer::State);
        assert_eq!(policy.step(), Step::Close);
    }

    #[test]
    fn half_a_head_is_waited_for_and_its_bound_is_not_extended_by_more_of_it() {
        let mut policy = draining(|it| it.read(b"GET / HTTP/1.1\r\nHo"));
        let wait = policy.wait(Timer::State);
        assert_eq!(wait.map(|it| it.after), Some(Bounds::default().head));
        policy.read(b"st: x");
        assert_eq!(policy.wait(Timer::State), wait);
        policy.expired(Timer::State);
        assert_eq!(policy.step(), Step::Close);
    }

    #[test]
    fn an_idle_connection_serves_what_was_on_the_wire() {
        let mut policy = draining(served);
        assert_eq!(bound(&policy, Timer::State), Some(Bounds::default().idle));
        policy.read(b"GET / HTTP/1.1\r\n\r\n");
        policy.request(false);
        assert_eq!(policy.wait(Timer::State), None, "an active request has no bound");
        assert!(policy.response(), "it says close");
    }

    #[test]
    fn an_idle_connection_is_finished_after_its_grace() {
        let mut policy = draining(served);
        policy.expired(Timer::State);
        assert_eq!(policy.step(), Step::Finish);
        policy.finishing();
        assert_eq!(policy.step(), Step::Serve);
        assert_eq!(bound(&policy, Timer::Progress), Some(Bounds::default().stall), "and has a bound still");
    }

    #[test]
    fn a_response_begun_before_the_drain_is_the_last_one() {
        let mut policy = draining(|it| {
            it.read(b"GET / HTTP/1.1\r\n\r\n");
            it.request(false);
            assert!(!it.response());
        });
        assert_eq!(policy.step(), Step::Finish);
        policy.finishing();
        policy.response_ended();
        assert_eq!(policy.step(), Step::Serve);
        assert_eq!(policy.wait(Timer::State), None, "the engine ends it at once");
    }

    #[test]
    fn an_engine_is_not_told_to_finish_before_the_head_of_the_response() {
        let policy = draining(|it| {
            it.read(b"GET / HTTP/1.1\r\n\r\n");
            it.request(false);
        });
        assert_eq!(policy.step(), Step::Serve);
    }

    #[test]
    fn http2_is_told_at_once_and_its_ping_is_bounded_only_without_streams() {
        let mut policy = draining(|it| {
            it.read(&PREFACE[..10]);
            it.read(&PREFACE[10..]);
            it.request(false);
        });
        assert_eq!(policy.step(), Step::Finish);
        policy.finishing();
        assert!(!policy.response(), "HTTP/2 has no Connection header");
        assert_eq!(policy.wait(Timer::State), None);
        assert_eq!(policy.wait(Timer::Progress), None);
        policy.response_ended();
        assert_eq!(bound(&policy, Timer::Progress), Some(Bounds::default().goaway));
    }

    #[test]
    fn http2_is_not_cut_while_it_takes_a_response_and_not_held_by_pings() {
        let mut policy = draining(|it| it.read(PREFACE));
        policy.finishing();
        let wait = policy.wait(Timer::Progress);
        for _ in 0..100 {
            policy.read(&[0; 17]);
            policy.wrote(17);
        }
        assert_eq!(policy.wait(Timer::Progress), wait, "a PING and its answer are no progress");
        policy.read(&[0; 13]);
        policy.wrote(16_384);
        assert_ne!(policy.wait(Timer::Progress), wait, "a WINDOW_UPDATE and a DATA frame are");
    }

    #[test]
    fn half_a_preface_is_bounded() {
        let mut policy = draining(|it| it.read(&PREFACE[..3]));
        assert_eq!(bound(&policy, Timer::State), Some(Bounds::default().preface));
        policy.read(b"T / HTTP/1.1\r\n");
        assert_eq!(bound(&policy, Timer::State), Some(Bounds::default().head), "it was another method");
    }

    #[test]
    fn a_client_that_takes_nothing_is_bounded_and_one_that_takes_something_is_not_cut() {
        let mut policy = draining(|it| {
            it.read(b"GET / HTTP/1.1\r\n\r\n");
            it.request(false);
            it.blocked();
        });
        let first = policy.wait(Timer::Progress);
        assert_eq!(first.map(|it| it.after), Some(Bounds::default().stall));
        policy.wrote(1);
        assert_eq!(policy.wait(Timer::Progress), None);
        policy.blocked();
        assert_ne!(policy.wait(Timer::Progress), first, "progress starts the wait anew");
        policy.expired(Timer::Progress);
        assert_eq!(policy.step(), Step::Close);
    }

    #[test]
    fn a_client_that_still_sends_is_lingered_for_and_one_that_is_done_is_not() {
        let mut quiet = draining(served);
        quiet.half_closed();
        assert!(!quiet.lingers());

        quiet.read(b"more");
        assert!(quiet.lingers());
        assert_eq!(bound(&quiet, Timer::State), Some(Bounds::default().linger));
        quiet.expired(Timer::Progress);
        assert_eq!(quiet.step(), Step::Close);
    }

    #[test]
    fn an_upgraded_connection_is_its_handlers() {
        let mut policy = draining(|it| {
            it.read(b"GET /ws HTTP/1.1\r\n\r\n");
            it.request(false);
            it.upgraded();
            it.response_ended();
        });
        policy.blocked();
        policy.half_closed();
        assert_eq!((policy.step(), policy.lingers()), (Step::Serve, false));
        assert_eq!((policy.wait(Timer::State), policy.wait(Timer::Progress)), (None, None));
    }
}
