//! `Cause`: why a drain began.

use core::fmt;
use core::panic::Location;

use crate::label::Label;

/// Why a drain began: a reason that was given, or the line of source that started it.
///
/// [`Drain::cause`](crate::Drain::cause) and [`Watcher::cause`](crate::Watcher::cause) return it. If a drain is started more
/// than once, the first start counts. `Display` is a text for people.
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
    /// [`start_because`](crate::Drain::start_because) was called: the reason that was given. If it was made by
    /// [`Label::live`], [`Label::downcast_ref`] returns the value, such as a signal or the failure of a service's part.
    Said(Label),
    /// [`start`](crate::Drain::start) or [`close`](crate::Drain::close) was called: where in the source.
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
