//! `Holder`: one entry of what a drain waits for.

use std::fmt;
use std::time::Duration;

use ebbtide::Held;

use crate::text;

/// One entry of what a drain waits for: a text, a number of guards, and an age if it is known.
///
/// The text is one line. Control characters in it are escaped, and what is longer than 200 characters is cut.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use ebbtide_post_mortem::Holder;
///
/// let holder = Holder::new("GET /report").aged(Duration::from_millis(29_100));
/// assert_eq!(holder.to_string(), "GET /report 29.1 s");
/// assert_eq!(Holder::new("line\nbreak").what(), "line\\nbreak");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    pub(crate) what: String,
    pub(crate) guards: usize,
    pub(crate) age: Option<Duration>,
}

impl Holder {
    /// An entry with one guard, and of unknown age.
    pub fn new(what: impl fmt::Display) -> Self {
        Self { what: text::line(&what), guards: 1, age: None }
    }

    /// The same, with its age. Entries that have an age stand first, the oldest before the others.
    #[must_use]
    pub fn aged(self, age: Duration) -> Self {
        Self { age: Some(age), ..self }
    }

    /// What it is.
    #[must_use]
    pub fn what(&self) -> &str {
        &self.what
    }

    /// The number of its guards. At least one.
    #[must_use]
    pub fn guards(&self) -> usize {
        self.guards
    }

    /// How long it had been held when the file was last written, if that is known. Read from a file, it is exact to 0.1 s.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        self.age
    }
}

impl From<&Held> for Holder {
    fn from(held: &Held) -> Self {
        let what = match held.part() {
            Some(part) => text::line(&format_args!("{part}: {}", held.label())),
            None => text::line(held.label()),
        };
        Self { what, guards: held.guards(), age: None }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.guards > 1 {
            write!(f, "{} x ", self.guards)?;
        }
        f.write_str(&self.what)?;
        self.age.map_or(Ok(()), |age| write!(f, " {}", text::seconds(age)))
    }
}
