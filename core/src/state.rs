//! `State`: whether a drain is running, draining or closed.

/// The state of a [`Drain`](crate::Drain). It only grows: from `Running` to `Draining` to `Closed`.
///
/// The enum is exhaustive, and will have no fourth state. More facts about a drain, such as its [`Cause`](crate::Cause), are
/// functions of its handles.
///
/// # Examples
///
/// ```
/// use ebbtide::{Drain, State};
///
/// let drain = Drain::new();
/// assert_eq!(drain.state(), State::Running);
/// let _ = drain.start(); // nothing is held, so nothing is waited for
/// assert_eq!(drain.state(), State::Closed);
/// assert!(State::Running < State::Draining && State::Draining < State::Closed);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Guards are handed out.
    Running,
    /// No new guard is handed out; the drain waits for the guards that are held.
    Draining,
    /// Every guard has been dropped, or the drain was closed by force.
    Closed,
}

/// The atomic word of a drain: its state, and whether it was closed by force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Phase {
    Running = 0,
    Draining = 1,
    /// Closed by the drop of the last guard.
    Clean = 2,
    /// Closed while guards were held.
    Forced = 3,
}

impl Phase {
    #[inline]
    pub(crate) fn from_word(word: u8) -> Self {
        match word {
            0 => Self::Running,
            1 => Self::Draining,
            2 => Self::Clean,
            _ => Self::Forced,
        }
    }

    #[inline]
    pub(crate) fn state(self) -> State {
        match self {
            Self::Running => State::Running,
            Self::Draining => State::Draining,
            Self::Clean | Self::Forced => State::Closed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_converts_to_its_word_and_back() {
        for phase in [Phase::Running, Phase::Draining, Phase::Clean, Phase::Forced] {
            assert_eq!(Phase::from_word(phase as u8), phase);
        }
    }

    #[test]
    fn clean_and_forced_are_both_closed() {
        assert_eq!(Phase::Clean.state(), State::Closed);
        assert_eq!(Phase::Forced.state(), State::Closed);
    }
}
