//! The timers of a connection: how long, and what comes of it when one is over.

use core::time::Duration;

use super::{Answer, Body, End, Policy, Protocol, Stage};
use crate::bounds::Bounds;

/// The timers that a connection can need at a time. All there are: an adapter that could leave one out would be wrong.
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

/// A timer to keep: tell [`Policy::on_timer`] when `after` has passed.
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

/// A wait of a connection, and what was asked of the system since it began.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clock {
    epoch: u64,
    unacknowledged: Option<usize>,
    /// How long the client has acknowledged nothing.
    quiet: Duration,
    /// How many bytes were written since it began.
    pub(super) written: usize,
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

/// An HTTP/2 client ends the connection itself once it has read our GOAWAY; this is for the frames that cross it
/// (golang/go#18701), and short because a client that has nothing to say need not be waited for.
pub(super) const HTTP2_QUIET: Duration = Duration::from_millis(20);

/// For the answer to a PING if no stream is open: nobody waits for anything then.
const HTTP2_IDLE: Duration = Duration::from_secs(1);

/// How soon it is looked whether a client that ended its direction is gone, at first and then: the first time is for a
/// reset to come back.
pub(super) const FIRST_LOOK: Duration = Duration::from_millis(100);

pub(super) const LOOK: Duration = Duration::from_secs(1);

impl Policy {
    /// Whether to tell [`on_unacknowledged`](Self::on_unacknowledged) before this timer is [`on_timer`](Self::on_timer).
    #[must_use]
    pub fn needs_unacknowledged(&self, timer: Timer) -> bool {
        self.asks && self.bound(timer).is_some_and(|(_, asks)| !matches!(asks, Asks::Nothing | Asks::OfBody))
    }

    /// How many bytes that were written the client has not acknowledged, as the system says now; `None` if it does not
    /// know.
    pub fn on_unacknowledged(&mut self, bytes: Option<usize>) {
        self.unacknowledged = bytes;
    }

    /// A [`wait`](Self::wait) is over.
    pub fn on_timer(&mut self, timer: Timer) {
        let unacknowledged = self.unacknowledged.take();
        if (self.asks && self.goes_on(timer, unacknowledged)) || (timer == Timer::Progress && self.body_goes_on()) {
            return;
        }
        match (timer, self.stage, self.protocol) {
            // As long as it is in flight, the next one cannot be late.
            (Timer::Request, Stage::Active, _) => self.request_epoch += 1,
            (Timer::Request | Timer::Age, ..) => self.on_drain(),
            (Timer::State, Stage::Active, Protocol::Http1) => self.looked(),
            // What is in flight completes.
            (Timer::State, Stage::Active | Stage::Idle, Protocol::Http2) => self.end = End::Refusing,
            // Idle is the one state in which the engine still has something to do: to write its end. (It is asked to
            // finish only now: so what is read until then is served.)
            (Timer::State, Stage::Idle, Protocol::Http1) => self.enter(Stage::Ending),
            _ => {
                let is_on_its_way = self.blocked || unacknowledged.is_some_and(|it| it > 0);
                // To a client that has asked for nothing, what is on its way is no response.
                self.cut = self.in_flight > 0 || (is_on_its_way && self.request_epoch > 0);
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
        let is_http = !matches!(self.stage, Stage::Ending | Stage::Upgraded | Stage::Closed);
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
}

impl Clock {
    pub(super) fn restart(&mut self) {
        *self = Self { epoch: self.epoch + 1, ..Self::default() };
    }
}
