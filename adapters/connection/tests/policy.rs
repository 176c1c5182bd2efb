//! Random lives of a connection, in orders that an engine can produce, against what the policy promises.

#![cfg(not(loom))]

use ebbtide_connection::Bounds;
use ebbtide_connection::policy::{Policy, Step, Timer};
use proptest::prelude::*;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[derive(Clone, Debug)]
enum Event {
    /// So many more bytes of the HTTP/2 preface, as long as there are any.
    ReadPreface(usize),
    Read(Vec<u8>),
    Request(bool),
    Response(bool),
    /// The application of a response begun has no more of it yet, or has again.
    Owes,
    Offers,
    ResponseEnded,
    Wrote(usize),
    Blocked,
    /// HTTP/1: the engine waits for a body.
    AwaitsBody,
    /// HTTP/1: the client has ended its direction behind its request.
    ClientEnded,
    Upgraded,
    HalfClosed,
    Drain,
    /// There is a successor, or none any more.
    Leaving(bool),
    /// A read has found nothing, and the adapter asks whether to leave.
    Leave,
    /// The adapter asks what to do, and does it.
    Step,
    /// Time passes until the timer is up, where it is kept.
    Expired(Timer),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        6 => (1..=PREFACE.len()).prop_map(Event::ReadPreface),
        4 => prop::collection::vec(any::<u8>(), 1..40).prop_map(Event::Read),
        8 => any::<bool>().prop_map(Event::Request),
        6 => any::<bool>().prop_map(Event::Response),
        3 => Just(Event::Owes),
        3 => Just(Event::Offers),
        6 => Just(Event::ResponseEnded),
        4 => (1..40_000_usize).prop_map(Event::Wrote),
        4 => Just(Event::Blocked),
        2 => Just(Event::AwaitsBody),
        1 => Just(Event::ClientEnded),
        1 => Just(Event::Upgraded),
        2 => Just(Event::HalfClosed),
        2 => Just(Event::Drain),
        2 => any::<bool>().prop_map(Event::Leaving),
        1 => Just(Event::Leave),
        12 => Just(Event::Step),
        2 => prop_oneof![Just(Timer::Request), Just(Timer::State), Just(Timer::Progress)].prop_map(Event::Expired),
    ];
    prop::collection::vec(event, 0..80)
}

/// What the engine and the client know of the connection, without the policy.
#[expect(clippy::struct_excessive_bools, reason = "each may be so or not, whatever the others are")]
#[derive(Debug)]
struct Life {
    policy: Policy,
    /// Bytes that came, and whether they are an HTTP/2 preface up to here.
    came: usize,
    is_preface: bool,
    /// Requests whose response has not begun, and responses that have not ended.
    asked: usize,
    answered: usize,
    /// Of the latter, how many wait for their application.
    owed: usize,
    /// HTTP/2 streams that were upgraded: only the engine knows when they end.
    tunnels: usize,
    /// No request follows: HTTP/1 was told to close, or its response never came.
    last: bool,
    blocked: bool,
    /// HTTP/1: the engine has waited for the body of the request at hand; and the client has ended its direction.
    awaits: bool,
    ended: bool,
    /// HTTP/1: the connection is its handler's.
    upgraded: bool,
    half_closed: bool,
    /// Since then.
    heard: bool,
    /// Of the last request.
    had_body: bool,
    draining: bool,
    /// Bytes have come while nothing was in flight.
    has_begun: bool,
    leaving: bool,
    finished: bool,
    closed: bool,
}

impl Life {
    fn new() -> Self {
        Self {
            policy: Policy::new(Bounds::default()),
            came: 0,
            is_preface: true,
            asked: 0,
            answered: 0,
            owed: 0,
            tunnels: 0,
            last: false,
            blocked: false,
            awaits: false,
            ended: false,
            upgraded: false,
            half_closed: false,
            heard: false,
            had_body: false,
            draining: false,
            has_begun: false,
            leaving: false,
            finished: false,
            closed: false,
        }
    }

    fn is_http2(&self) -> bool {
        self.is_preface && self.came >= PREFACE.len()
    }

    fn in_flight(&self) -> usize {
        self.asked + self.answered + if self.half_closed { 0 } else { self.tunnels }
    }

    /// Whether all that is in flight waits for the client. In HTTP/1 only the socket tells.
    fn waits_for_client(&self) -> bool {
        let taken = self.is_http2() && self.in_flight() > 0 && self.asked + self.owed + self.tunnels == 0;
        self.blocked || taken
    }

    /// Whether an engine can produce `event` now.
    fn can(&self, event: &Event) -> bool {
        match event {
            _ if self.closed => false,
            Event::Read(_) | Event::Leaving(_) | Event::Leave => true,
            Event::ReadPreface(_) => self.is_preface && self.came < PREFACE.len(),
            _ if self.came == 0 => matches!(event, Event::Drain | Event::Step) || self.offers(event),
            Event::Request(_) if self.is_http2() => !self.half_closed,
            Event::Request(_) => {
                let ends = self.last || self.half_closed || self.upgraded || (self.finished && self.in_flight() == 0);
                !self.is_preface && self.in_flight() == 0 && !ends
            }
            Event::Response(_) => self.asked > 0,
            Event::AwaitsBody | Event::ClientEnded => !self.is_http2() && !self.upgraded && self.in_flight() > 0,
            Event::Owes => self.answered > self.owed,
            Event::Offers => self.owed > 0,
            Event::Upgraded => self.asked > 0 && !self.finished,
            Event::ResponseEnded => self.asked + self.answered > 0,
            Event::Wrote(_) | Event::Blocked => !self.half_closed,
            Event::HalfClosed => !self.half_closed && !self.upgraded && self.asked + self.answered == 0,
            Event::Drain | Event::Step => true,
            Event::Expired(_) => self.offers(event),
        }
    }

    /// Whether nothing is owed, read or unwritten.
    fn may_leave(&self) -> bool {
        let is_over = self.last || self.half_closed || self.upgraded || self.finished || self.closed;
        let is_between = self.in_flight() == 0 && !self.has_begun && !self.blocked && !self.ended;
        self.leaving && self.draining && is_between && !is_over && !self.is_http2()
    }

    fn offers(&self, event: &Event) -> bool {
        matches!(event, Event::Expired(timer) if self.policy.wait(*timer).is_some())
    }

    fn read(&mut self, bytes: &[u8]) {
        let expected = &PREFACE[self.came.min(PREFACE.len())..];
        let common = expected.len().min(bytes.len());
        self.is_preface &= expected[..common] == bytes[..common];
        self.came += bytes.len();
        self.heard |= self.half_closed;
        self.has_begun |= self.in_flight() == 0;
        if self.policy.interest().reads {
            self.policy.on_read(bytes);
        }
    }

    fn live(&mut self, event: Event) {
        match event {
            Event::ReadPreface(bytes) => self.read(&PREFACE[self.came..PREFACE.len().min(self.came + bytes)]),
            Event::Read(bytes) => self.read(&bytes),
            Event::Request(has_body) => {
                let served = self.policy.on_request(has_body);
                assert!(served || (self.is_http2() && self.finished), "a request was refused for nothing");
                self.asked += usize::from(served);
                if served {
                    self.had_body = has_body;
                    self.has_begun = false;
                    self.awaits = false;
                }
            }
            Event::Response(last) => {
                let close = self.policy.on_response(last);
                let closes = self.draining && !self.leaving && !self.is_http2();
                assert_eq!(close, closes, "on every HTTP/1 response while draining without a successor");
                self.last |= close || last;
                (self.asked, self.answered) = (self.asked - 1, self.answered + 1);
            }
            Event::Owes => {
                self.policy.on_response_waits();
                self.owed += 1;
            }
            Event::Offers => {
                self.policy.on_response_resumes();
                self.owed -= 1;
            }
            Event::ResponseEnded if self.answered > 0 => {
                if self.owed == self.answered {
                    self.live(Event::Offers);
                }
                self.policy.on_response_end();
                self.answered -= 1;
            }
            Event::ResponseEnded => {
                // It will never come.
                self.policy.on_response_resumes();
                self.policy.on_response_end();
                self.asked -= 1;
                self.last = true;
            }
            Event::Upgraded => {
                self.policy.on_upgrade();
                if self.is_http2() {
                    self.tunnels += 1;
                } else {
                    self.upgraded = true;
                }
                (self.asked, self.answered, self.owed) = (self.asked - 1, self.answered + 1, self.owed + 1);
            }
            Event::Wrote(bytes) => {
                if self.policy.interest().writes {
                    self.policy.on_written(bytes);
                }
                self.blocked = false;
            }
            Event::Blocked => {
                self.policy.on_write_blocked();
                self.blocked = true;
            }
            Event::AwaitsBody => {
                self.policy.on_body_awaited();
                self.awaits = self.had_body;
            }
            Event::ClientEnded => {
                let asks = self.policy.on_client_end();
                assert!(!asks || (self.asked > 0 && !self.blocked && !self.ended), "asked in the midst of a response");
                self.ended = true;
            }
            Event::HalfClosed => {
                self.policy.on_half_closed();
                self.half_closed = true;
            }
            Event::Drain => {
                self.policy.on_drain();
                self.draining = true;
            }
            Event::Leaving(leaving) => {
                self.policy.on_leaving(leaving);
                self.leaving = leaving;
            }
            Event::Leave => self.leave(),
            Event::Step => self.step(),
            Event::Expired(timer) => {
                let is_clients = match timer {
                    Timer::Progress => self.waits_for_client() || self.awaits,
                    Timer::State => self.ended && self.answered > 0,
                    Timer::Request | Timer::Age => false,
                };
                self.policy.on_timer(timer);
                self.draining |= timer == Timer::Request && self.in_flight() == 0;
                // Asked at once: an engine that ran before it could begin a request, which would be cut.
                self.step();
                let closes = self.closed;
                assert!(!closes || self.in_flight() == 0 || is_clients, "an active request was closed");
                assert!(!closes || !self.upgraded, "what is its handler's was closed");
            }
        }
    }

    fn leave(&mut self) {
        let may_leave = self.may_leave();
        assert_eq!(self.policy.on_leave(), may_leave, "between two requests, and nowhere else");
        self.closed = may_leave;
        assert!(!self.policy.is_cut());
    }

    fn step(&mut self) {
        match self.policy.step() {
            Step::Serve => {}
            Step::Finish => {
                assert!(self.draining && !self.finished, "finish was said without a drain, or again");
                self.finished = true;
                self.policy.on_finish();
            }
            Step::Close => self.closed = true,
        }
    }

    /// What holds after every event.
    fn check(&self) {
        let (step, waits) = (self.policy.step(), [Timer::State, Timer::Progress].map(|it| self.policy.wait(it)));
        assert!(!self.closed || step == Step::Close, "closed, and then not");
        let silent = step == Step::Serve && waits == [None; 2];
        assert!(self.policy.interest().steps || silent, "it has something to say, and is not asked");
        let waits_for_client = self.waits_for_client() || self.awaits || self.ended;
        let may_be_bounded = self.draining || self.half_closed || (waits_for_client && !self.upgraded);
        assert!(may_be_bounded || waits == [None; 2], "bounded while the service runs, and for nothing");
        if self.waits_for_client() && !self.upgraded && step == Step::Serve {
            assert_ne!(waits, [None; 2], "the client takes nothing, and nothing bounds it");
        }
        let is_over = self.half_closed || self.upgraded || (self.last && self.in_flight() == 0);
        // A connection of HTTP/2 is none of the two that are over.
        let is_over = if self.is_http2() { self.half_closed } else { is_over };
        let waits_for_request = !(self.draining || is_over || step == Step::Close);
        assert_eq!(self.policy.wait(Timer::Request).is_some(), waits_for_request, "the wait for the next request");
        let expects_more = self.heard || self.had_body || self.is_http2();
        let lingers = self.half_closed && step != Step::Close && expects_more;
        assert_eq!(self.policy.lingers(), lingers, "read on where more may come, and nowhere else");
        if !self.draining || self.upgraded || step != Step::Serve {
            return;
        }
        assert_eq!(self.policy.may_leave(), self.may_leave());
        if self.may_leave() {
            assert_eq!(waits, [None; 2], "it waits for the successor, who may take his time");
        } else if self.in_flight() == 0 {
            assert_ne!(waits, [None; 2], "nothing is in flight, and nothing bounds it");
        }
        if self.in_flight() > 0 && !waits_for_client {
            // The other timer of HTTP/2 is that of our PING, which cuts nothing that is in flight.
            assert!(waits[1].is_none() && (waits[0].is_none() || self.is_http2()), "an active request is bounded");
        }
    }

    /// The client falls silent: timer by timer the connection is let go of.
    fn fall_silent(&mut self) {
        self.live(Event::Leaving(false));
        if self.policy.wait(Timer::Request).is_none() {
            self.live(Event::Drain);
        }
        for _ in 0..12 {
            self.step();
            let timers = [Timer::Request, Timer::State, Timer::Progress];
            let offered = timers.into_iter().find(|it| self.policy.wait(*it).is_some());
            match offered {
                Some(timer) if !self.closed => self.live(Event::Expired(timer)),
                _ => break,
            }
        }
        assert_eq!(self.policy.step(), Step::Close);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_life_of_a_connection_is_within_the_promises(events in events()) {
        let mut life = Life::new();
        for event in events {
            if life.can(&event) {
                life.live(event);
                life.check();
            } else if life.closed {
                let before = life.policy.step();
                life.policy.on_written(1);
                life.policy.on_response_end();
                life.policy.on_upgrade();
                prop_assert_eq!((before, life.policy.step()), (Step::Close, Step::Close));
            }
        }
        if !life.upgraded && life.in_flight() == 0 {
            life.fall_silent();
        }
    }

    #[test]
    fn a_client_that_takes_nothing_does_not_extend_its_bound_by_sending(
        events in events(),
        sent in prop::collection::vec(1..100_usize, 1..10),
    ) {
        let mut life = Life::new();
        // One byte more, because a request head has a bound of its own.
        for event in events.into_iter().chain([Event::Drain, Event::Step, Event::Blocked, Event::Read(vec![b'x'])]) {
            if life.can(&event) {
                life.live(event);
            }
        }
        let bound = life.policy.wait(Timer::Progress);
        for bytes in sent {
            life.read(&vec![b'x'; bytes]);
            // Our end is written: then it is the other timer that is not extended.
            prop_assert!(life.half_closed || life.policy.wait(Timer::Progress) == bound);
        }
    }

    #[test]
    fn an_http2_client_does_not_extend_its_bound_by_pings(
        pings in prop::collection::vec((1..100_usize, any::<bool>()), 1..40),
    ) {
        let mut life = Life::new();
        for event in [Event::ReadPreface(PREFACE.len()), Event::Drain, Event::Step] {
            life.live(event);
        }
        let bound = life.policy.wait(Timer::Progress);
        prop_assert!(bound.is_some());
        for (bytes, slowly) in pings {
            life.policy.on_read(&vec![0; bytes]);
            if slowly {
                life.policy.on_write_blocked();
            }
            life.policy.on_written(bytes);
            prop_assert_eq!(life.policy.wait(Timer::Progress), bound);
        }
    }
}
