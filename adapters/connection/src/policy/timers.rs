//! The timers of a connection: which there are, how long they run, and what happens when one runs out.

use core::time::Duration;

use super::{Answer, Body, End, Policy, Protocol, Stage};
use crate::bounds::Bounds;

/// The timers that a connection can need at the same time. Exhaustive, since an adapter that ignores one would be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// Runs from the connection's beginning, and from every request on, until the drain begins.
    ///
    /// An adapter may let the timer of an earlier epoch run out first. To restart one for each request would cost more than the
    /// request does.
    Request,
    /// Runs from the connection's beginning to that of its drain: [`Bounds::age`].
    Age,
    /// Runs from the moment at which a state was entered.
    State,
    /// Restarts whenever bytes are read or written.
    Progress,
}

/// A timer to keep: call [`Policy::on_timer`] when `after` has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// How long from now.
    pub after: Duration,
    /// Identifies the wait: if it differs from the last one, restart the timer.
    pub epoch: u64,
    /// Restart it only once the old timer has run out. The wait may be longer then, and timers are seldom started.
    pub is_lazy: bool,
}

/// A wait of a connection, and what the system has answered since it began.
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

/// How the system is asked for unacknowledged bytes before a bound counts as over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asks {
    /// Not at all: the wait is for the client to send.
    Nothing,
    /// Halfway and at the end: whether the client has acknowledged bytes between the two.
    Halfway,
    /// At the end: if all bytes are acknowledged, the bound begins to count.
    AtTheEnd,
    /// At the end: if all bytes are acknowledged, the bound is over.
    Once,
    /// Not at all: halfway, the policy checks how much of the body has come.
    OfBody,
}

/// How long an HTTP/2 connection lingers after the last byte that came. The client closes the connection itself once it has
/// read our GOAWAY, so this is for frames that cross it (golang/go#18701).
pub(super) const HTTP2_QUIET: Duration = Duration::from_millis(20);

/// The wait for the answer to a PING if no stream is open: no request is waiting then.
const HTTP2_IDLE: Duration = Duration::from_secs(1);

/// When to check first whether a client that closed its direction has disconnected: time for a reset to come back.
pub(super) const FIRST_LOOK: Duration = Duration::from_millis(100);

/// The shortest time between two checks of what the client has acknowledged.
const MOMENT: Duration = Duration::from_millis(10);

/// The time between further checks.
pub(super) const LOOK: Duration = Duration::from_secs(1);

impl Policy {
    /// Whether to call [`on_unacknowledged`](Self::on_unacknowledged) before [`on_timer`](Self::on_timer) of this timer.
    #[must_use]
    pub fn needs_unacknowledged(&self, timer: Timer) -> bool {
        self.asks && self.bound(timer).is_some_and(|(_, asks)| !matches!(asks, Asks::Nothing | Asks::OfBody))
    }

    /// The number of written bytes that the client has not acknowledged, as the system says; `None` if it does not know.
    pub fn on_unacknowledged(&mut self, bytes: Option<usize>) {
        self.unacknowledged = bytes;
    }

    /// The timer of a [`wait`](Self::wait) has run out.
    pub fn on_timer(&mut self, timer: Timer) {
        let unacknowledged = self.unacknowledged.take();
        if (self.asks && self.goes_on(timer, unacknowledged)) || (timer == Timer::Progress && self.body_goes_on()) {
            return;
        }
        match (timer, self.stage, self.protocol) {
            // While a request is in flight, the next one cannot be late.
            (Timer::Request, Stage::Active, _) => self.request_epoch += 1,
            (Timer::Request | Timer::Age, ..) => self.on_drain(),
            (Timer::State, Stage::Active, Protocol::Http1) => self.looked(),
            // Open streams complete.
            (Timer::State, Stage::Active | Stage::Idle, Protocol::Http2) => self.end = End::Refusing,
            // An idle engine must still close its direction. It is asked to finish only now, so that a request which is read
            // before that is served.
            (Timer::State, Stage::Idle, Protocol::Http1) => self.enter(Stage::Ending),
            _ => {
                let is_on_its_way = self.blocked || unacknowledged.is_some_and(|it| it > 0);
                // Without a request, bytes that are on their way are no response.
                self.cut = self.in_flight > 0 || (is_on_its_way && self.request_epoch > 0);
                self.enter(Stage::Closed);
            }
        }
    }

    /// A check found no reset from a client that has closed its direction. If its response has begun and nothing was written for
    /// [`Bounds::linger`], the client is taken to have disconnected.
    fn looked(&mut self) {
        let Some(looks) = &mut self.looks else { return };
        *looks += 1;
        let silent = LOOK.saturating_mul(*looks);
        self.state_clock.restart();
        if self.answer != Answer::Owed && silent > self.bounds.bounds().linger {
            self.enter(Stage::Closed);
        }
    }

    /// Half of the bound of a body has passed, if one is awaited. Returns whether to wait on.
    fn body_goes_on(&mut self) -> bool {
        let goes_on = match self.body {
            _ if self.blocked => return false,
            Body::NotAwaited | Body::Late { awaited: true, .. } => return false,
            Body::Awaited => Body::Late { awaited: false, bytes: 0 },
            // The engine does not wait for it any more.
            Body::Late { awaited: false, .. } => Body::NotAwaited,
        };
        self.body = goes_on;
        self.progress_clock.epoch += 1;
        true
    }

    /// Whether to wait on, judged by what the client has acknowledged.
    fn goes_on(&mut self, timer: Timer, unacknowledged: Option<usize>) -> bool {
        let (Some((bound, asks)), Some(wait)) = (self.bound(timer), self.wait(timer)) else { return false };
        let stall = if self.end == End::Open { self.bounds.bounds().progress } else { self.bounds.bounds().stall };
        let answers_only = self.answers_only() && matches!(self.stage, Stage::Active | Stage::Idle);
        let clock = match timer {
            Timer::Request | Timer::Age => return false,
            Timer::State => &mut self.state_clock,
            Timer::Progress => &mut self.progress_clock,
        };
        let before = clock.unacknowledged;
        clock.unacknowledged = unacknowledged;
        clock.emptied |= unacknowledged.is_some_and(|it| it == 0 || it < clock.written);
        // Bytes after the last response answer frames that the client sends: it could go on like this for ever.
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

    /// The wait of this timer; `None` if it need not be kept.
    #[must_use]
    pub fn wait(&self, timer: Timer) -> Option<Wait> {
        let (bound, asks) = self.bound(timer)?;
        let is_halved = (self.asks && asks == Asks::Halfway) || asks == Asks::OfBody;
        let after = if is_halved { bound / 2 } else { bound };
        let is_asked = self.asks && !matches!(asks, Asks::Nothing | Asks::OfBody);
        // Waits of nothing would never add up to the bound of a client that takes nothing.
        let after = if is_asked { after.max(MOMENT.min(self.bounds.bounds().stall)) } else { after };
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
        let Bounds { silent, idle, head, preface, goaway, stall, linger, .. } = self.bounds.bounds();
        if self.end == End::Open && !matches!(self.stage, Stage::Lingering { .. }) {
            return self.bound_while_open(timer);
        }
        if timer == Timer::State && self.may_leave() {
            // It waits for the successor, and not for the client.
            return None;
        }
        let bound = match timer {
            Timer::Request | Timer::Age => return None,
            Timer::State => match (self.stage, self.protocol) {
                (Stage::Preface(0), _) => (silent, Asks::Nothing),
                (Stage::Preface(_), _) => (preface, Asks::Nothing),
                (Stage::Handshake | Stage::Head, _) => (head, Asks::Nothing),
                (Stage::Active, Protocol::Http1) => return self.look(),
                // While the rest of the last response is still to be written, the client sends no next request.
                (Stage::Idle, Protocol::Http1) if !self.blocked => {
                    (idle, if self.ended_late { Asks::AtTheEnd } else { Asks::Nothing })
                }
                // The client reads the PING only after what was written before it.
                (Stage::Active | Stage::Idle, Protocol::Http2) if self.end == End::Finishing => (goaway, Asks::Halfway),
                (Stage::Lingering { .. }, _) => (linger, Asks::Once),
                _ => return None,
            },
            Timer::Progress => match (self.stage, self.protocol) {
                (Stage::Upgraded | Stage::Closed, _) => return None,
                (Stage::Lingering { .. }, Protocol::Http1) => (idle, Asks::Once),
                (Stage::Lingering { .. }, Protocol::Http2) => (HTTP2_QUIET.min(idle), Asks::Once),
                (Stage::Ending, _) => (stall, Asks::Halfway),
                // No stream is open, but the end of a response may still be on its way.
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

    /// The bound of a timer before the drain.
    fn bound_while_open(&self, timer: Timer) -> Option<(Duration, Asks)> {
        let Bounds { request, keep_alive, progress, age, .. } = self.bounds.bounds();
        let is_http = !matches!(self.stage, Stage::Ending | Stage::Upgraded | Stage::Closed);
        let bound = match timer {
            // Epoch 0: no request yet.
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
        let bound = self.bounds.bounds().progress;
        (bound < Duration::MAX && self.body != Body::NotAwaited).then_some((bound, Asks::OfBody))
    }

    /// When to check next whether a client that closed its direction has disconnected.
    fn look(&self) -> Option<(Duration, Asks)> {
        Some((if self.looks? == 0 { FIRST_LOOK } else { LOOK }, Asks::Nothing))
    }
}

impl Clock {
    pub(super) fn restart(&mut self) {
        *self = Self { epoch: self.epoch + 1, ..Self::default() };
    }
}
