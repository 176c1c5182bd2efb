//! Texts of others, as they may be shown: cut to a length, and escaped.

use std::fmt::{self, Write};

/// What a value says of itself, but no more than so many bytes. What is longer ends by an ellipsis.
pub(crate) fn clipped(value: impl fmt::Display, most: usize) -> String {
    let mut clip = Clip { text: String::new(), most, is_full: false };
    // The error is the clip's own: a text of megabytes is not made to its end.
    let _ = write!(clip, "{value}");
    if clip.is_full {
        clip.text.push('…');
    }
    clip.text
}

struct Clip {
    text: String,
    most: usize,
    is_full: bool,
}

impl Write for Clip {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for it in text.chars() {
            if self.text.len() + it.len_utf8() > self.most {
                self.is_full = true;
                return Err(fmt::Error);
            }
            // Line ends and the like would change a log line or a label that it becomes a part of.
            self.text.push(if it.is_control() { ' ' } else { it });
        }
        Ok(())
    }
}

/// A text as it stands in HTML, between tags and in a quoted attribute.
pub(crate) struct Html<'a>(pub(crate) &'a str);

impl fmt::Display for Html<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|it| match it {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            it => f.write_char(it),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters_and_says_so() {
        assert_eq!(clipped("upload", 6), "upload");
        assert_eq!(clipped("uploads", 6), "upload…");
        assert_eq!(clipped("größer", 3), "gr…");
        assert_eq!(clipped("a\r\nb\u{1b}[0m", 99), "a  b [0m");
    }

    #[test]
    fn html_cannot_be_left_by_a_text() {
        assert_eq!(Html("<b a='\"'>&").to_string(), "&lt;b a=&#39;&quot;&#39;&gt;&amp;");
    }
}
