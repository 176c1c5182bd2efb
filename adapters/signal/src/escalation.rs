//! `Escalation`: which step a signal is, and what it does to the drain.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ebbtide::{Drain, Label, State};

use crate::platform;
use crate::signal::Signal;

/// The same signal within this time of one that counted is a repeat. Supervisors pass a Ctrl-C on in 0 to 20 ms
/// (npm/cli#5021), and people need more than 100 ms to press it twice. It is half as long again for a busy machine, which
/// reads signals late.
const REPEAT: Duration = Duration::from_millis(150);

/// A drain, and the signals that have counted for it.
#[derive(Clone, Debug)]
pub(crate) struct Escalation {
    drain: Drain,
    steps: Arc<Mutex<Steps>>,
}

impl Escalation {
    pub(crate) fn new(drain: Drain) -> Self {
        Self { drain, steps: Arc::default() }
    }

    pub(crate) fn step(&self, signal: Signal, at: Instant) {
        let step = self.steps.lock().unwrap_or_else(PoisonError::into_inner).next(signal, at);
        let Some(step) = step else { return };
        if self.drain.state() == State::Closed {
            platform::die(signal);
        }
        match step {
            0 => contain(|| drop(self.drain.start_because(Label::live(signal)))),
            1 => contain(|| self.drain.close()),
            _ => platform::die(signal),
        }
    }
}

/// Runs `wake`, and catches the panic of a waker, so that the signals' thread lives on. Without that thread, further signals
/// would have no effect. The panic hook has reported the panic by then.
pub(crate) fn contain(wake: impl FnOnce()) {
    drop(catch_unwind(AssertUnwindSafe(wake)));
}

/// The signals that counted.
#[derive(Debug, Default)]
struct Steps {
    taken: usize,
    last: Option<(Signal, Instant)>,
}

impl Steps {
    /// The number of the step that this signal is, from 0; `None` if it repeats the last.
    fn next(&mut self, signal: Signal, at: Instant) -> Option<usize> {
        // Since the last one that counted, not the last repeat: a key that is held down counts again.
        let repeats = |&(last, since): &(Signal, Instant)| {
            (signal == last || signal == Signal::Hangup) && at.saturating_duration_since(since) < REPEAT
        };
        if self.last.as_ref().is_some_and(repeats) {
            return None;
        }
        self.last = Some((signal, at));
        self.taken += 1;
        Some(self.taken - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::Signal::{Hangup, Interrupt, Terminate};
    use super::*;

    /// Which steps these signals are, each so many milliseconds after a beginning.
    fn steps(signals: &[(Signal, u64)]) -> Vec<Option<usize>> {
        let (mut steps, begin) = (Steps::default(), Instant::now());
        signals.iter().map(|(signal, ms)| steps.next(*signal, begin + Duration::from_millis(*ms))).collect()
    }

    #[test]
    fn a_repeat_of_the_same_signal_is_the_same_one() {
        assert_eq!(steps(&[(Interrupt, 0), (Interrupt, 0), (Interrupt, 149)]), [Some(0), None, None]);
        assert_eq!(steps(&[(Terminate, 0), (Terminate, 500), (Terminate, 520)]), [Some(0), Some(1), None]);
    }

    #[test]
    fn the_same_signal_a_little_later_is_the_next_step() {
        assert_eq!(steps(&[(Interrupt, 0), (Interrupt, 150), (Interrupt, 300)]), [Some(0), Some(1), Some(2)]);
    }

    #[test]
    fn another_signal_is_the_next_step_at_once() {
        assert_eq!(steps(&[(Interrupt, 0), (Terminate, 0), (Interrupt, 0)]), [Some(0), Some(1), Some(2)]);
    }

    #[test]
    fn a_key_that_is_held_down_is_not_one_repeat_for_ever() {
        assert_eq!(steps(&[(Interrupt, 0), (Interrupt, 100), (Interrupt, 160)]), [Some(0), None, Some(1)]);
    }

    #[test]
    fn a_hangup_that_goes_along_with_another_signal_is_no_step() {
        assert_eq!(steps(&[(Terminate, 0), (Hangup, 1), (Hangup, 200)]), [Some(0), None, Some(1)]);
        assert_eq!(steps(&[(Hangup, 0), (Hangup, 1), (Terminate, 2)]), [Some(0), None, Some(1)]);
    }
}
