//! Texts and times as they stand in a file: of one line, bounded, and the same when they are written again.

use std::fmt::{self, Write};
use std::time::Duration;

/// The longest text, in characters.
const LONGEST: usize = 200;

/// `what` on one line. A path or a label may come from a client, and `cat` on a terminal acts on control characters.
pub(crate) fn line(what: &impl fmt::Display) -> String {
    let mut line = Line { text: String::new(), left: LONGEST, is_cut: false };
    // An error is the cut, or `what` itself has given up. What there is will do.
    let _all_or_not = write!(line, "{what}");
    if line.is_cut {
        line.text.push('…');
    }
    line.text
}

/// Whether a text is one that [`line`] makes.
pub(crate) fn is_line(text: &str) -> bool {
    line(&text) == text
}

/// Stops a text that is too long while it is being made.
struct Line {
    text: String,
    left: usize,
    is_cut: bool,
}

impl Write for Line {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        for char in more.chars() {
            let is_plain = matches!(char, '\'' | '"' | '\\');
            let length = if is_plain { 1 } else { char.escape_debug().count() };
            let Some(left) = self.left.checked_sub(length) else {
                self.is_cut = true;
                return Err(fmt::Error);
            };
            self.left = left;
            if is_plain { self.text.push(char) } else { self.text.extend(char.escape_debug()) }
        }
        Ok(())
    }
}

/// A time as people read it.
pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// A time from what [`seconds`] has made.
pub(crate) fn parse_seconds(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(text.strip_suffix(" s")?.parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_no_control_characters_and_stays_as_it_is_when_it_is_made_again() {
        let made = line(&"a\nb\r\u{1b}[31m\u{202e}\"quoted\" \\ ü");
        assert_eq!(made, "a\\nb\\r\\u{1b}[31m\\u{202e}\"quoted\" \\ ü");
        assert!(is_line(&made) && !is_line("a\nb"));
    }

    #[test]
    fn a_long_text_is_cut_and_its_cut_says_so() {
        assert_eq!(line(&"x".repeat(LONGEST)), "x".repeat(LONGEST));
        assert_eq!(line(&"x".repeat(LONGEST + 1)), "x".repeat(LONGEST) + "…");
        assert!(is_line(&line(&"\n".repeat(LONGEST))));
    }
}
