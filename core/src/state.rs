//! How far a drain has come.

/// How far a [`Drain`](crate::Drain) has come. It only grows.
///
/// There will be no fourth, so a `match` may be without a last arm: new work is taken or not, and what is held is waited for
/// or not. What may come to be told of a drain besides, such as its [`Cause`](crate::Cause), is told elsewhere.
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
    /// No new guard is handed out; the guards that are held are waited for.
    Draining,
    /// Every guard has been released, or time was up.
    Closed,
}

/// What the one atomic word of a drain says: the state, and how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Phase {
    Running = 0,
    Draining = 1,
    /// Closed by the release of the last guard.
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
    fn a_phase_survives_the_word_it_is_kept_in() {
        for phase in [Phase::Running, Phase::Draining, Phase::Clean, Phase::Forced] {
            assert_eq!(Phase::from_word(phase as u8), phase);
        }
    }

    #[test]
    fn both_ends_are_closed() {
        assert_eq!(Phase::Clean.state(), State::Closed);
        assert_eq!(Phase::Forced.state(), State::Closed);
    }
}
