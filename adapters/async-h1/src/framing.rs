//! `Framing`: the parser of a request body's framing, by the strict grammar of RFC 9112.

use http_types::Trailers;

/// The rest of a body that is still to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// A body of this many bytes.
    Length(u64),
    /// Chunks (RFC 9112, section 7.1). `idle` counts bytes of chunk lines without meaning.
    Chunked { chunks: Chunks, idle: usize },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chunks {
    /// A chunk size, of which no digit has come.
    Size,
    /// The digits so far.
    Digits(u64),
    /// White space after a size. Only an extension may follow.
    Space(u64),
    /// A chunk extension, which is ignored (RFC 9112, section 7.1.1).
    Extension(u64),
    /// The LF after a size.
    SizeEnd(u64),
    /// The rest of a chunk, in bytes.
    Data(u64),
    /// The CR after a chunk.
    DataEnd,
    /// The LF after that.
    DataEndLf,
    /// The trailer section after the last chunk.
    Trailers,
    Over,
    /// The framing is malformed, and what follows is no request.
    Malformed,
}

/// The limit of bytes in extensions and leading zeros, in all of a body: the same as in hyper.
const IDLE: usize = 16 * 1024;
/// The longest trailer section, in bytes.
const TRAILERS: usize = 8 * 1024;
/// The most fields in a trailer section.
const FIELDS: usize = 128;

impl Framing {
    pub(crate) const CHUNKED: Self = Self::Chunked { chunks: Chunks::Size, idle: 0 };

    pub(crate) fn is_over(&self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked { chunks: Chunks::Over, .. })
    }

    pub(crate) fn is_malformed(&self) -> bool {
        matches!(self, Self::Chunked { chunks: Chunks::Malformed, .. })
    }

    /// How many bytes come next that are data of the body.
    pub(crate) fn ahead(&self) -> usize {
        match self {
            Self::Length(left) | Self::Chunked { chunks: Chunks::Data(left), .. } => {
                usize::try_from(*left).unwrap_or(usize::MAX)
            }
            Self::Chunked { .. } => 0,
        }
    }

    /// Notes that this many bytes have come of those [`ahead`](Self::ahead).
    pub(crate) fn advance(&mut self, bytes: usize) {
        match self {
            Self::Length(left) => *left -= bytes as u64,
            Self::Chunked { chunks: Chunks::Data(left), .. } if *left > bytes as u64 => *left -= bytes as u64,
            Self::Chunked { chunks, .. } => *chunks = Chunks::DataEnd,
        }
    }

    /// Parses framing up to the next byte of data, as far as it has come. Returns its length, and the trailers at the end of
    /// the body.
    pub(crate) fn skip(&mut self, bytes: &[u8]) -> (usize, Option<Trailers>) {
        let Self::Chunked { chunks, idle } = self else { return (0, None) };
        let mut skipped = 0;
        while let Some(byte) = bytes.get(skipped) {
            match chunks {
                Chunks::Data(_) | Chunks::Over | Chunks::Malformed => break,
                Chunks::Trailers => match trailers(&bytes[skipped..]) {
                    Ok(Some((length, trailers))) => {
                        *chunks = Chunks::Over;
                        return (skipped + length, Some(trailers));
                    }
                    Ok(None) => break,
                    Err(Malformed) => *chunks = Chunks::Malformed,
                },
                _ => {
                    *idle += usize::from(matches!(chunks, Chunks::Digits(0) | Chunks::Space(_) | Chunks::Extension(_)));
                    *chunks = if *idle > IDLE { Chunks::Malformed } else { chunks.after(*byte) };
                    skipped += 1;
                }
            }
        }
        (skipped, None)
    }

    /// Takes the rest of the body, data and framing, as far as it has come. Returns its length.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        loop {
            taken += self.skip(&bytes[taken..]).0;
            let data = self.ahead().min(bytes.len() - taken);
            if data == 0 {
                return taken;
            }
            self.advance(data);
            taken += data;
        }
    }
}

impl Chunks {
    /// The next state after this byte of a chunk line.
    fn after(self, byte: u8) -> Self {
        let digit = char::from(byte).to_digit(16).map(u64::from);
        match (self, byte) {
            (Self::Size, _) => digit.map_or(Self::Malformed, Self::Digits),
            (Self::Digits(size), _) if digit.is_some() => {
                let size = size.checked_mul(16).zip(digit).map(|(size, digit)| size + digit);
                size.map_or(Self::Malformed, Self::Digits)
            }
            (Self::Digits(size) | Self::Extension(size), b'\r') => Self::SizeEnd(size),
            (Self::Digits(size) | Self::Space(size), b' ' | b'\t') => Self::Space(size),
            (Self::Digits(size) | Self::Space(size), b';') | (Self::Extension(size), b'\t' | b' '..=b'~' | 0x80..) => {
                Self::Extension(size)
            }
            (Self::SizeEnd(0), b'\n') => Self::Trailers,
            (Self::SizeEnd(size), b'\n') => Self::Data(size),
            (Self::DataEnd, b'\r') => Self::DataEndLf,
            (Self::DataEndLf, b'\n') => Self::Size,
            _ => Self::Malformed,
        }
    }
}

struct Malformed;

/// Parses the trailer section, and returns its length; `None` if it is incomplete.
///
/// A field whose value is not ASCII is left out, since http-types cannot hold it. A recipient may discard trailer fields
/// (RFC 9110, section 6.5.1).
fn trailers(bytes: &[u8]) -> Result<Option<(usize, Trailers)>, Malformed> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let status = httparse::parse_headers(bytes, &mut fields).map_err(|_| Malformed)?;
    let length = if let httparse::Status::Complete((length, _)) = status { length } else { bytes.len() };
    if length >= TRAILERS || !ends_lines_by_crlf(&bytes[..length]) {
        return Err(Malformed);
    }
    let httparse::Status::Complete((_, fields)) = status else { return Ok(None) };
    let mut trailers = Trailers::new();
    for field in fields {
        if let Some(value) = std::str::from_utf8(field.value.trim_ascii()).ok().filter(|it| it.is_ascii()) {
            trailers.append(field.name, value);
        }
    }
    Ok(Some((length, trailers)))
}

/// Whether every complete line ends by CR and LF. A recipient may accept a lone LF (RFC 9112, section 2.2). But if one server
/// does and the next does not, a request can be smuggled.
pub(crate) fn ends_lines_by_crlf(bytes: &[u8]) -> bool {
    let mut lines = bytes.split(|it| *it == b'\n');
    // What follows the last LF is an incomplete line.
    lines.next_back();
    lines.all(|it| it.ends_with(b"\r"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is decoded of these bytes, in pieces of any length, and how many are left.
    #[track_caller]
    fn decoded(framing: &Framing, bytes: &[u8]) -> (Framing, String, usize) {
        let decode = |piece: usize| {
            let (mut framing, mut rest, mut body) = (framing.clone(), Vec::new(), Vec::new());
            for piece in bytes.chunks(piece) {
                rest.extend_from_slice(piece);
                loop {
                    rest.drain(..framing.skip(&rest).0);
                    let data = framing.ahead().min(rest.len());
                    if data == 0 {
                        break;
                    }
                    framing.advance(data);
                    body.extend(rest.drain(..data));
                }
            }
            (framing, String::from_utf8(body).unwrap(), rest.len())
        };
        let whole = decode(bytes.len());
        for piece in 1..bytes.len().min(100) {
            assert_eq!(decode(piece), whole, "in pieces of {piece}");
        }
        whole
    }

    /// Checks that the body ends here, and that what follows is left.
    #[track_caller]
    fn ends(framing: &Framing, body: &str, data: &str) {
        let bytes = [body.as_bytes(), b"GET / HTTP/1.1\r\n"].concat();
        let (end, decoded, rest) = decoded(framing, &bytes);
        assert_eq!((end.is_over(), decoded.as_str(), rest), (true, data, 16), "{body}");
        assert_eq!(framing.clone().take(&bytes), body.len(), "{body}");
    }

    #[test]
    fn a_body_ends_where_its_length_says() {
        ends(&Framing::Length(5), "hello", "hello");
        ends(&Framing::Length(0), "", "");
    }

    #[test]
    fn a_chunked_body_ends_after_its_trailers_and_has_no_extension_in_it() {
        for (body, data) in [
            ("0\r\n\r\n", ""),
            ("5\r\nhello\r\n0\r\n\r\n", "hello"),
            ("A;name=\"0\"\r\n0123456789\r\n1 ;x\r\n\n\r\n0\r\nx: y\r\nz: \r\n\r\n", "0123456789\n"),
            ("2;x=\"y;\"\r\nhi\r\n000;z\r\nx: \u{e9}\r\n\r\n", "hi"),
            ("2\t;;\r\n\r\n\r\n0\r\n\r\n", "\r\n"),
        ] {
            ends(&Framing::CHUNKED, body, data);
        }
    }

    #[test]
    fn malformed_chunks_are_refused() {
        for body in [
            "x\r\n",
            "\r\n",
            " 80\r\n",
            "+1\r\n",
            "0x1\r\n",
            "1\n",
            "1 \r\n",
            "1 x\r\n",
            "1\rx\n",
            "1;x\n",
            "1;x\rx",
            "1;\0",
            "1\r\naXX0\r\n\r\n",
            "1\r\na\n",
            "1\r\na\rx\n",
            "1\r\nab",
            "fffffffffffffffff\r\n",
            "10000000000000000\r\n",
            "0\r\n\n",
            "0\r\nx\r\n\r\n",
            "0\r\nx : y\r\n\r\n",
            "0\r\n: y\r\n\r\n",
            "0\r\nx: y\n\r\n",
            "0\r\nx: y\r\n z\r\n\r\n",
            "0\r\nx: \0\r\n\r\n",
        ] {
            let (framing, ..) = decoded(&Framing::CHUNKED, body.as_bytes());
            assert!(framing.is_malformed(), "{body:?}: {framing:?}");
        }
    }

    #[test]
    fn what_says_nothing_does_not_go_on_forever() {
        for (before, of, behind) in [("1;", "x", ""), ("", "0", "1\r\n"), ("1", " ", ";"), ("0\r\nx: ", "y", "")] {
            let body = [before, &of.repeat(IDLE + 1), behind].concat();
            let mut framing = Framing::CHUNKED;
            framing.take(body.as_bytes());
            assert!(framing.is_malformed(), "{before:?}");
        }
    }

    #[test]
    fn trailers_are_kept_where_their_values_are_ascii() {
        let mut framing = Framing::CHUNKED;
        let (length, trailers) = framing.skip("0\r\nx: y\r\nz: \u{e9}\r\nX: w\r\n\r\n".as_bytes());
        let trailers = trailers.expect("they are whole");
        assert_eq!((length, trailers["x"].iter().count(), trailers.iter().count()), (24, 2, 1));
    }
}
