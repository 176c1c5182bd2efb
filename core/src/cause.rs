//! Why a drain began.

use core::fmt;
use core::panic::Location;

use crate::label::Label;

/// Why a drain began: what its starter said of it, or where in the source it was started.
///
/// [`Drain::cause`](crate::Drain::cause) and [`Watcher::cause`](crate::Watcher::cause) tell it. The first start counts.
/// Text for people is its `Display`.
///
/// # Examples
///
/// ```
/// use ebbtide::{Cause, Drain};
///
/// let drain = Drain::new();
/// let watcher = drain.watcher();
/// assert_eq!(watcher.cause(), None);
///
/// let _ = drain.start_because("the disk is full");
/// assert_eq!(watcher.cause(), Some(Cause::Said("the disk is full".into())));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// [`start_because`](crate::Drain::start_because): what was said. [`Label::downcast_ref`] gives back what was given
    /// to [`Label::live`], such as the signal or the [`Failure`](crate::Failure) that it was.
    Said(Label),
    /// [`start`](crate::Drain::start) or [`close`](crate::Drain::close): who called it.
    Called(&'static Location<'static>),
    /// The last [`Drain`](crate::Drain) was dropped.
    Dropped,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Said(label) => label.fmt(f),
            Self::Called(place) => write!(f, "started at {place}"),
            Self::Dropped => f.write_str("the last `Drain` was dropped"),
        }
    }
}
