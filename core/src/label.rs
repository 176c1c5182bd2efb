//! `Label`: a name for guards; `Held`: how many guards have one.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::any::Any;
use core::cmp::{Ordering, Reverse};
use core::fmt;
use core::hash::{Hash, Hasher};
use core::panic::{Location, RefUnwindSafe, UnwindSafe};

use crate::sync::Arc;

/// A name for guards, shown if they are overdue: a text, a line of source, or a value that is formatted when it is shown.
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
    Live(Live),
}

/// Equal only to its own clones.
#[derive(Clone)]
struct Live(Arc<dyn Tells>);

/// `Display`, and `Any` for the downcast.
trait Tells: fmt::Display + Send + Sync {
    fn as_any(&self) -> &dyn Any;
}

impl<T: fmt::Display + Any + Send + Sync> Tells for T {
    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Label {
    /// A label that is the line of source which calls this, as `file:line:column`.
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

    /// A label that is a value, formatted anew whenever the label is shown.
    ///
    /// The value is dropped with the last guard that has the label and the last [`Overdue`](crate::Overdue) that names it. No
    /// other label is equal to this one.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicUsize, Ordering};
    ///
    /// struct Upload(Arc<AtomicUsize>);
    /// impl std::fmt::Display for Upload {
    ///     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    ///         write!(f, "upload, {} bytes so far", self.0.load(Ordering::Relaxed))
    ///     }
    /// }
    ///
    /// let drain = ebbtide::Drain::new();
    /// let bytes = Arc::new(AtomicUsize::new(0));
    /// let guard = drain.watcher().labelled(ebbtide::Label::live(Upload(bytes.clone())));
    /// bytes.store(7, Ordering::Relaxed);
    /// assert_eq!(drain.held()[0].to_string(), "upload, 7 bytes so far");
    /// # drop(guard);
    /// ```
    pub fn live(what: impl fmt::Display + Send + Sync + 'static) -> Self {
        Self(Kind::Live(Live(Arc::from(Box::new(what) as Box<dyn Tells>))))
    }

    /// How many clones there are of a live label, itself included; `None` for other labels.
    pub(crate) fn clones(&self) -> Option<usize> {
        match &self.0 {
            Kind::Live(live) => Some(Arc::strong_count(&live.0)),
            Kind::Words(_) | Kind::Place(_) => None,
        }
    }

    /// The value that was given to [`live`](Self::live), if it is a `T`.
    ///
    /// # Examples
    ///
    /// ```
    /// let label = ebbtide::Label::live(7_u8);
    /// assert_eq!(label.downcast_ref::<u8>(), Some(&7));
    /// assert_eq!(label.downcast_ref::<u16>(), None);
    /// ```
    #[must_use]
    pub fn downcast_ref<T: 'static>(&self) -> Option<&T> {
        match &self.0 {
            Kind::Live(live) => (*live.0).as_any().downcast_ref(),
            Kind::Words(_) | Kind::Place(_) => None,
        }
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
            Kind::Live(live) => live.0.fmt(f),
        }
    }
}

// It is only ever formatted; a panic there leaves no state of the drain half changed.
impl UnwindSafe for Live {}
impl RefUnwindSafe for Live {}

impl Live {
    fn address(&self) -> usize {
        core::ptr::from_ref::<dyn Tells>(&*self.0).addr()
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", &*self.0)
    }
}

impl PartialEq for Live {
    fn eq(&self, other: &Self) -> bool {
        self.address() == other.address()
    }
}

impl Eq for Live {}

impl PartialOrd for Live {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Live {
    fn cmp(&self, other: &Self) -> Ordering {
        self.address().cmp(&other.address())
    }
}

impl Hash for Live {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.address().hash(state);
    }
}

/// A label, and the number of guards that are held under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    label: Label,
    guards: usize,
    part: Option<Label>,
}

impl Held {
    pub(crate) fn new(label: Label, guards: usize) -> Self {
        Self { label, guards, part: None }
    }

    /// The label of the guards.
    #[must_use]
    pub fn label(&self) -> &Label {
        &self.label
    }

    /// The number of guards, clones included. At least one.
    #[must_use]
    pub fn guards(&self) -> usize {
        self.guards
    }

    /// The label of the [`child`](crate::Watcher::child) that the guards belong to, in the outcome of its parent. `None` for a
    /// drain's own guards.
    #[must_use]
    pub fn part(&self) -> Option<&Label> {
        self.part.as_ref()
    }

    /// The same, marked as guards of `part`. If a part has parts, the innermost is kept.
    pub(crate) fn of_part(mut self, part: &Label) -> Self {
        self.part.get_or_insert_with(|| part.clone());
        self
    }

    /// Adds up the entries of one label and part. The most guards first.
    pub(crate) fn sum(all: impl Iterator<Item = Self>) -> Vec<Self> {
        let mut sums = BTreeMap::new();
        for Self { label, guards, part } in all {
            *sums.entry((label, part)).or_insert(0_usize) += guards;
        }
        let mut all: Vec<_> = sums.into_iter().map(|((label, part), guards)| Self { label, guards, part }).collect();
        all.sort_by_key(|it| Reverse(it.guards));
        all
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(part) = &self.part {
            write!(f, "{part}: ")?;
        }
        match (self.guards, &self.label.0) {
            // One value, however many guards it has.
            (_, Kind::Live(_)) | (1, _) => self.label.fmt(f),
            (n, _) => write!(f, "{n} x {}", self.label),
        }
    }
}
