//! `Overdue`: the error of a drain that had to cut work.

use alloc::vec::Vec;
use core::error::Error;
use core::fmt;

use crate::label::{Held, Label};

/// The error that a drain was closed while guards were held: work was cut.
///
/// `Display` is one line for people. `Debug` is the same line, since a `main` that returns an error prints its `Debug`.
///
/// # Examples
///
/// ```
/// # futures_lite::future::block_on(async {
/// let drain = ebbtide::Drain::new();
/// let guard = drain.guard();
/// let upload = drain.watcher().labelled("upload");
/// drain.close();
///
/// let overdue = drain.start().await.unwrap_err();
/// assert_eq!(overdue.guards(), 2);
/// assert_eq!(overdue.to_string(), "closed by force: 2 guards were still held (upload, 1 guard without a label)");
/// assert_eq!(format!("{overdue:?}"), overdue.to_string());
/// # drop((guard, upload));
/// # });
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Overdue {
    // Four bytes, so that the next field does not make the outcome of a drain larger.
    guards: u32,
    by_force: bool,
    held: Vec<Held>,
}

impl Overdue {
    /// Guards that were held at a forced close.
    pub(crate) fn forced(guards: usize, held: Vec<Held>) -> Self {
        Self { guards: u32::try_from(guards).unwrap_or(u32::MAX), by_force: true, held }
    }

    /// One guard that was [given up](crate::Guard::give_up).
    pub(crate) fn given_up(label: Option<Label>) -> Self {
        Self { guards: 1, by_force: false, held: label.map(|label| Held::new(label, 1)).into_iter().collect() }
    }

    /// The same, marked as cut in `part`. Guards without a label get that of the part.
    pub(crate) fn of_part(self, part: &Label) -> Self {
        let others = (self.others() > 0).then(|| Held::new(part.clone(), self.others()));
        let held = Held::sum(self.held.into_iter().map(|it| it.of_part(part)).chain(others));
        Self { held, ..self }
    }

    /// The sum of both.
    pub(crate) fn and(self, other: Option<Self>) -> Self {
        let Some(other) = other else { return self };
        Self {
            guards: self.guards.saturating_add(other.guards),
            by_force: self.by_force || other.by_force,
            held: Held::sum(self.held.into_iter().chain(other.held)),
        }
    }

    /// The number of guards that were held at the forced close or [given up](crate::Guard::give_up), clones included.
    ///
    /// At least one. A guard that another thread was just asking for may be counted, though it was refused.
    #[must_use]
    pub fn guards(&self) -> usize {
        usize::try_from(self.guards).unwrap_or(usize::MAX)
    }

    /// How many of them have no label.
    fn others(&self) -> usize {
        let labelled: usize = self.held.iter().map(Held::guards).sum();
        self.guards().saturating_sub(labelled)
    }

    /// The labels of these guards, with the number of guards of each, the most first.
    ///
    /// Guards without a label are not listed; `Display` counts them. For a
    /// [`child`](crate::Watcher::child) they are listed under the label of the child.
    #[must_use]
    pub fn held(&self) -> &[Held] {
        &self.held
    }
}

impl fmt::Display for Overdue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let others = self.others();
        let which = if self.held.is_empty() { " without a label" } else { "" };
        let (how, what) =
            if self.by_force { ("closed by force", "still held") } else { ("closed, but not well", "given up") };
        match self.guards {
            1 => write!(f, "{how}: 1 guard{which} was {what}")?,
            n => write!(f, "{how}: {n} guards{which} were {what}")?,
        }
        if self.held.is_empty() {
            return Ok(());
        }
        for (at, held) in self.held.iter().enumerate() {
            write!(f, "{}{held}", if at == 0 { " (" } else { ", " })?;
        }
        match others {
            0 => f.write_str(")"),
            1 => f.write_str(", 1 guard without a label)"),
            n => write!(f, ", {n} guards without a label)"),
        }
    }
}

impl fmt::Debug for Overdue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for Overdue {}
