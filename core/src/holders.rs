//! Who holds the drain up: labels, and how many guards have each.

use alloc::borrow::Cow;
use alloc::string::String;
use core::fmt;
use core::panic::Location;

/// What a guard is for: words of yours, or the place in the source where it was taken.
///
/// # Examples
///
/// ```
/// use ebbtide::Label;
///
/// assert_eq!(Label::from("upload").to_string(), "upload");
/// assert_eq!(Label::from(format!("client {}", 7)), Label::from("client 7"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(Kind);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Kind {
    Words(Cow<'static, str>),
    Place(&'static Location<'static>),
}

impl Label {
    /// The place in the source that calls this.
    ///
    /// # Examples
    ///
    /// ```
    /// let label = ebbtide::Label::here();
    /// assert!(label.to_string().matches(':').count() >= 2, "file:line:column");
    /// ```
    #[track_caller]
    #[must_use]
    pub fn here() -> Self {
        Self(Kind::Place(Location::caller()))
    }
}

impl From<&'static str> for Label {
    fn from(words: &'static str) -> Self {
        Self(Kind::Words(Cow::Borrowed(words)))
    }
}

impl From<String> for Label {
    fn from(words: String) -> Self {
        Self(Kind::Words(Cow::Owned(words)))
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Words(words) => f.write_str(words),
            Kind::Place(place) => place.fmt(f),
        }
    }
}

/// How many guards are held under one label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    label: Label,
    guards: usize,
}

impl Held {
    pub(crate) fn new(label: Label, guards: usize) -> Self {
        Self { label, guards }
    }

    /// What they are for.
    #[must_use]
    pub fn label(&self) -> &Label {
        &self.label
    }

    /// How many there are, clones counted. At least one.
    #[must_use]
    pub fn guards(&self) -> usize {
        self.guards
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.guards {
            1 => self.label.fmt(f),
            n => write!(f, "{n} x {}", self.label),
        }
    }
}
