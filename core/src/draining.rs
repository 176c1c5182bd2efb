//! `Draining`: the error if no guard is given any more.

use core::error::Error;
use core::fmt;

/// The error that draining has begun, so that no new work is taken.
///
/// Callers make it of the `None` of [`Watcher::guard`](crate::Watcher::guard) and [`Drain::guard`](crate::Drain::guard), for
/// `?`. Since callers write it out, it will never have fields; [`Watcher::cause`](crate::Watcher::cause) tells the cause.
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

// A `main` that returns an error prints its `Debug`.
impl fmt::Debug for Draining {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for Draining {}
