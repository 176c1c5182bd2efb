//! The error of whoever comes too late.

use core::error::Error;
use core::fmt;

/// Draining has begun, so there is no guard any more: an error, for `?` where
/// [`Watcher::guard`](crate::Watcher::guard) and [`Drain::guard`](crate::Drain::guard) are `None`.
///
/// It is written by who asks, so it will stay without fields; why it drains is told by
/// [`Watcher::cause`](crate::Watcher::cause).
///
/// # Examples
///
/// ```
/// use ebbtide::{Drain, Draining, Watcher};
///
/// fn begin(watcher: &Watcher) -> Result<(), Draining> {
///     let guard = watcher.guard().ok_or(Draining)?;
///     // The work that the guard is for.
///     drop(guard);
///     Ok(())
/// }
///
/// let drain = Drain::new();
/// assert_eq!(begin(&drain.watcher()), Ok(()));
/// let _ = drain.start();
/// assert_eq!(begin(&drain.watcher()).unwrap_err().to_string(), "draining has begun: no new work is taken");
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Draining;

impl fmt::Display for Draining {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("draining has begun: no new work is taken")
    }
}

// What a `main` prints that ends with it.
impl fmt::Debug for Draining {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for Draining {}
