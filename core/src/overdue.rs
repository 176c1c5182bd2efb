//! What was still held when time was up.

use core::error::Error;
use core::fmt;

/// The drain was closed while guards were held: what was cut.
///
/// # Examples
///
/// ```
/// # futures_lite::future::block_on(async {
/// let drain = ebbtide::Drain::new();
/// let guard = drain.watcher().guard();
/// drain.close();
///
/// let overdue = drain.start().await.unwrap_err();
/// assert_eq!(overdue.guards(), 1);
/// assert_eq!(overdue.to_string(), "closed by force: 1 guard was still held");
/// # drop(guard);
/// # });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overdue {
    guards: usize,
}

impl Overdue {
    pub(crate) fn new(guards: usize) -> Self {
        Self { guards }
    }

    /// How many guards were held at the forced close, clones counted. At least one.
    ///
    /// A guard that another thread was asking for at that moment may be among them, though it was refused.
    #[must_use]
    pub fn guards(&self) -> usize {
        self.guards
    }
}

impl fmt::Display for Overdue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.guards {
            1 => f.write_str("closed by force: 1 guard was still held"),
            n => write!(f, "closed by force: {n} guards were still held"),
        }
    }
}

impl Error for Overdue {}
