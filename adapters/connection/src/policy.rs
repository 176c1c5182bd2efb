//! The state machine of one HTTP connection: how it ends. Every HTTP adapter follows it.
//!
//! It is sans-I/O: it knows no socket, no clock and no HTTP library. The adapter reports events to it
//! ([`on_read`](Policy::on_read), [`on_request`](Policy::on_request), [`on_drain`](Policy::on_drain) and so on). It asks what
//! to do ([`step`](Policy::step)) and which timers to keep ([`wait`](Policy::wait)).
//!
//! Until the drain begins two things are bounded. A connection without a request drains by itself, after
//! [`Bounds::request`] or [`Bounds::keep_alive`]. One whose client does not read a response, or does not send a body, is
//! closed after [`Bounds::progress`].
//!
//! | the connection, when the drain begins | what happens |
//! |---|---|
//! | silent: no byte yet | a short grace, then closed |
//! | part of what precedes HTTP, such as a TLS handshake | waited for as a head is, then as a silent connection |
//! | part of a request head, first or later | served when complete, bounded |
//! | idle, kept alive | a short grace for a request already on the wire; then closed |
//! | request in flight | completes; says `Connection: close` if its head is still to be written, and otherwise is idle at its end |
//! | client still sends while we close, or has sent something after the last request | half-closed, then input is read and dropped, bounded |
//! | HTTP/2 | told by GOAWAY at once; streams complete; its preface and its last PING are bounded |
//! | upgraded | left to its handler |
//! | a client that does not read | bounded, in every state |
//! | a client that has closed its direction after its request | answered; closed if it turns out to have disconnected |
//! | idle or silent, and a successor takes over ([`on_leaving`](Policy::on_leaving)) | given up, unread and open, for the successor; one in flight follows after its response |
//!
//! A request that is being handled has no bound but the drain's deadline. The exception is a request body that does not
//! come: an engine that waits for one reports it by [`on_body_awaited`](Policy::on_body_awaited).
//!
//! # Examples
//!
//! ```
//! use ebbtide_connection::Bounds;
//! use ebbtide_connection::policy::{Policy, Step, Timer};
//!
//! let mut policy = Policy::new(Bounds::default());
//! policy.on_read(b"GET / HTTP/1.1\r\n\r\n");
//! policy.on_request(false);
//! policy.on_drain();
//! assert_eq!(policy.step(), Step::Serve); // in flight: it completes
//! assert!(policy.on_response(false)); // and says close
//! policy.on_response_end();
//! policy.on_half_closed(); // the engine has written the end
//! assert!(!policy.lingers()); // nothing more is coming
//! ```

use crate::bounds::{Bounds, Packed};
use crate::state::ConnectionState;

mod timers;

#[cfg(test)]
mod tests;

use timers::Clock;
pub use timers::{Timer, Wait};

/// What an adapter must do with a connection now. Exhaustive, since an adapter that ignores a variant would be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Go on serving.
    Serve,
    /// Ask the protocol engine to end after the requests in flight, call [`Policy::on_finish`], and go on.
    Finish,
    /// Drop the connection.
    Close,
}

/// Which events must be reported to a [`Policy`] at present, and whether it must be asked for steps.
///
/// An adapter may ignore this and report everything. It saves a lock for each read and write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is independent of the others")]
#[non_exhaustive]
pub struct Interest {
    /// Report [`Policy::on_read`].
    pub reads: bool,
    /// Report [`Policy::on_written`]. ([`Policy::on_write_blocked`] is always reported.)
    pub writes: bool,
    /// Report [`Policy::on_read`], [`Policy::on_request`], [`Policy::on_response`] and [`Policy::on_response_end`] when they
    /// happen. If this is false, these reports may be deferred until the next call of any other method, with
    /// [`Policy::on_more`] in the place of `on_read`. Only the last request has to be reported then: after a response, a
    /// kept-alive connection is where it was before the request.
    pub exchanges: bool,
    /// Ask [`Policy::step`] and [`Policy::wait`] after each poll. If this is false, ask once at the beginning, and when
    /// [`Timer::Request`] or [`Timer::Age`] is over.
    pub steps: bool,
}

/// The state of one connection, and the rules by which it ends. See the [module](self).
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is independent of the others")]
pub struct Policy {
    bounds: Packed,
    stage: Stage,
    state: ConnectionState,
    protocol: Protocol,
    end: End,
    in_flight: usize,
    /// How many of them wait for the application, and not for the client.
    owing: usize,
    answer: Answer,
    /// The socket did not accept the last write.
    blocked: bool,
    body: Body,
    /// If the client has closed its direction after its request: how often was checked whether it has disconnected.
    looks: Option<u32>,
    /// The client has sent a request of HTTP/1.0.
    is_http10: bool,
    /// The last request had a body, and some of it may still be on its way.
    had_body: bool,
    balance: Balance,
    request_epoch: u64,
    state_clock: Clock,
    progress_clock: Clock,
    /// The adapter can ask the system what the client has not acknowledged.
    asks: bool,
    unacknowledged: Option<usize>,
    /// A request ended while the connection drained, so its response may still be on its way.
    ended_late: bool,
    cut: bool,
    /// A successor takes over what is between two requests.
    leaving: bool,
    /// Something else than HTTP is on the wire, which a successor does not know the state of.
    is_wrapped: bool,
}

/// The response to the last request of HTTP/1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// There was no request, or the connection is not HTTP any more.
    None,
    /// Its head is still to be written.
    Owed,
    /// Its head was written, and it is the last one of the connection.
    Last,
    /// Its head was written, without `Connection: close`.
    KeptAlive,
}

/// The body of a request that the engine waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    NotAwaited,
    Awaited,
    /// Awaited for half of its bound. From now on its bytes are counted. `awaited`: the engine has polled for more since.
    Late {
        awaited: bool,
        bytes: usize,
    },
}

/// Whether the connection is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Open,
    Draining,
    /// Draining, and the engine was asked to finish.
    Finishing,
    /// The time for the answer to our PING is over. (If the answer came, the engine itself accepts no new stream.)
    Refusing,
}

/// Bytes written minus bytes read. Answers to control frames are no larger than the frames. So a client that only sends
/// PINGs does not raise it, and one that reads a response does.
#[derive(Clone, Copy, Debug, Default)]
struct Balance {
    now: i64,
    highest: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// This many bytes have come, a prefix of the HTTP/2 preface. 0: the connection is silent.
    Preface(usize),
    /// Part of a handshake before HTTP has come.
    Handshake,
    /// Part of a request head has come.
    Head,
    Active,
    Idle,
    /// Nothing is in flight and nothing more will be served: the engine writes its end.
    Ending,
    Upgraded,
    /// Our direction is closed. `heard`: bytes have come since.
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

/// How many bytes of a body must come in half of its bound.
const LEAST: usize = 256;

impl Policy {
    /// The policy of a connection that was just accepted.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds: bounds.into(),
            stage: Stage::Preface(0),
            state: ConnectionState::New,
            protocol: Protocol::Http1,
            end: End::Open,
            in_flight: 0,
            owing: 0,
            answer: Answer::None,
            blocked: false,
            body: Body::NotAwaited,
            looks: None,
            is_http10: false,
            had_body: false,
            balance: Balance::default(),
            request_epoch: 0,
            state_clock: Clock::default(),
            progress_clock: Clock::default(),
            asks: false,
            unacknowledged: None,
            ended_late: false,
            cut: false,
            leaving: false,
            is_wrapped: false,
        }
    }

    /// Makes use of TCP acknowledgements, if the adapter can ask the system how many written bytes are unacknowledged. See
    /// [`needs_unacknowledged`](Self::needs_unacknowledged).
    ///
    /// Writes alone do not tell whether the client reads. On Linux, a full socket is writable again only once a third of its
    /// send buffer is free. That may be more than a slow client reads within a bound.
    #[must_use]
    pub fn with_acknowledgements(mut self) -> Self {
        self.asks = true;
        self
    }
}

/// Events, which the adapter reports.
impl Policy {
    /// The drain has begun.
    pub fn on_drain(&mut self) {
        if self.end == End::Open {
            self.end = End::Draining;
            // Not every byte was reported before.
            self.balance = Balance::default();
            // The bounds of a drain count from its beginning.
            self.state_clock.restart();
            self.progress_clock.restart();
        }
    }

    /// The connection's turn in a lame duck time has come: the drain is about to begin.
    ///
    /// Report it just before the [`on_response`](Self::on_response) that should say `Connection: close`. It changes nothing on
    /// HTTP/2.
    pub fn on_lame_duck(&mut self) {
        if self.protocol == Protocol::Http1 {
            self.on_drain();
        }
    }

    /// A successor takes over connections, or does so no longer. It has an effect only while the connection drains.
    ///
    /// Then a response does not say `Connection: close`, and a connection that [`may_leave`](Self::may_leave) has no bound. If
    /// the successor fails, report the opposite: the bounds count from then.
    pub fn on_leaving(&mut self, is_leaving: bool) {
        if self.may_leave() && !is_leaving {
            self.state_clock.restart();
        }
        self.leaving = is_leaving;
    }

    /// The connection leaves: nothing more is read from it or written to it, and its stream goes to the successor.
    ///
    /// Call it only if a read has just found nothing, so that no byte is lost. Returns `false` if it must stay.
    pub fn on_leave(&mut self) -> bool {
        let leaves = self.may_leave();
        if leaves {
            self.enter(Stage::Closed);
        }
        leaves
    }

    /// These bytes came from the client.
    pub fn on_read(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        // These bytes are HTTP, so a handshake is over.
        self.on_handshake_end();
        self.balance.read(bytes.len());
        self.came(bytes.len());
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
            _ => self.on_more(),
        }
    }

    /// More bytes have come from the client, like [`on_read`](Self::on_read), if the protocol is known already.
    pub fn on_more(&mut self) {
        match self.stage {
            Stage::Idle if self.protocol == Protocol::Http1 => self.enter(Stage::Head),
            Stage::Lingering { .. } => {
                self.stage = Stage::Lingering { heard: true };
                self.progress_clock.restart();
            }
            // Elsewhere, input changes nothing.
            Stage::Preface(_)
            | Stage::Handshake
            | Stage::Ending
            | Stage::Head
            | Stage::Active
            | Stage::Idle
            | Stage::Upgraded
            | Stage::Closed => {}
        }
    }

    /// The engine has polled for more of the request's body (HTTP/1), and nothing was there. Report each such poll: the
    /// engine may stop polling.
    pub fn on_body_awaited(&mut self) {
        match &mut self.body {
            Body::NotAwaited if self.stage == Stage::Active && self.had_body => {
                self.body = Body::Awaited;
                self.progress_clock.restart();
            }
            Body::Late { awaited, .. } => *awaited = true,
            Body::NotAwaited | Body::Awaited => {}
        }
    }

    /// The client has closed its direction (a FIN) while its complete request is being served (HTTP/1).
    ///
    /// It may be waiting for the response, or have disconnected: the two look alike until something is written. It may be
    /// reported more than once.
    ///
    /// Returns whether to write an interim response, such as `100 Continue`, which every client of HTTP/1.1 accepts
    /// (RFC 9110, section 15.2). A client that has disconnected answers it by a reset.
    pub fn on_client_end(&mut self) -> bool {
        if self.stage != Stage::Active || self.looks.is_some() {
            return false;
        }
        self.looks = Some(0);
        self.state_clock.restart();
        self.answer == Answer::Owed && !self.blocked && !self.is_http10
    }

    /// The request is one of HTTP/1.0, which has no interim responses.
    pub fn on_http10(&mut self) {
        self.is_http10 = true;
    }

    /// Bytes of a handshake before HTTP have come, such as TLS or a PROXY header. [`on_read`](Self::on_read) is for the bytes
    /// after it.
    pub fn on_handshake(&mut self) {
        self.is_wrapped = true;
        if self.stage == Stage::Preface(0) {
            self.enter(Stage::Handshake);
        }
    }

    /// The handshake before HTTP is complete. From here on the connection is like one that was just accepted.
    pub fn on_handshake_end(&mut self) {
        if self.stage == Stage::Handshake {
            self.enter(Stage::Preface(0));
        }
    }

    /// The socket accepted this many bytes of a write.
    pub fn on_written(&mut self, bytes: usize) {
        for clock in [&mut self.state_clock, &mut self.progress_clock] {
            clock.written = clock.written.saturating_add(bytes);
        }
        if self.blocked && (self.stage, self.protocol) == (Stage::Idle, Protocol::Http1) {
            self.state_clock.restart();
        }
        self.blocked = false;
        if let Some(looks) = &mut self.looks {
            *looks = (*looks).min(1);
        }
        if self.balance.wrote(bytes) || !self.answers_only() {
            self.progress_clock.restart();
        }
    }

    /// The socket accepted no byte of a write: its buffer is full.
    pub fn on_write_blocked(&mut self) {
        if !self.blocked && !self.answers_only() {
            self.progress_clock.restart();
        }
        self.blocked = true;
    }

    /// The head of a request is complete. Returns whether to serve it.
    ///
    /// It is `false` only on HTTP/2, for streams that are opened after the bound of an unanswered PING. Such a client could
    /// otherwise open one stream after the other for ever.
    pub fn on_request(&mut self, has_body: bool) -> bool {
        if self.end == End::Refusing {
            return false;
        }
        self.in_flight += 1;
        self.owing += 1;
        self.had_body = has_body;
        self.answer = Answer::Owed;
        self.body = Body::NotAwaited;
        self.request_epoch += 1;
        self.enter(Stage::Active);
        true
    }

    /// The head of a response is about to be written. `last`: the request or the response itself says `Connection: close`.
    ///
    /// Returns whether the policy wants it to say `Connection: close`.
    #[must_use = "the response must say `Connection: close` if this is true"]
    pub fn on_response(&mut self, last: bool) -> bool {
        let close = self.end != End::Open && self.protocol == Protocol::Http1 && !self.leaving;
        self.answer = if close || last { Answer::Last } else { Answer::KeptAlive };
        self.on_response_resumes();
        close
    }

    /// The application has no more bytes of a response body yet.
    pub fn on_response_waits(&mut self) {
        self.owing += 1;
    }

    /// The application goes on with a response: the counterpart of [`on_response_waits`](Self::on_response_waits) and of
    /// [`on_request`](Self::on_request).
    ///
    /// It matters on HTTP/2 only. There a client can stop reading by leaving its flow-control window closed (RFC 9113,
    /// section 5.2), which does not show in the connection's writes.
    pub fn on_response_resumes(&mut self) {
        self.owing = self.owing.saturating_sub(1);
        if self.owing == 0 {
            self.balance = Balance::default();
            self.progress_clock.restart();
        }
    }

    /// A response ended: its last byte was given to the engine, or it was cut.
    pub fn on_response_end(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.ended_late |= self.end != End::Open;
        if self.in_flight > 0 || self.stage != Stage::Active {
            return;
        }
        self.body = Body::NotAwaited;
        // The wait for the next request begins here.
        self.request_epoch += 1;
        let kept_alive = self.answer == Answer::KeptAlive && self.end != End::Finishing;
        let goes_on = self.protocol == Protocol::Http2 || kept_alive;
        self.enter(if goes_on { Stage::Idle } else { Stage::Ending });
    }

    /// The connection (HTTP/1), or the stream of this response (HTTP/2), was upgraded (RFC 9110, sections 7.8 and 9.3.6): its
    /// handler has it.
    ///
    /// An upgraded stream is in flight beside its response. When it ends, report
    /// [`on_response_resumes`](Self::on_response_resumes) and [`on_response_end`](Self::on_response_end) once more.
    pub fn on_upgrade(&mut self) {
        self.answer = Answer::None;
        match self.protocol {
            Protocol::Http1 => self.enter(Stage::Upgraded),
            // Counted beside its response, since the stream goes on when that has ended.
            Protocol::Http2 => {
                self.in_flight += 1;
                self.owing += 1;
            }
        }
    }

    /// The engine was asked to finish, as [`Step::Finish`] said.
    pub fn on_finish(&mut self) {
        self.end = End::Finishing;
        self.state_clock.restart();
        self.progress_clock.restart();
        if self.protocol == Protocol::Http1 && self.in_flight == 0 {
            self.enter(Stage::Ending);
        }
    }

    /// Our direction of the connection is closed. Keep reading while it [`lingers`](Self::lingers).
    ///
    /// If bytes had come after the last request, report [`on_more`](Self::on_more) now. More of them may be on their way, and
    /// would be answered by a reset.
    pub fn on_half_closed(&mut self) {
        if !matches!(self.stage, Stage::Upgraded | Stage::Lingering { .. } | Stage::Closed) {
            self.enter(Stage::Lingering { heard: false });
        }
    }

    /// Counts bytes of a body that is late.
    fn came(&mut self, more: usize) {
        let Body::Late { bytes, .. } = &mut self.body else { return };
        *bytes += more;
        if *bytes >= LEAST {
            self.body = Body::NotAwaited;
            // If the client does not read either, that bound goes on.
            if !self.blocked {
                self.progress_clock.restart();
            }
        }
    }

    /// Whether the engine has all of every response, so that writes may be no more than answers to control frames.
    fn answers_only(&self) -> bool {
        self.protocol == Protocol::Http2 && (self.stage == Stage::Idle || self.owing == 0)
    }

    fn enter(&mut self, stage: Stage) {
        if self.stage != Stage::Closed {
            self.stage = stage;
            self.state = match stage {
                Stage::Preface(_) | Stage::Handshake => ConnectionState::New,
                Stage::Head | Stage::Active => ConnectionState::Active,
                Stage::Idle => ConnectionState::Idle,
                Stage::Upgraded => ConnectionState::Upgraded,
                // Until it is closed, the state stays what it was.
                Stage::Ending | Stage::Lingering { .. } | Stage::Closed => self.state,
            };
            self.balance = Balance::default();
            // The wait for the answer to a PING counts from the GOAWAY, whatever streams come and go meanwhile.
            if !(self.protocol == Protocol::Http2 && matches!(stage, Stage::Active | Stage::Idle)) {
                self.state_clock.restart();
            }
            self.progress_clock.restart();
        }
    }
}

/// Questions, which the adapter asks.
impl Policy {
    /// The state of the connection.
    #[must_use]
    pub fn state(&self) -> ConnectionState {
        self.state
    }

    /// What to do now.
    #[must_use]
    pub fn step(&self) -> Step {
        let finish = match (self.stage, self.protocol) {
            (Stage::Closed, _) => return Step::Close,
            // Not while a request of HTTP/1 is served. If the head of its response is still to be written, the head says
            // close. An engine that is asked to finish would say it on a `101 Switching Protocols`, too. If the head was
            // written without it, the client may send a next request, which such an engine would not read.
            (Stage::Ending, _) | (Stage::Active | Stage::Idle, Protocol::Http2) => true,
            _ => false,
        };
        if finish && self.end == End::Draining { Step::Finish } else { Step::Serve }
    }

    /// Which events must be reported. It changes only when an event is reported.
    #[must_use]
    pub fn interest(&self) -> Interest {
        let ends = self.end != End::Open;
        let is_idle = (self.stage, self.protocol) == (Stage::Idle, Protocol::Http1);
        let leaves = matches!(self.stage, Stage::Lingering { .. } | Stage::Closed);
        let is_late = matches!(self.body, Body::Late { .. });
        let is_taken_slowly = self.stage == Stage::Active && self.answers_only();
        let waits = self.blocked || is_taken_slowly || self.body != Body::NotAwaited || self.looks.is_some();
        let reads = match self.stage {
            // For the balance, or for the bytes of a late body.
            Stage::Active => is_late || is_taken_slowly,
            Stage::Head | Stage::Upgraded | Stage::Closed => false,
            // On HTTP/2 for the balance, which counts in a drain only.
            Stage::Idle => ends || self.protocol == Protocol::Http1,
            Stage::Preface(_) | Stage::Handshake | Stage::Ending | Stage::Lingering { .. } => true,
        };
        Interest { reads, writes: ends || waits, exchanges: ends || waits || !is_idle, steps: ends || leaves || waits }
    }

    /// Whether a request of HTTP/1 is in flight.
    #[must_use]
    pub fn is_serving(&self) -> bool {
        (self.stage, self.protocol) == (Stage::Active, Protocol::Http1)
    }

    /// Whether a head of HTTP/1 is being read or waited for.
    #[must_use]
    pub fn awaits_head(&self) -> bool {
        let is_between = matches!(self.stage, Stage::Preface(_) | Stage::Handshake | Stage::Head | Stage::Idle);
        is_between && self.protocol == Protocol::Http1
    }

    /// Whether the connection may leave for a successor: it is HTTP/1, and no byte of the next request has come. Nothing is owed
    /// to the client, and nothing was read or written that is not complete.
    #[must_use]
    pub fn may_leave(&self) -> bool {
        let is_between = matches!(self.stage, Stage::Preface(0) | Stage::Idle) && self.protocol == Protocol::Http1;
        let is_whole = !self.blocked && self.looks.is_none();
        self.leaving && self.end == End::Draining && is_between && is_whole && !self.is_wrapped
    }

    /// Whether the current request (HTTP/1) has no response yet and can be given one. An adapter may answer it with `503` if
    /// the drain is closed by force.
    #[must_use]
    pub fn owes_response(&self) -> bool {
        self.protocol == Protocol::Http1 && self.answer == Answer::Owed && !self.blocked
    }

    /// Whether to wait for more bytes of the client after our direction was closed, if there is nothing to read now.
    #[must_use]
    pub fn lingers(&self) -> bool {
        match self.stage {
            Stage::Lingering { heard } => heard || self.had_body || self.protocol == Protocol::Http2,
            _ => false,
        }
    }

    /// Whether a time limit closed the connection with a request in flight, or before the client had the whole response.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.cut
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
