//! What was still held when time was up.

use alloc::vec::Vec;
use core::error::Error;
use core::fmt;

use crate::holders::Held;

/// The drain was closed while guards were held: what was cut.
///
/// As text it is a line for people, and as `{:?}` the same line, since that is what a `main` prints that ends with it.
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
    guards: usize,
    held: Vec<Held>,
}

impl Overdue {
    pub(crate) fn new(guards: usize, held: Vec<Held>) -> Self {
        Self { guards, held }
    }

    /// How many guards were held at the forced close, clones counted. At least one.
    ///
    /// A guard that another thread was asking for at that moment may be among them, though it was refused.
    #[must_use]
    pub fn guards(&self) -> usize {
        self.guards
    }

    /// Whose they were, if they had a label: the most first. The text of this error counts the others beside them.
    #[must_use]
    pub fn held(&self) -> &[Held] {
        &self.held
    }
}

impl fmt::Display for Overdue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let labelled: usize = self.held.iter().map(Held::guards).sum();
        let others = self.guards.saturating_sub(labelled);
        let which = if self.held.is_empty() { " without a label" } else { "" };
        match self.guards {
            1 => write!(f, "closed by force: 1 guard{which} was still held")?,
            n => write!(f, "closed by force: {n} guards{which} were still held")?,
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
