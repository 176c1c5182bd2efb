//! The token that an action asks for.

use std::error::Error;
use std::fmt;

use subtle::ConstantTimeEq;

/// A secret that whoever asks for an action has to know. It is sent as `Authorization: Bearer ...` (RFC 6750).
///
/// # Examples
///
/// ```
/// use ebbtide_probe::Token;
///
/// assert!(Token::new("0123456789abcdef").is_ok());
/// assert!(Token::new("too short").is_err());
/// ```
#[derive(Clone)]
pub struct Token(String);

/// The shortest token: 64 bits, if it is hexadecimal.
const SHORTEST: usize = 16;

impl Token {
    /// A token, such as that of an environment variable or of a file.
    ///
    /// # Errors
    ///
    /// [`WeakToken`] if it has less than 16 characters, or others than those of a header's token: visible ASCII.
    pub fn new(token: impl Into<String>) -> Result<Self, WeakToken> {
        let token = token.into();
        if token.bytes().any(|it| !it.is_ascii_graphic()) {
            return Err(WeakToken { why: "has characters that are not visible ASCII, such as a line end" });
        }
        if token.len() < SHORTEST {
            return Err(WeakToken { why: "has less than 16 characters" });
        }
        Ok(Self(token))
    }

    /// Whether it is this one. How long that takes tells the length of the token, and nothing else.
    pub(crate) fn is(&self, other: &str) -> bool {
        self.0.as_bytes().ct_eq(other.as_bytes()).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// A [`Token`] that is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeakToken {
    why: &'static str,
}

impl fmt::Display for WeakToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the token for actions {}", self.why)
    }
}

impl Error for WeakToken {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_none_if_it_is_short_or_has_a_line_end() {
        let short = Token::new("").unwrap_err().to_string();
        assert_eq!(short, "the token for actions has less than 16 characters");
        let line = Token::new("0123456789abcdef\n").unwrap_err().to_string();
        assert!(line.ends_with("such as a line end"), "{line}");
    }

    #[test]
    fn only_the_whole_token_is_it_and_its_text_is_not_shown() {
        let token = Token::new("0123456789abcdef").unwrap();
        assert!(token.is("0123456789abcdef"));
        for other in ["", "0123456789abcde", "0123456789abcdeF", "0123456789abcdef0"] {
            assert!(!token.is(other), "{other}");
        }
        assert_eq!(format!("{token:?}"), "Token(..)");
    }
}
