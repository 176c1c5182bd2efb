//! How the stages of a service share its deadline.

use std::error::Error;
use std::fmt;
use std::time::Duration;

/// What a stage asks for of the time that all stages have.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Share {
    /// The most that it may take, from its own beginning.
    pub(crate) most: Option<Duration>,
    pub(crate) reserve: Reserve,
}

/// Time that is kept for a stage, whatever the stages before it take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Reserve {
    /// None: a forced close cuts it at once.
    #[default]
    None,
    /// [`USUAL`], or less if the deadline is short.
    Usual,
    /// So much.
    Exactly(Duration),
}

/// What a closing action has in reserve, unless it is told otherwise.
const USUAL: Duration = Duration::from_secs(1);

/// How long the next stage waits at most for the tasks of one that was cut: to let go, or to write a `503`.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// How long each stage may take. It is known before the drain begins.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) stages: Vec<Limits>,
    pub(crate) last_words: Duration,
}

/// When a stage is cut: as soon as one of these is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Counted from the beginning of the first stage. Later stages have theirs later.
    pub(crate) latest: Option<Duration>,
    /// Counted from the beginning of this stage.
    pub(crate) most: Option<Duration>,
    /// Counted from the beginning of this stage, if the whole was closed by force.
    pub(crate) forced: Duration,
}

impl Plan {
    /// Shares `deadline` out. What a stage does not use is left to those behind it. If more is reserved than there is, no
    /// stage but those that have a reserve has any time.
    pub(crate) fn new(deadline: Option<Duration>, shares: &[Share]) -> (Self, Option<Overbooked>) {
        let last_words = deadline.map_or(LAST_WORDS, |it| LAST_WORDS.min(it / 20));
        let exactly = |share: &Share| match share.reserve {
            Reserve::Exactly(time) => time,
            Reserve::None | Reserve::Usual => Duration::ZERO,
        };
        // The first stage has nothing before it that could take the time that is kept for it.
        let pauses = last_words * u32::try_from(shares.len().saturating_sub(1)).unwrap_or(u32::MAX);
        let kept = shares.iter().map(exactly).try_fold(pauses, Duration::checked_add).unwrap_or(Duration::MAX);
        let overbooked = deadline.filter(|it| *it < kept).map(|deadline| Overbooked { deadline, kept });
        let deadline = overbooked.map_or(deadline, |_| Some(kept));
        let usual = deadline.map_or(USUAL, |deadline| {
            let takers = shares.iter().filter(|it| it.reserve == Reserve::Usual).count();
            // Together at most half of what is not promised to anybody.
            USUAL.min(deadline.saturating_sub(kept) / 2 / u32::try_from(takers.max(1)).unwrap_or(u32::MAX))
        });
        let reserve = |share: &Share| if share.reserve == Reserve::Usual { usual } else { exactly(share) };
        let mut behind = Some(Duration::ZERO);
        let mut stages: Vec<_> = shares
            .iter()
            .rev()
            .map(|share| {
                let latest = deadline.zip(behind).map(|(deadline, behind)| deadline.saturating_sub(behind));
                let forced = reserve(share);
                behind = behind.and_then(|it| it.checked_add(forced)).and_then(|it| it.checked_add(last_words));
                Limits { latest, most: share.most, forced }
            })
            .collect();
        stages.reverse();
        (Self { stages, last_words }, overbooked)
    }
}

/// More time is [reserved](crate::Service::reserve) for single stages than the [deadline](crate::Service::deadline) has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overbooked {
    deadline: Duration,
    kept: Duration,
}

impl fmt::Display for Overbooked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { deadline, kept } = self;
        write!(f, "the stages reserve {kept:?}, pauses between them included, of a deadline of {deadline:?}")
    }
}

impl Error for Overbooked {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn reserve() -> impl Strategy<Value = Reserve> {
        prop_oneof![Just(Reserve::None), Just(Reserve::Usual), (0_u64..3_000).prop_map(|it| Reserve::Exactly(ms(it))),]
    }

    fn shares() -> impl Strategy<Value = Vec<Share>> {
        let most = prop::option::of((0_u64..8_000).prop_map(ms));
        prop::collection::vec((most, reserve()).prop_map(|(most, reserve)| Share { most, reserve }), 1..8)
    }

    /// The instants at which stages end that need so long each, with what is cut taking all the time it is given.
    fn ends(plan: &Plan, needs: &[Duration]) -> Vec<(Duration, Duration)> {
        let mut now = Duration::ZERO;
        let end = |(limits, need): (&Limits, &Duration)| {
            let begin = now;
            let cut = [limits.latest, limits.most.map(|most| begin + most)].into_iter().flatten().min();
            let cut = cut.map(|it| it.max(begin));
            let end = cut.map_or(begin + *need, |cut| cut.min(begin + *need));
            now = if end < begin + *need { end + plan.last_words } else { end };
            (begin, end)
        };
        plan.stages.iter().zip(needs).map(end).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        #[test]
        fn no_stage_ends_behind_the_deadline_and_none_is_robbed_of_its_reserve(
            deadline in (0_u64..20_000).prop_map(ms),
            shares in shares(),
            needs in prop::collection::vec((0_u64..30_000).prop_map(ms), 8),
        ) {
            let (plan, None) = Plan::new(Some(deadline), &shares) else { return Ok(()) };
            for ((begin, end), (limits, need)) in ends(&plan, &needs).into_iter().zip(plan.stages.iter().zip(&needs)) {
                prop_assert!(end <= deadline);
                let promised = limits.most.map_or(limits.forced, |most| most.min(limits.forced)).min(*need);
                let had = end.saturating_sub(begin);
                prop_assert!(had >= promised, "{:?} of {:?}", had, promised);
            }
        }

        #[test]
        fn what_is_refused_reserves_more_than_there_is_and_nothing_else_is_refused(
            deadline in (0_u64..5_000).prop_map(ms),
            shares in shares(),
        ) {
            let pauses = LAST_WORDS.min(deadline / 20) * u32::try_from(shares.len() - 1).unwrap();
            let exactly = |share: &Share| if let Reserve::Exactly(time) = share.reserve { time } else { ms(0) };
            let kept = shares.iter().map(exactly).sum::<Duration>() + pauses;
            prop_assert_eq!(Plan::new(Some(deadline), &shares).1.is_some(), kept > deadline);
        }
    }

    #[test]
    fn a_stage_that_asks_for_nothing_has_all_that_is_not_reserved_behind_it() {
        let database = Share { most: None, reserve: Reserve::Exactly(ms(2_000)) };
        let (plan, overbooked) = Plan::new(Some(ms(30_000)), &[Share::default(), database]);
        assert_eq!(overbooked, None);
        assert_eq!(plan.stages[0], Limits { latest: Some(ms(27_900)), most: None, forced: ms(0) });
        assert_eq!(plan.stages[1], Limits { latest: Some(ms(30_000)), most: None, forced: ms(2_000) });
    }

    #[test]
    fn usual_reserves_give_way_to_a_short_deadline() {
        let action = Share { most: None, reserve: Reserve::Usual };
        let (plan, overbooked) = Plan::new(Some(ms(100)), &[Share::default(), action, action]);
        assert_eq!(overbooked, None);
        assert_eq!(plan.stages[1].forced, ms(90) / 4);
        assert!(plan.stages[0].latest.unwrap() >= ms(40));
    }

    #[test]
    fn without_a_deadline_nothing_is_cut_and_reserves_bound_what_is_left_after_a_forced_close() {
        let action = Share { most: None, reserve: Reserve::Usual };
        let (plan, overbooked) = Plan::new(None, &[Share::default(), action]);
        assert_eq!(overbooked, None);
        assert_eq!(plan.stages[0], Limits { latest: None, most: None, forced: ms(0) });
        assert_eq!(plan.stages[1], Limits { latest: None, most: None, forced: USUAL });
    }

    #[test]
    fn an_overbooked_deadline_is_told_with_both_times() {
        let share = Share { most: None, reserve: Reserve::Exactly(ms(5_000)) };
        let error = Plan::new(Some(ms(8_000)), &[share, share]).1.unwrap().to_string();
        assert_eq!(error, "the stages reserve 10.1s, pauses between them included, of a deadline of 8s");
    }
}
