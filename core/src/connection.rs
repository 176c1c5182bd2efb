//! What to do with one connection: the policy that every HTTP adapter follows.
//!
//! A pure state machine. The adapter tells it what happened ([`read`](Policy::read), [`request`](Policy::request),
//! [`drain`](Policy::drain) and so on), asks what to do ([`step`](Policy::step)) and which timers to keep
//! ([`wait`](Policy::wait)). It knows no socket, no clock and no HTTP library.
//!
//! Until the drain begins two things are bounded. A connection that asks for nothing drains by itself, after
//! [`Bounds::request`] or [`Bounds::keep_alive`]; one whose client neither takes nor sends what is due is closed after
//! [`Bounds::progress`].
//!
//! | the connection, when the drain begins | what happens |
//! |---|---|
//! | silent: no byte yet | a short grace, then closed |
//! | part of what precedes HTTP, such as a TLS handshake | waited for as a head is, then as a silent connection |
//! | part of a request head, first or later | served when complete, bounded |
//! | idle, kept alive | a short grace for a request already on the wire; then closed |
//! | request in flight | completes; says `Connection: close` if its head is still to be written, and else is idle at its end |
//! | client still sends while we close, or has sent something behind the last request | half-closed, then what comes is read and dropped, bounded |
//! | HTTP/2 | told by GOAWAY at once; streams complete; its preface and its last PING are bounded |
//! | upgraded | left to its handler |
//! | a client that takes nothing | bounded, in every state |
//! | a client that has ended its direction behind its request | answered; let go if it turns out to be gone |
//!
//! A request at work has no bound but the drain's own deadline, whatever its handler waits for, except for a body that does
//! not come: an engine that asks its connection for one says so by [`awaits_body`](Policy::awaits_body).
//!
//! # All bounds, and what adds up
//!
//! | bound | default | while it runs | while it drains |
//! |---|---|---|---|
//! | [`request`](Bounds::request) | 30 s | the first head, what precedes HTTP included; then the connection drains by itself, so half a head has [`head`](Bounds::head) besides: 35 s | |
//! | [`keep_alive`](Bounds::keep_alive) | 75 s, up to twice | the next head, from the end of the response before; HTTP/2 without a stream; then it drains by itself | |
//! | [`progress`](Bounds::progress) | 60 s, up to twice | a body that does not come, a response that is not taken | a body that does not come |
//! | [`age`](Bounds::age) | off | the connection; then it drains by itself | |
//! | [`silent`](Bounds::silent) | 150 ms | | no byte yet |
//! | [`idle`](Bounds::idle) | 100 ms | | kept alive, from when its client has the last response |
//! | [`head`](Bounds::head) | 5 s | | half a head, or half of what precedes HTTP; behind that a connection is silent: 5.15 s |
//! | [`preface`](Bounds::preface) | 5 s | | half of an HTTP/2 preface |
//! | [`goaway`](Bounds::goaway) | 5 s; 1 s if no stream was open | | the answer to our PING; if streams are open then, as long again behind the last of them: 10 s |
//! | [`stall`](Bounds::stall) | 5 s; 30 s if the system does not tell what was acknowledged | | a response that is not taken |
//! | [`linger`](Bounds::linger) | 3 s | a client that ended its direction and is written nothing | the same; and what it still sends behind our end |
//!
//! A bound that ends something which was in flight, or not all with its client, is told: [`Policy::is_cut`].
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
//! assert!(policy.response(false)); // and says close
//! policy.response_ended();
//! policy.half_closed(); // the engine has written the end
//! assert!(!policy.lingers()); // nothing more is coming
//! ```

use core::fmt;
use core::time::Duration;

/// How long a connection is waited for: for a [`request`](Self::request) at any time, and state by state once it drains.
/// Zero is allowed: it means "not at all".
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
    /// Before the drain: for the head of the first request, counted from the connection's beginning. 30 s: a client that has
    /// just connected has something to say. Then the connection drains by itself, as if the drain had begun for it alone:
    /// so a request that comes at the last moment is answered, and a head that has begun by then has
    /// [`head`](Self::head) besides, which makes 35 s. [`Duration::MAX`]: for ever.
    ///
    /// It is for half of an HTTP/2 preface too. A connection of HTTP/2 has [`keep_alive`](Self::keep_alive) from its preface on.
    pub request: Duration,
    /// Before the drain: for the head of the next request, counted from the request before. 75 s, and up to twice as long,
    /// since a timer is set for a connection and not for each of its requests. Then the same happens. Longer than what
    /// load balancers keep theirs for, which is 60 s in most: who ends it first is not surprised by the other's end, and
    /// one that is surprised in mid-request answers its own client with 502. (nginx has 75 s too.) A connection of HTTP/2 on
    /// which no stream is open for so long is told by GOAWAY; one whose client never sends its SETTINGS is one of those.
    pub keep_alive: Duration,
    /// For a client to take some of a response, or to send some of a body that its handler waits for. 60 s,
    /// and up to twice as long; then the connection is closed, and counts as cut. Of a body at least 256 bytes in half of that
    /// time, for one that comes byte by byte would never end. ([`Duration::MAX`]: for ever.) nginx has 60 s for each
    /// (`send_timeout`, `client_body_timeout`). A body on HTTP/2 has no such bound: streams that are silent for long are
    /// usual there.
    ///
    /// While it drains, a body has the same bound, and a response has [`stall`](Self::stall).
    pub progress: Duration,
    /// Before the drain: for the connection as a whole. After it, it drains by itself: its responses say
    /// `Connection: close`, or it is told by GOAWAY, and what is in flight completes. So clients come back through the load
    /// balancer, and a fleet that has grown gets its share of them. Off ([`Duration::MAX`]) unless it is set. Adapters vary it
    /// by up to a tenth for each connection, so that those that came together do not go together.
    pub age: Duration,
    /// Grace for the first byte of a connection. 150 ms. (Go holds the drain 5 s: golang/go#59037.)
    pub silent: Duration,
    /// Grace for a request already on the wire to an idle connection. 100 ms. (hyperium/hyper#3792.)
    pub idle: Duration,
    /// For the rest of a request head, counted from the drain or from the head's first byte; and for the rest of what
    /// precedes HTTP, such as a TLS handshake. 5 s.
    pub head: Duration,
    /// For the rest of an HTTP/2 preface. 5 s. (hyperium/hyper#4170.)
    pub preface: Duration,
    /// For the answer to the PING between the two GOAWAYs (RFC 9113, section 6.8), once what was written before it is with
    /// the client, where the system [tells](Policy::asks). 5 s. Without the answer no stream is served that is opened later,
    /// and the connection closes once none is open and so much time has passed again.
    ///
    /// At most 1 s for a connection that had no stream in the drain: then nobody waits for anything.
    pub goaway: Duration,
    /// For a client to take some of what is written to it. 5 s. A client has taken something if it was acknowledged: a
    /// download on a slow link is not cut, though its socket takes no more for longer than that. Where the system does not
    /// tell, it counts what the socket takes, and adapters wait for six times as long (30 s).
    pub stall: Duration,
    /// For reading and dropping what a client still sends after our end was written (RFC 9112, section 9.6). 3 s, and
    /// longer as long as the client takes what was written before, where the system tells: bytes that meet a closed socket
    /// are answered by a reset, which would destroy that.
    ///
    /// So long, too, before the drain and in it, a client is taken to be there that has ended its direction behind its
    /// request, while nothing of the response that it has begun to get is to be written: then nothing tells whether it is.
    pub linger: Duration,
}

impl Bounds {
    /// A draining connection is waited for while something is in flight, and for nothing else; one that does not drain,
    /// for ever.
    pub const NONE: Self = Self {
        request: Duration::MAX,
        keep_alive: Duration::MAX,
        progress: Duration::MAX,
        age: Duration::MAX,
        silent: Duration::ZERO,
        idle: Duration::ZERO,
        head: Duration::ZERO,
        preface: Duration::ZERO,
        goaway: Duration::ZERO,
        stall: Duration::ZERO,
        linger: Duration::ZERO,
    };
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            request: Duration::from_secs(30),
            keep_alive: Duration::from_secs(75),
            progress: Duration::from_secs(60),
            age: Duration::MAX,
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

/// How a connection stands, as its users see it. (Go calls it `ConnState`.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConnectionState {
    /// Accepted; nothing has been read that tells the protocol.
    New,
    /// A request is being read, or served.
    Active,
    /// Kept alive, between requests.
    Idle,
    /// No longer HTTP: its handler has it.
    Upgraded,
    /// Gone.
    Closed,
}

impl fmt::Display for ConnectionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::New => "new",
            Self::Active => "active",
            Self::Idle => "idle",
            Self::Upgraded => "upgraded",
            Self::Closed => "closed",
        })
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

/// The clocks a connection can need at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// Runs from the connection's beginning, and from every request on, until the drain begins. A timer of an earlier
    /// epoch may run out first: most requests come in time, and to start one anew for each of them costs more than they
    /// do.
    Request,
    /// Runs from the connection's beginning to that of its drain: [`Bounds::age`].
    Age,
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
    /// But only once that of the earlier one has run out: it may be some time longer, and to start a timer costs more than
    /// most waits do.
    pub is_lazy: bool,
}

/// What a [`Policy`] heeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a question of its own")]
pub struct Heeds {
    /// [`Policy::read`] is to be told.
    pub reads: bool,
    /// [`Policy::wrote`] is to be told. ([`Policy::blocked`] always is.)
    pub writes: bool,
    /// [`Policy::read`], [`Policy::request`], [`Policy::response`] and [`Policy::response_ended`] are to be told when
    /// they happen. Where not, they may be told later, before anything else is, and what they say of any request but the
    /// last need not be told at all: a connection comes back to where it was.
    pub requests: bool,
    /// [`Policy::step`] and [`Policy::wait`] are to be asked. If not, they are once at the beginning, and when the timer
    /// for a request, or that for the connection's age, is over.
    pub steps: bool,
}

/// Where one connection stands, and what is to be done with it.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a question of its own")]
pub struct Policy {
    bounds: Bounds,
    stage: Stage,
    state: ConnectionState,
    protocol: Protocol,
    end: End,
    in_flight: usize,
    /// How many of them wait for their application, and not for the client.
    owing: usize,
    answer: Answer,
    /// The last write was not taken.
    blocked: bool,
    body: Body,
    /// The client has ended its direction behind its request. So often it was looked whether it is gone.
    looks: Option<u32>,
    /// The last request had a body, of which some may still be on its way.
    had_body: bool,
    balance: Balance,
    request_epoch: u64,
    state_clock: Clock,
    progress_clock: Clock,
    /// The system can be asked what the client has not acknowledged.
    asks: bool,
    unacknowledged: Option<usize>,
    /// A request ended while the connection drained, so its response may still be on its way.
    ended_late: bool,
    cut: bool,
}

/// How far the last request of HTTP/1 is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// There was none, or it is not HTTP any more.
    None,
    /// The head of its response is still to be written.
    Owed,
    /// It was, and was the connection's last.
    Last,
    /// It was, without `Connection: close`.
    KeptAlive,
}

/// What is known of a body that the engine waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    NotAwaited,
    Awaited,
    /// For half of its bound. Only now are its bytes counted, and whether it is awaited still is to be told anew.
    Late {
        awaited: bool,
        bytes: usize,
    },
}

/// A wait of a connection, and what was asked of the system since it began.
#[derive(Clone, Copy, Debug, Default)]
struct Clock {
    epoch: u64,
    unacknowledged: Option<usize>,
    /// How long the client has acknowledged nothing.
    quiet: Duration,
    /// How many bytes were written since it began.
    written: usize,
    /// Whether all was acknowledged that was written before it began.
    emptied: bool,
}

/// What the system is asked before a bound counts as over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asks {
    /// Nothing: it is for the client to send.
    Nothing,
    /// Whether the client acknowledged anything meanwhile, halfway and at the end: a first answer says little.
    Halfway,
    /// Whether all is acknowledged, from which on the bound counts.
    AtTheEnd,
    /// The same, and then the bound is over.
    Once,
    /// Nothing: halfway the policy asks itself what has come of the body.
    OfBody,
}

/// Whether the connection is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Open,
    Draining,
    /// Draining, and the engine was asked to finish.
    Finishing,
    /// The time for the answer to our PING is over. (Where it came, the engine lets no new stream through itself.)
    Refusing,
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
    /// Part of what precedes HTTP.
    Handshake,
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

/// For the answer to a PING where no stream is open: nobody waits for anything then.
const HTTP2_IDLE: Duration = Duration::from_secs(1);

/// How soon it is looked whether a client that ended its direction is gone, at first and then: the first time is for a
/// reset to come back.
const FIRST_LOOK: Duration = Duration::from_millis(100);
const LOOK: Duration = Duration::from_secs(1);

/// What is to come of a body in half of its bound.
const LEAST: usize = 256;

impl Policy {
    /// A connection that was just accepted.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
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
            had_body: false,
            balance: Balance::default(),
            request_epoch: 0,
            state_clock: Clock::default(),
            progress_clock: Clock::default(),
            asks: false,
            unacknowledged: None,
            ended_late: false,
            cut: false,
        }
    }

    /// The same, for an adapter that can ask the system how much its client has not acknowledged of what was written:
    /// see [`asks`](Self::asks).
    ///
    /// A socket does not tell by its writes whether its client reads. On Linux one that was full is writable again only
    /// once a third of its send buffer is free, which may be more than a slow client reads within a bound.
    #[must_use]
    pub fn asking(mut self) -> Self {
        self.asks = true;
        self
    }

    /// How the connection stands.
    #[must_use]
    pub fn state(&self) -> ConnectionState {
        self.state
    }

    /// The drain has begun.
    pub fn drain(&mut self) {
        if self.end == End::Open {
            self.end = End::Draining;
            // Not every byte was told before.
            self.balance = Balance::default();
            // What was waited for without a bound until now has one from now on.
            self.state_clock.restart();
            self.progress_clock.restart();
        }
    }

    /// The drain is about to begin, and this connection's turn has come to hear of it. If it is one of HTTP/1, the response
    /// at hand says so and is its last one; nothing else is taken away before the drain.
    pub fn take_turn(&mut self) {
        if self.protocol == Protocol::Http1 {
            self.drain();
        }
    }

    /// These bytes came from the client.
    pub fn read(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        // HTTP comes behind it.
        self.handshake_over();
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
            Stage::Idle if self.protocol == Protocol::Http1 => self.enter(Stage::Head),
            Stage::Lingering { .. } => {
                self.stage = Stage::Lingering { heard: true };
                self.progress_clock.restart();
            }
            // In the end it counts what the client takes, not what it sends.
            Stage::Handshake
            | Stage::Ending
            | Stage::Head
            | Stage::Active
            | Stage::Idle
            | Stage::Upgraded
            | Stage::Closed => {}
        }
    }

    /// Some of a body that is late.
    fn came(&mut self, more: usize) {
        let Body::Late { bytes, .. } = &mut self.body else { return };
        *bytes += more;
        if *bytes >= LEAST {
            self.body = Body::NotAwaited;
            // If it takes nothing either, that is what counts.
            if !self.blocked {
                self.progress_clock.restart();
            }
        }
    }

    /// The engine asks for more of the body of the request at hand (HTTP/1), and nothing has come. To be told each time, since
    /// it may ask no more.
    pub fn awaits_body(&mut self) {
        match &mut self.body {
            Body::NotAwaited if self.stage == Stage::Active && self.had_body => {
                self.body = Body::Awaited;
                self.progress_clock.restart();
            }
            Body::Late { awaited, .. } => *awaited = true,
            Body::NotAwaited | Body::Awaited => {}
        }
    }

    /// The client has ended its direction while its request, of which all has come, is being served (HTTP/1). It may wait for
    /// its response, or be gone: the two look alike until something is written to it. May be told more than once. Returns
    /// whether to write an interim response, such as `100 Continue`, which any client of HTTP/1.1 takes (RFC 9110, section
    /// 15.2): to one that is gone it is answered by a reset.
    pub fn client_ended(&mut self) -> bool {
        if self.stage != Stage::Active || self.looks.is_some() {
            return false;
        }
        self.looks = Some(0);
        self.state_clock.restart();
        self.answer == Answer::Owed && !self.blocked
    }

    /// Whether a request of HTTP/1 is in flight.
    #[must_use]
    pub fn is_serving(&self) -> bool {
        (self.stage, self.protocol) == (Stage::Active, Protocol::Http1)
    }

    /// Whether a head of HTTP/1 is read, or waited for.
    #[must_use]
    pub fn awaits_head(&self) -> bool {
        let is_between = matches!(self.stage, Stage::Preface(_) | Stage::Handshake | Stage::Head | Stage::Idle);
        is_between && self.protocol == Protocol::Http1
    }

    /// Whether the request at hand (HTTP/1) has no response yet and can be given one: it may be answered with `503` by an
    /// adapter that is closed by force.
    #[must_use]
    pub fn owes_answer(&self) -> bool {
        self.protocol == Protocol::Http1 && self.answer == Answer::Owed && !self.blocked
    }

    /// Some of what precedes HTTP came from the client: of a TLS handshake, or a PROXY header. What is
    /// [`read`](Self::read) is what follows.
    pub fn handshake(&mut self) {
        if self.stage == Stage::Preface(0) {
            self.enter(Stage::Handshake);
        }
    }

    /// What precedes HTTP is over: from here on the connection is as one that was just accepted.
    pub fn handshake_over(&mut self) {
        if self.stage == Stage::Handshake {
            self.enter(Stage::Preface(0));
        }
    }

    /// What it has to be told and asked at present; it changes only when it is told something. The rest may be left out,
    /// which is what most of a connection's life costs.
    #[must_use]
    pub fn heeds(&self) -> Heeds {
        let ends = self.end != End::Open;
        let leaves = matches!(self.stage, Stage::Lingering { .. } | Stage::Closed);
        let is_late = matches!(self.body, Body::Late { .. });
        let is_taken_slowly = self.stage == Stage::Active && self.answers_only();
        let waits = self.blocked || is_taken_slowly || self.body != Body::NotAwaited || self.looks.is_some();
        let reads = match self.stage {
            // There is a balance to be kept, or a body to be counted.
            Stage::Active => is_late || is_taken_slowly,
            Stage::Head | Stage::Upgraded | Stage::Closed => false,
            // There is a balance to be kept, but not before the drain.
            Stage::Idle => ends || self.protocol == Protocol::Http1,
            Stage::Preface(_) | Stage::Handshake | Stage::Ending | Stage::Lingering { .. } => true,
        };
        Heeds {
            reads,
            writes: ends || waits,
            requests: ends || self.protocol == Protocol::Http2 || self.stage != Stage::Idle,
            steps: ends || leaves || waits,
        }
    }

    /// The client took so many of the bytes that were to be written.
    pub fn wrote(&mut self, bytes: usize) {
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

    /// The client takes nothing at present.
    pub fn blocked(&mut self) {
        if !self.blocked && !self.answers_only() {
            self.progress_clock.restart();
        }
        self.blocked = true;
    }

    /// The head of a request is complete. Returns whether to serve it: a client of HTTP/2 that does not answer our PING
    /// could open one stream after the other for ever, so what it opens after the bound of that is not even begun.
    pub fn request(&mut self, has_body: bool) -> bool {
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

    /// The head of a response is about to be written; `last` where the client or the response itself has said that it
    /// is to be the last one. Returns whether it is to say `Connection: close`.
    #[must_use = "the response is to say `Connection: close` where this is true"]
    pub fn response(&mut self, last: bool) -> bool {
        let close = self.end != End::Open && self.protocol == Protocol::Http1;
        self.answer = if close || last { Answer::Last } else { Answer::KeptAlive };
        self.offers();
        close
    }

    /// A response cannot go on: its application has no more of it yet.
    pub fn owes(&mut self) {
        self.owing += 1;
    }

    /// It can: what [`owes`](Self::owes) said, or that a [`request`](Self::request) was read, holds no more for it.
    ///
    /// Only HTTP/2 makes a difference of it. There a client takes nothing by leaving its window closed (RFC 9113,
    /// section 5.2), and the connection's writes do not show that.
    pub fn offers(&mut self) {
        self.owing = self.owing.saturating_sub(1);
        if self.owing == 0 {
            self.balance = Balance::default();
            self.progress_clock.restart();
        }
    }

    /// A response ended: its last byte was handed to the engine, or it will never come.
    pub fn response_ended(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.ended_late |= self.end != End::Open;
        if self.in_flight > 0 || self.stage != Stage::Active {
            return;
        }
        self.body = Body::NotAwaited;
        // The next one is waited for from here on.
        self.request_epoch += 1;
        let kept_alive = self.answer == Answer::KeptAlive && self.end != End::Finishing;
        let goes_on = self.protocol == Protocol::Http2 || kept_alive;
        self.enter(if goes_on { Stage::Idle } else { Stage::Ending });
    }

    /// The connection (HTTP/1), or the stream of the response at hand (HTTP/2), is no longer HTTP (RFC 9110,
    /// sections 7.8 and 9.3.6): its handler has it.
    ///
    /// Such a stream is in flight until [`offers`](Self::offers) and [`response_ended`](Self::response_ended) are told for
    /// it once more than for its response.
    pub fn upgraded(&mut self) {
        self.answer = Answer::None;
        match self.protocol {
            Protocol::Http1 => self.enter(Stage::Upgraded),
            // Beside its response. Only the engine knows when such a stream ends.
            Protocol::Http2 => {
                self.in_flight += 1;
                self.owing += 1;
            }
        }
    }

    /// The engine was asked to finish, as [`Step::Finish`] said.
    pub fn finishing(&mut self) {
        self.end = End::Finishing;
        self.state_clock.restart();
        self.progress_clock.restart();
        if self.protocol == Protocol::Http1 && self.in_flight == 0 {
            self.enter(Stage::Ending);
        }
    }

    /// Our end of the connection is written. Read on while it [`lingers`](Self::lingers). Where something had come
    /// behind the last request, tell that by [`read`](Self::read) now: the rest of it may be on its way, and would be
    /// answered by a reset.
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

    /// Whether to tell [`unacknowledged`](Self::unacknowledged) before this timer is [`expired`](Self::expired).
    #[must_use]
    pub fn asks(&self, timer: Timer) -> bool {
        self.asks && self.bound(timer).is_some_and(|(_, asks)| !matches!(asks, Asks::Nothing | Asks::OfBody))
    }

    /// How many bytes that were written the client has not acknowledged, as the system says now; `None` where it does not
    /// know.
    pub fn unacknowledged(&mut self, bytes: Option<usize>) {
        self.unacknowledged = bytes;
    }

    /// A [`wait`](Self::wait) is over.
    pub fn expired(&mut self, timer: Timer) {
        let unacknowledged = self.unacknowledged.take();
        if (self.asks && self.goes_on(timer, unacknowledged)) || (timer == Timer::Progress && self.body_goes_on()) {
            return;
        }
        match (timer, self.stage, self.protocol) {
            // As long as it is in flight, the next one cannot be late.
            (Timer::Request, Stage::Active, _) => self.request_epoch += 1,
            (Timer::Request | Timer::Age, ..) => self.drain(),
            (Timer::State, Stage::Active, Protocol::Http1) => self.looked(),
            // What is in flight completes.
            (Timer::State, Stage::Active | Stage::Idle, Protocol::Http2) => self.end = End::Refusing,
            // Idle is the one state in which the engine still has something to do: to write its end. (It is asked to
            // finish only now: so what is read until then is served.)
            (Timer::State, Stage::Idle, Protocol::Http1) => self.enter(Stage::Ending),
            _ => {
                self.cut = self.in_flight > 0 || self.blocked || unacknowledged.is_some_and(|it| it > 0);
                self.enter(Stage::Closed);
            }
        }
    }

    /// The client ended its direction, and is not known to be gone. If its response has begun, and for long nothing of it was
    /// to be written, nothing will tell, so it is taken for gone.
    fn looked(&mut self) {
        let Some(looks) = &mut self.looks else { return };
        *looks += 1;
        let silent = LOOK.saturating_mul(*looks);
        self.state_clock.restart();
        if self.answer != Answer::Owed && silent > self.bounds.linger {
            self.enter(Stage::Closed);
        }
    }

    /// Half of the bound of a body is over, if there is one. Returns whether to wait on.
    fn body_goes_on(&mut self) -> bool {
        let goes_on = match self.body {
            _ if self.blocked => return false,
            Body::NotAwaited | Body::Late { awaited: true, .. } => return false,
            Body::Awaited => Body::Late { awaited: false, bytes: 0 },
            // Nobody waits for it any more.
            Body::Late { awaited: false, .. } => Body::NotAwaited,
        };
        self.body = goes_on;
        self.progress_clock.epoch += 1;
        true
    }

    /// Whether a bound closed the connection under something that was in flight, or not all with its client yet.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    /// Whether the client is to be waited for still, by what the system says.
    fn goes_on(&mut self, timer: Timer, unacknowledged: Option<usize>) -> bool {
        let (Some((bound, asks)), Some(wait)) = (self.bound(timer), self.wait(timer)) else { return false };
        let stall = if self.end == End::Open { self.bounds.progress } else { self.bounds.stall };
        let answers_only = self.answers_only() && matches!(self.stage, Stage::Active | Stage::Idle);
        let clock = match timer {
            Timer::Request | Timer::Age => return false,
            Timer::State => &mut self.state_clock,
            Timer::Progress => &mut self.progress_clock,
        };
        let before = clock.unacknowledged;
        clock.unacknowledged = unacknowledged;
        clock.emptied |= unacknowledged.is_some_and(|it| it == 0 || it < clock.written);
        // What is on its way behind the last response are answers to what the client itself sends: it could go on so for ever.
        let (before, unacknowledged) =
            if clock.emptied && answers_only { (None, None) } else { (before, unacknowledged) };
        let reads = matches!((before, unacknowledged), (Some(before), Some(now)) if now < before);
        clock.quiet = if reads { Duration::ZERO } else { clock.quiet.saturating_add(wait.after) };
        let bound = match (asks, unacknowledged) {
            (Asks::Nothing | Asks::OfBody, _) => return false,
            (_, Some(1..)) => stall,
            (Asks::Once, _) => Duration::ZERO,
            (Asks::Halfway | Asks::AtTheEnd, _) => bound,
        };
        let goes_on = reads || clock.quiet < bound;
        clock.epoch += u64::from(goes_on);
        goes_on
    }

    /// What to do now.
    #[must_use]
    pub fn step(&self) -> Step {
        let finish = match (self.stage, self.protocol) {
            (Stage::Closed, _) => return Step::Close,
            // Not while a request of HTTP/1 is served. Where the head of its response is to be written, it is the head that
            // says close; engines would say it on a `101 Switching Protocols` too. Where that has not said so, its client
            // may send the next request, and an engine that was asked to finish would not read it.
            (Stage::Ending, _) | (Stage::Active | Stage::Idle, Protocol::Http2) => true,
            _ => false,
        };
        if finish && self.end == End::Draining { Step::Finish } else { Step::Serve }
    }

    /// The timer to keep, if any.
    #[must_use]
    pub fn wait(&self, timer: Timer) -> Option<Wait> {
        let (bound, asks) = self.bound(timer)?;
        let is_halved = (self.asks && asks == Asks::Halfway) || asks == Asks::OfBody;
        let after = if is_halved { bound / 2 } else { bound };
        let epoch = match timer {
            Timer::Request => self.request_epoch,
            Timer::Age => 0,
            Timer::State => self.state_clock.epoch,
            Timer::Progress => self.progress_clock.epoch,
        };
        let is_lazy = timer == Timer::Progress && self.end == End::Open;
        Some(Wait { after, epoch, is_lazy })
    }

    fn bound(&self, timer: Timer) -> Option<(Duration, Asks)> {
        let Bounds { silent, idle, head, preface, goaway, stall, linger, .. } = self.bounds;
        if self.end == End::Open && !matches!(self.stage, Stage::Lingering { .. }) {
            return self.bound_while_open(timer);
        }
        let bound = match timer {
            Timer::Request | Timer::Age => return None,
            Timer::State => match (self.stage, self.protocol) {
                (Stage::Preface(0), _) => (silent, Asks::Nothing),
                (Stage::Preface(_), _) => (preface, Asks::Nothing),
                (Stage::Handshake | Stage::Head, _) => (head, Asks::Nothing),
                (Stage::Active, Protocol::Http1) => return self.look(),
                // Before the rest of the last response is written there is nothing that the client could ask next.
                (Stage::Idle, Protocol::Http1) if !self.blocked => {
                    (idle, if self.ended_late { Asks::AtTheEnd } else { Asks::Nothing })
                }
                // The PING is behind what was written before it.
                (Stage::Active | Stage::Idle, Protocol::Http2) if self.end == End::Finishing => (goaway, Asks::Halfway),
                (Stage::Lingering { .. }, _) => (linger, Asks::Once),
                _ => return None,
            },
            Timer::Progress => match (self.stage, self.protocol) {
                (Stage::Upgraded | Stage::Closed, _) => return None,
                (Stage::Lingering { .. }, Protocol::Http1) => (idle, Asks::Once),
                (Stage::Lingering { .. }, Protocol::Http2) => (HTTP2_QUIET.min(idle), Asks::Once),
                (Stage::Ending, _) => (stall, Asks::Halfway),
                // Nothing is in flight, but the last of a response may still be: so not from the state's entry.
                (Stage::Idle, Protocol::Http2) if self.ended_late || self.blocked => (goaway, Asks::Halfway),
                (Stage::Idle, Protocol::Http2) => (HTTP2_IDLE.min(goaway), Asks::Halfway),
                (Stage::Active, Protocol::Http2) if self.owing == 0 => (stall, Asks::Halfway),
                _ if self.blocked => (stall, Asks::Halfway),
                (Stage::Active, Protocol::Http1) => return self.bound_of_body(),
                _ => return None,
            },
        };
        Some(bound)
    }

    /// Before the drain.
    fn bound_while_open(&self, timer: Timer) -> Option<(Duration, Asks)> {
        let Bounds { request, keep_alive, progress, age, .. } = self.bounds;
        let is_http = !matches!(self.stage, Stage::Ending | Stage::Upgraded | Stage::Closed | Stage::Lingering { .. });
        let bound = match timer {
            // What was begun is counted from 0 on.
            Timer::Request if is_http && self.request_epoch == 0 && self.protocol == Protocol::Http1 => request,
            Timer::Request if is_http => keep_alive,
            Timer::Age if is_http => age,
            Timer::State if (self.stage, self.protocol) == (Stage::Active, Protocol::Http1) => return self.look(),
            Timer::Progress if matches!(self.stage, Stage::Upgraded | Stage::Closed) => return None,
            Timer::Progress if self.blocked || (self.stage == Stage::Active && self.answers_only()) => {
                return (progress < Duration::MAX).then_some((progress, Asks::Halfway));
            }
            Timer::Progress => return self.bound_of_body(),
            _ => return None,
        };
        (bound < Duration::MAX).then_some((bound, Asks::Nothing))
    }

    fn bound_of_body(&self) -> Option<(Duration, Asks)> {
        let bound = self.bounds.progress;
        (bound < Duration::MAX && self.body != Body::NotAwaited).then_some((bound, Asks::OfBody))
    }

    /// When to look whether a client that ended its direction is gone.
    fn look(&self) -> Option<(Duration, Asks)> {
        Some((if self.looks? == 0 { FIRST_LOOK } else { LOOK }, Asks::Nothing))
    }

    /// Every response is with the engine, so what is written may be no more than answers to control frames.
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
                // On the way out it is what it was, until it is gone.
                Stage::Ending | Stage::Lingering { .. } | Stage::Closed => self.state,
            };
            self.balance = Balance::default();
            // The answer to a PING is waited for from the GOAWAY on, whatever streams come and go meanwhile.
            if !(self.protocol == Protocol::Http2 && matches!(stage, Stage::Active | Stage::Idle)) {
                self.state_clock.restart();
            }
            self.progress_clock.restart();
        }
    }
}

impl Clock {
    fn restart(&mut self) {
        *self = Self { epoch: self.epoch + 1, ..Self::default() };
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
        let _ = policy.response(false);
        policy.response_ended();
    }

    #[test]
    fn nothing_but_the_wait_for_a_request_is_bounded_before_the_drain() {
        let mut policy = Policy::new(Bounds::default());
        assert_eq!(bound(&policy, Timer::Request), Some(Bounds::default().request));
        for timer in [Timer::State, Timer::Progress] {
            assert_eq!(policy.wait(timer), None);
        }
        policy.read(b"GET /");
        for timer in [Timer::Age, Timer::State, Timer::Progress] {
            assert_eq!(policy.wait(timer), None);
        }
        assert_eq!(policy.step(), Step::Serve);
    }

    fn uploading(policy: &mut Policy) {
        policy.read(b"PUT / HTTP/1.1\r\n");
        policy.request(true);
        policy.awaits_body();
    }

    #[test]
    fn a_response_that_nobody_takes_is_cut_though_nothing_drains() {
        let mut policy = Policy::new(Bounds::default());
        stalled(&mut policy);
        let wait = policy.wait(Timer::Progress).expect("bounded");
        assert_eq!((wait.after, wait.is_lazy, policy.heeds().steps), (Bounds::default().progress, true, true));
        policy.wrote(1);
        assert_eq!(bound(&policy, Timer::Progress), None);
        policy.blocked();
        assert_ne!(policy.wait(Timer::Progress), Some(wait), "progress starts the wait anew");
        policy.expired(Timer::Progress);
        assert_eq!((policy.step(), policy.is_cut()), (Step::Close, true));
    }

    #[test]
    fn a_response_that_is_taken_slowly_is_not_cut_though_its_socket_takes_nothing() {
        let mut policy = Policy::new(Bounds::default()).asking();
        stalled(&mut policy);
        for left in (1..100).rev() {
            assert_eq!(over(&mut policy, Timer::Progress, Some(left * 1000)), Step::Serve);
        }
        assert_eq!(over(&mut policy, Timer::Progress, Some(1000)), Step::Serve);
        assert_eq!(over(&mut policy, Timer::Progress, Some(1000)), Step::Close);
    }

    #[test]
    fn http2_that_opens_no_window_is_cut_though_nothing_drains() {
        let mut policy = Policy::new(Bounds::default());
        policy.read(PREFACE);
        policy.request(false);
        assert_eq!(bound(&policy, Timer::Progress), None, "the response is owed");
        let _ = policy.response(false);
        let wait = policy.wait(Timer::Progress);
        assert_eq!(wait.map(|it| it.after), Some(Bounds::default().progress));
        assert!(policy.heeds().reads && policy.heeds().writes && policy.heeds().steps);
        policy.read(&[0; 17]);
        policy.wrote(17);
        assert_eq!(policy.wait(Timer::Progress), wait, "a PING and its answer are no progress");
        policy.wrote(16_384);
        assert_ne!(policy.wait(Timer::Progress), wait, "a DATA frame is");
        policy.expired(Timer::Progress);
        assert_eq!((policy.step(), policy.is_cut()), (Step::Close, true));
    }

    #[test]
    fn a_body_that_does_not_come_is_cut_after_its_bound() {
        for begin in [|_: &mut Policy| {}, Policy::drain] {
            let mut policy = Policy::new(Bounds::default());
            uploading(&mut policy);
            begin(&mut policy);
            assert_eq!(bound(&policy, Timer::Progress), Some(Bounds::default().progress / 2));
            policy.expired(Timer::Progress);
            assert_eq!(policy.step(), Step::Serve);
            assert!(policy.heeds().reads, "from now on its bytes count");
            policy.awaits_body();
            assert_eq!(bound(&policy, Timer::Progress), Some(Bounds::default().progress / 2));
            policy.expired(Timer::Progress);
            assert_eq!((policy.step(), policy.is_cut()), (Step::Close, true));
        }
    }

    #[test]
    fn a_body_that_comes_byte_by_byte_is_cut_and_one_that_comes_slowly_is_not() {
        let lives = |more: usize| {
            let mut policy = Policy::new(Bounds::default());
            uploading(&mut policy);
            (0..100).all(|_| {
                policy.expired(Timer::Progress);
                policy.read(&[0; LEAST][..more]);
                policy.awaits_body();
                policy.step() == Step::Serve
            })
        };
        assert!(!lives(LEAST - 1) && lives(LEAST));
    }

    #[test]
    fn a_body_that_its_handler_no_longer_waits_for_bounds_nothing() {
        let mut policy = Policy::new(Bounds::default());
        uploading(&mut policy);
        policy.expired(Timer::Progress);
        policy.expired(Timer::Progress);
        assert_eq!((policy.step(), policy.wait(Timer::Progress)), (Step::Serve, None));
        let mut without = Policy::new(Bounds::default());
        without.request(false);
        without.awaits_body();
        assert_eq!(without.wait(Timer::Progress), None, "an engine that reads on behind a request waits for no body");
    }

    #[test]
    fn a_client_that_ended_its_direction_is_asked_once_and_looked_after_until_it_is_answered() {
        for begin in [|_: &mut Policy| {}, Policy::drain] {
            let mut policy = Policy::new(Bounds::default());
            policy.request(false);
            begin(&mut policy);
            assert!(policy.client_ended() && !policy.client_ended());
            assert_eq!(bound(&policy, Timer::State), Some(FIRST_LOOK));
            for _ in 0..10_000 {
                policy.expired(Timer::State);
                assert_eq!((policy.step(), bound(&policy, Timer::State)), (Step::Serve, Some(LOOK)));
            }
        }
    }

    #[test]
    fn a_client_that_ended_its_direction_is_gone_if_nothing_of_its_response_was_written_for_long() {
        let bounds = Bounds::default();
        for begin in [|_: &mut Policy| {}, Policy::drain] {
            let mut policy = Policy::new(bounds);
            policy.request(false);
            let _ = policy.response(false);
            assert!(!policy.client_ended(), "in the midst of a response nothing may be asked");
            begin(&mut policy);
            let looked = |policy: &mut Policy| {
                policy.expired(Timer::State);
                policy.step() == Step::Close
            };
            let looks = (1..1000).find(|_| looked(&mut policy)).expect("bounded");
            assert_eq!((LOOK * (looks - 1), policy.is_cut()), (bounds.linger, false), "who is gone was not cut");
        }
    }

    #[test]
    fn a_connection_of_an_age_drains_by_itself() {
        let mut policy = Policy::new(Bounds { age: LOOK, ..Bounds::default() });
        let wait = policy.wait(Timer::Age);
        assert_eq!(wait.map(|it| it.after), Some(LOOK));
        served(&mut policy);
        assert_eq!(policy.wait(Timer::Age), wait, "a request does not make it younger");
        policy.read(b"GET / HTTP/1.1\r\n\r\n");
        policy.request(false);
        policy.expired(Timer::Age);
        assert!(policy.response(false), "it says close");
        assert_eq!(policy.wait(Timer::Age), None);
    }

    #[test]
    fn an_answer_is_owed_from_a_request_to_its_response() {
        let mut policy = Policy::new(Bounds::default());
        assert!(!policy.owes_answer());
        policy.request(false);
        assert!(policy.owes_answer());
        policy.blocked();
        assert!(!policy.owes_answer(), "something is half written");
        policy.wrote(1);
        let _ = policy.response(false);
        assert!(!policy.owes_answer());
        let mut dropped = Policy::new(Bounds::default());
        dropped.request(false);
        dropped.response_ended();
        assert!(dropped.owes_answer(), "its handler is gone");
        let mut upgraded = Policy::new(Bounds::default());
        upgraded.request(false);
        upgraded.upgraded();
        assert!(!upgraded.owes_answer());
    }

    #[test]
    fn a_connection_whose_request_does_not_come_drains_by_itself() {
        let lives: [fn(&mut Policy); 3] = [|_| {}, |it| it.read(b"GET / HTTP/1.1\r\nHo"), served];
        for life in lives {
            let mut late = Policy::new(Bounds::default());
            life(&mut late);
            assert!(late.wait(Timer::Request).is_some());
            late.expired(Timer::Request);
            let drained = draining(life);
            for timer in [Timer::Request, Timer::State, Timer::Progress] {
                assert_eq!(bound(&late, timer), bound(&drained, timer));
            }
            late.read(b"GET / HTTP/1.1\r\n\r\n");
            assert!(late.request(false) && late.response(false), "what comes at last is answered, and says close");
        }
    }

    #[test]
    fn a_handshake_is_waited_for_like_a_head_and_then_the_connection_is_as_new() {
        let bounds = Bounds::default();
        let mut policy = draining(Policy::handshake);
        let wait = policy.wait(Timer::State);
        assert_eq!(wait.map(|it| it.after), Some(bounds.head));
        policy.handshake();
        assert_eq!(policy.wait(Timer::State), wait, "more of it does not extend its bound");
        policy.handshake_over();
        assert_eq!((bound(&policy, Timer::State), policy.state()), (Some(bounds.silent), ConnectionState::New));
        policy.handshake();
        policy.expired(Timer::State);
        assert_eq!(policy.step(), Step::Close);
    }

    #[test]
    fn a_handshake_and_the_first_head_share_the_wait_for_a_request() {
        let mut policy = Policy::new(Bounds::default());
        let wait = policy.wait(Timer::Request);
        assert!(wait.is_some());
        policy.handshake();
        assert_eq!(policy.wait(Timer::Request), wait);
        policy.handshake_over();
        policy.read(b"GET / HTTP/1.1\r\nHo");
        assert_eq!(policy.wait(Timer::Request), wait);
    }

    #[test]
    fn what_comes_behind_a_handshake_is_http() {
        let mut policy = draining(Policy::handshake);
        policy.read(PREFACE);
        assert_eq!((policy.protocol, policy.state()), (Protocol::Http2, ConnectionState::Idle));
        policy.handshake();
        assert_eq!(policy.state(), ConnectionState::Idle, "told too late, it says nothing");
    }

    #[test]
    fn the_first_request_and_the_next_ones_have_bounds_of_their_own() {
        let (mut policy, bounds) = (Policy::new(Bounds::default()), Bounds::default());
        assert_eq!(bound(&policy, Timer::Request), Some(bounds.request));
        served(&mut policy);
        assert_eq!(bound(&policy, Timer::Request), Some(bounds.keep_alive));
        assert!(bounds.keep_alive > Duration::from_secs(60), "longer than load balancers keep theirs");
    }

    #[test]
    fn a_request_in_flight_is_not_late_and_starts_the_wait_anew() {
        let mut policy = Policy::new(Bounds::default());
        let first = policy.wait(Timer::Request);
        policy.read(b"GET / HTTP/1.1\r\nHo");
        assert_eq!(policy.wait(Timer::Request), first, "a part of its head does not");
        policy.request(false);
        let in_flight = policy.wait(Timer::Request);
        policy.expired(Timer::Request);
        let later = policy.wait(Timer::Request);
        let _ = policy.response(false);
        policy.response_ended();
        let idle = policy.wait(Timer::Request);
        assert_eq!(policy.step(), Step::Serve);
        let waits = [first, in_flight, later, idle];
        assert!(waits.is_sorted_by(|before, after| before != after), "each is a wait of its own: {waits:?}");
    }

    #[test]
    fn who_asks_for_no_bound_is_waited_for_for_ever() {
        let mut http2 = Policy::new(Bounds { keep_alive: Duration::MAX, ..Bounds::default() });
        http2.read(PREFACE);
        assert_eq!(http2.wait(Timer::Request), None);
        assert_eq!(Policy::new(Bounds::NONE).wait(Timer::Request), None);
    }

    #[test]
    fn http2_on_which_nothing_is_asked_for_is_told_by_goaway_and_one_with_a_stream_is_not() {
        let mut policy = Policy::new(Bounds::default());
        policy.read(PREFACE);
        assert_eq!(bound(&policy, Timer::Request), Some(Bounds::default().keep_alive));
        assert!(policy.request(false));
        policy.expired(Timer::Request);
        assert_eq!(policy.step(), Step::Serve, "a stream is open");
        assert!(!policy.response(false));
        policy.response_ended();
        assert_eq!(bound(&policy, Timer::Request), Some(Bounds::default().keep_alive));
        policy.expired(Timer::Request);
        assert_eq!(policy.step(), Step::Finish);
        policy.finishing();
        assert!(policy.request(false), "it crossed the GOAWAY");
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
        assert!(policy.response(false), "it says close");
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
    fn what_a_client_sends_in_the_end_does_not_extend_its_bound() {
        let mut policy = draining(served);
        policy.expired(Timer::State);
        policy.finishing();
        let wait = policy.wait(Timer::Progress);
        policy.read(b"GET / HTTP/1.1\r\nHo");
        assert!(wait.is_some() && policy.wait(Timer::Progress) == wait);
    }

    fn begun_before_the_drain() -> Policy {
        draining(|it| {
            it.read(b"GET / HTTP/1.1\r\n\r\n");
            it.request(false);
            assert!(!it.response(false));
        })
    }

    #[test]
    fn a_connection_whose_response_did_not_say_close_is_idle_behind_it() {
        let mut policy = begun_before_the_drain();
        assert_eq!(policy.step(), Step::Serve, "an engine that finishes reads no next request");
        policy.response_ended();
        assert_eq!((policy.state(), policy.step()), (ConnectionState::Idle, Step::Serve));
        assert_eq!(bound(&policy, Timer::State), Some(Bounds::default().idle));
        policy.expired(Timer::State);
        assert_eq!(policy.step(), Step::Finish, "and no longer than that");
    }

    #[test]
    fn a_request_behind_a_response_that_did_not_say_close_is_the_last_one() {
        let mut policy = begun_before_the_drain();
        policy.response_ended();
        policy.read(b"GET / HTTP/1.1\r\n\r\n");
        assert!(policy.request(false) && policy.response(false), "it is served, and says close");
        policy.response_ended();
        assert_eq!(policy.step(), Step::Finish, "at once");
    }

    #[test]
    fn an_idle_connection_has_its_grace_once_its_last_response_is_written() {
        let mut policy = begun_before_the_drain();
        policy.blocked();
        policy.response_ended();
        assert_eq!(policy.wait(Timer::State), None);
        assert_eq!(bound(&policy, Timer::Progress), Some(Bounds::default().stall));
        policy.wrote(1);
        let wait = policy.wait(Timer::State);
        assert_eq!(wait.map(|it| it.after), Some(Bounds::default().idle));
        policy.blocked();
        policy.wrote(1);
        assert!(policy.wait(Timer::State) != wait, "each time anew");
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
        assert!(!policy.response(false), "HTTP/2 has no Connection header");
        policy.owes();
        assert_eq!(policy.wait(Timer::Progress), None);
        policy.offers();
        policy.response_ended();
        assert_eq!(bound(&policy, Timer::Progress), Some(Bounds::default().goaway));
    }

    #[test]
    fn http2_that_answers_no_ping_opens_no_streams_after_its_bound_and_keeps_those_it_has() {
        let mut policy = draining(|it| it.read(PREFACE));
        policy.finishing();
        let wait = policy.wait(Timer::State);
        assert_eq!(wait.map(|it| it.after), Some(Bounds::default().goaway));
        assert!(policy.request(false));
        policy.response_ended();
        assert!(policy.request(false));
        assert_eq!(policy.wait(Timer::State), wait, "streams do not extend it");
        policy.expired(Timer::State);
        assert!(!policy.request(false));
        assert_eq!((policy.step(), policy.wait(Timer::Progress)), (Step::Serve, None));
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
    fn http2_that_opens_no_window_is_bounded_and_one_whose_application_is_slow_is_not() {
        let mut policy = draining(|it| {
            it.read(PREFACE);
            it.request(false);
        });
        assert_eq!(bound(&policy, Timer::Progress), None, "the response is owed");
        let _ = policy.response(false);
        let wait = policy.wait(Timer::Progress);
        assert_eq!(wait.map(|it| it.after), Some(Bounds::default().stall));
        policy.read(&[0; 17]);
        policy.wrote(17);
        assert_eq!(policy.wait(Timer::Progress), wait, "a PING and its answer are no progress");
        policy.wrote(16_384);
        assert_ne!(policy.wait(Timer::Progress), wait, "a DATA frame is");
        policy.owes();
        assert_eq!(bound(&policy, Timer::Progress), None, "more of the response is owed");
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

    /// The timer is over, and the system says that so many bytes are not acknowledged.
    fn over(policy: &mut Policy, timer: Timer, unacknowledged: Option<usize>) -> Step {
        assert!(policy.asks(timer));
        policy.unacknowledged(unacknowledged);
        let before = policy.wait(timer);
        policy.expired(timer);
        assert!(before.is_some() && policy.wait(timer) != before, "a timer that is over counts no more");
        policy.step()
    }

    #[test]
    fn answers_to_what_a_client_sends_are_no_progress_once_all_was_acknowledged() {
        let mut policy = asking(|it| it.read(PREFACE));
        policy.finishing();
        let bound = Bounds::default().goaway;
        let mut waited = Duration::ZERO;
        // Each time another answer is on its way.
        for on_its_way in [13, 26].into_iter().cycle().take(100) {
            policy.wrote(26);
            let Some(wait) = policy.wait(Timer::State) else { break };
            waited += wait.after;
            policy.unacknowledged(Some(on_its_way));
            policy.expired(Timer::State);
            if !policy.request(false) {
                break;
            }
            policy.response_ended();
        }
        assert_eq!(waited, bound, "it could open streams for ever");
    }

    fn asking(events: impl FnOnce(&mut Policy)) -> Policy {
        let mut policy = Policy::new(Bounds::default()).asking();
        events(&mut policy);
        policy.drain();
        policy
    }

    fn stalled(policy: &mut Policy) {
        policy.read(b"GET / HTTP/1.1\r\n\r\n");
        policy.request(false);
        policy.blocked();
    }

    #[test]
    fn a_client_that_acknowledges_something_now_and_then_is_not_cut() {
        let mut policy = asking(stalled);
        for left in (1..100).rev() {
            assert_eq!(over(&mut policy, Timer::Progress, Some(left * 1000)), Step::Serve);
            assert_eq!(bound(&policy, Timer::Progress), Some(Bounds::default().stall / 2));
        }
        assert_eq!(over(&mut policy, Timer::Progress, Some(1000)), Step::Serve);
        assert_eq!(over(&mut policy, Timer::Progress, Some(1000)), Step::Close);
        assert!(policy.is_cut(), "and it is told");
    }

    #[test]
    fn a_client_that_acknowledges_nothing_is_cut_after_its_bound_and_no_later() {
        for unacknowledged in [Some(1000), None] {
            let mut policy = asking(stalled);
            assert_eq!(over(&mut policy, Timer::Progress, unacknowledged), Step::Serve, "half of it is over");
            assert_eq!(over(&mut policy, Timer::Progress, unacknowledged), Step::Close);
            assert!(policy.is_cut());
        }
    }

    #[test]
    fn nothing_is_asked_of_the_system_before_a_client_that_is_to_send_something_is_let_go() {
        let lives: [fn(&mut Policy); 3] = [|_| {}, |it| it.read(b"GET / HTTP/1.1\r\nHo"), served];
        for life in lives {
            let mut policy = asking(life);
            assert!(!policy.asks(Timer::State) && !policy.asks(Timer::Progress));
            policy.expired(Timer::State);
            assert!(policy.step() != Step::Serve && !policy.is_cut());
        }
    }

    #[test]
    fn the_grace_of_an_idle_connection_begins_once_its_client_has_the_last_response() {
        let mut policy = asking(|it| {
            it.read(b"GET / HTTP/1.1\r\n\r\n");
            it.request(false);
            let _ = it.response(false);
        });
        policy.response_ended();
        for left in [2000, 1000, 0] {
            assert_eq!(over(&mut policy, Timer::State, Some(left)), Step::Serve);
            assert_eq!(bound(&policy, Timer::State), Some(Bounds::default().idle));
        }
        assert_eq!(over(&mut policy, Timer::State, Some(0)), Step::Finish);
    }

    #[test]
    fn the_bound_of_a_ping_begins_once_what_was_written_before_it_is_with_the_client() {
        let mut policy = asking(|it| {
            it.read(PREFACE);
            it.request(false);
        });
        policy.finishing();
        for left in [2000, 1000, 0, 0] {
            let _ = over(&mut policy, Timer::State, Some(left));
            assert!(policy.request(false), "streams are served as long as it is not over");
        }
        let _ = over(&mut policy, Timer::State, Some(0));
        assert!(!policy.request(false));
    }

    #[test]
    fn http2_lingers_until_its_client_has_what_was_written_and_is_not_held_by_one_that_takes_nothing() {
        let closing = || {
            let mut policy = asking(|it| it.read(PREFACE));
            policy.half_closed();
            policy
        };
        let mut slow = closing();
        for left in [2000, 1000, 0] {
            assert_eq!(over(&mut slow, Timer::Progress, Some(left)), Step::Serve);
        }
        assert_eq!((over(&mut slow, Timer::Progress, Some(0)), slow.is_cut()), (Step::Close, false));
        let mut gone = closing();
        let asked = (1..10_000).find(|_| over(&mut gone, Timer::Progress, Some(1000)) == Step::Close);
        let waited = asked.map(|it| HTTP2_QUIET * it);
        assert_eq!((waited, gone.is_cut()), (Some(Bounds::default().stall), true));
        assert_eq!(over(&mut closing(), Timer::Progress, Some(0)), Step::Close, "and no longer than that");
    }

    #[test]
    fn http2_that_had_no_stream_in_the_drain_waits_for_its_ping_for_a_second() {
        let mut policy = draining(|it| it.read(PREFACE));
        policy.finishing();
        assert_eq!(bound(&policy, Timer::Progress), Some(Duration::from_secs(1)));
        policy.request(false);
        policy.response_ended();
        assert_eq!(bound(&policy, Timer::Progress), Some(Bounds::default().goaway), "its response may be on its way");
        let mut policy = Policy::new(Bounds { goaway: Duration::ZERO, ..Bounds::default() });
        policy.read(PREFACE);
        policy.drain();
        assert_eq!(bound(&policy, Timer::Progress), Some(Duration::ZERO), "and no longer than for any");
    }

    #[test]
    fn what_a_bound_cuts_is_told_and_what_asks_for_nothing_is_not_cut() {
        let mut policy = draining(stalled);
        policy.expired(Timer::Progress);
        assert!(policy.is_cut());
        let mut policy = draining(|_| {});
        policy.expired(Timer::State);
        assert!(!policy.is_cut());
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
    fn a_response_that_is_the_last_one_leaves_nothing_idle() {
        let mut policy = Policy::new(Bounds::default());
        policy.read(b"GET / HTTP/1.0\r\n\r\n");
        policy.request(false);
        assert!(!policy.response(true), "it says so itself");
        policy.response_ended();
        assert_eq!(policy.state(), ConnectionState::Active);
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
