//! Where a request's body ends, so that nothing behind it is handed out with it.

/// What is still to come of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// So many bytes.
    Length(u64),
    /// Chunks (RFC 9112, section 7.1).
    Chunked(Chunks),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Chunks {
    /// `over`: only the line's end is to come.
    Size {
        size: u64,
        over: bool,
    },
    /// Behind a size.
    Extension(u64),
    /// So many bytes of a chunk, with the line's end behind it.
    Data(u64),
    /// `blank`: nothing of this line has come.
    Trailer {
        blank: bool,
    },
    Over,
    /// What this is is for async-h1 to say. Nothing behind it is a request.
    Malformed,
}

/// How much async-h1 reads behind the last chunk at most.
const TRAILERS: usize = 8 * 1024;

impl Framing {
    pub(crate) const CHUNKED: Self = Self::Chunked(Chunks::Size { size: 0, over: false });

    pub(crate) fn is_over(&self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(Chunks::Over))
    }

    /// How many of the bytes that have come are to be handed out at a time, where there is room for so many. None: more
    /// has to come first.
    ///
    /// What is behind the last chunk goes out by itself and in one piece: async-h1 reads it in one go, and where that was
    /// not all of it waits without a waker.
    pub(crate) fn hand_out(&mut self, bytes: &[u8], room: usize) -> usize {
        let handed = &bytes[..room.min(bytes.len())];
        match self {
            Self::Length(_) => self.take(handed),
            Self::Chunked(Chunks::Trailer { .. }) => {
                let mut all = self.clone();
                all.take(bytes);
                // Of what is too long async-h1 says so.
                if all.is_over() || bytes.len() >= TRAILERS { self.take(handed) } else { 0 }
            }
            Self::Chunked(chunks) => {
                let mut taken = 0;
                while taken < handed.len()
                    && !matches!(chunks, Chunks::Trailer { .. })
                    && !chunks.is_extended_by(handed[taken])
                {
                    taken += chunks.take(&handed[taken..]);
                }
                taken
            }
        }
    }

    /// How many of the bytes that have come are not to be handed out at all: async-h1 refuses extensions, which are to be
    /// ignored (RFC 9112, section 7.1.1).
    pub(crate) fn skip(&mut self, bytes: &[u8]) -> usize {
        let Self::Chunked(chunks) = self else { return 0 };
        let mut skipped = 0;
        while skipped < bytes.len() && chunks.is_extended_by(bytes[skipped]) {
            skipped += chunks.take(&bytes[skipped..=skipped]);
        }
        skipped
    }

    /// How many of the bytes that have come are the body's.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> usize {
        match self {
            Self::Length(left) => {
                let taken = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= taken as u64;
                taken
            }
            Self::Chunked(chunks) => {
                let mut taken = 0;
                while taken < bytes.len() && *chunks != Chunks::Over {
                    taken += chunks.take(&bytes[taken..]);
                }
                taken
            }
        }
    }
}

impl Chunks {
    /// Whether this byte is an extension's.
    fn is_extended_by(&self, byte: u8) -> bool {
        match self {
            Self::Size { over, .. } => !over && byte == b';',
            Self::Extension(_) => !matches!(byte, b'\r' | b'\n'),
            _ => false,
        }
    }

    /// Takes one byte at least.
    fn take(&mut self, bytes: &[u8]) -> usize {
        let byte = bytes[0];
        *self = match *self {
            Self::Size { size: 0, .. } | Self::Extension(0) if byte == b'\n' => Self::Trailer { blank: true },
            Self::Size { size, .. } | Self::Extension(size) if byte == b'\n' => {
                size.checked_add(2).map_or(Self::Malformed, Self::Data)
            }
            Self::Extension(size) if byte == b'\r' => Self::Size { size, over: true },
            Self::Extension(size) => Self::Extension(size),
            Self::Size { size, over: true } => Self::Size { size, over: true },
            Self::Size { size, .. } if byte == b';' => Self::Extension(size),
            Self::Size { size, .. } if matches!(byte, b' ' | b'\t' | b'\r') => Self::Size { size, over: true },
            Self::Size { size, .. } => match (char::from(byte).to_digit(16), size.checked_mul(16)) {
                (Some(digit), Some(size)) => Self::Size { size: size + u64::from(digit), over: false },
                _ => Self::Malformed,
            },
            Self::Data(left) => {
                let taken = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                let left = left - taken as u64;
                *self = if left == 0 { Self::Size { size: 0, over: false } } else { Self::Data(left) };
                return taken;
            }
            Self::Trailer { blank: true } if byte == b'\n' => Self::Over,
            Self::Trailer { blank } => Self::Trailer { blank: byte == b'\n' || (blank && byte == b'\r') },
            Self::Over | Self::Malformed => return bytes.len(),
        };
        1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is behind the body is left, in whatever pieces it comes.
    #[track_caller]
    fn ends(framing: impl Fn() -> Framing, body: &str) {
        let bytes = [body.as_bytes(), b"GET / HTTP/1.1\r\n"].concat();
        for piece in 1..=bytes.len() {
            let (mut framing, mut taken) = (framing(), 0);
            for piece in bytes.chunks(piece) {
                let more = framing.take(piece);
                taken += more;
                if more < piece.len() {
                    break;
                }
            }
            assert_eq!((taken, framing.is_over()), (body.len(), true), "in pieces of {piece}");
        }
    }

    #[test]
    fn a_body_ends_where_its_length_says() {
        ends(|| Framing::Length(5), "hello");
        ends(|| Framing::Length(0), "");
    }

    #[test]
    fn a_chunked_body_ends_behind_its_trailers() {
        ends(|| Framing::CHUNKED, "0\r\n\r\n");
        ends(|| Framing::CHUNKED, "5\r\nhello\r\n0\r\n\r\n");
        ends(|| Framing::CHUNKED, "A;name=\"0\"\r\n0123456789\r\n1 \r\n\n\r\n0\r\nx: y\r\nz: \r\n\r\n");
    }

    #[test]
    fn what_is_behind_the_last_chunk_is_handed_out_in_one_piece_and_no_extension_is() {
        for (sent, trailers) in
            [("0\r\n", "\r\n"), ("2;x=\"y;\"\r\nhi\r\n0;z\r\n", "x: y\r\nz: \r\n\r\n"), ("2\r\n;;\r\n0\r\n", "\r\n")]
        {
            let chunks = sent.replace(";x=\"y;\"", "").replace(";z", "");
            let bytes = [sent, trailers, "GET /"].concat();
            for piece in 1..=bytes.len() {
                let (mut framing, mut rest, mut handed) = (Framing::CHUNKED, Vec::new(), Vec::new());
                for piece in bytes.as_bytes().chunks(piece) {
                    rest.extend_from_slice(piece);
                    while !framing.is_over() {
                        let skipped = framing.skip(&rest);
                        rest.drain(..skipped);
                        let length = framing.hand_out(&rest, TRAILERS);
                        if length == 0 {
                            break;
                        }
                        handed.push(String::from_utf8(rest.drain(..length).collect()).unwrap());
                    }
                }
                assert_eq!(handed.pop().as_deref(), Some(trailers), "in pieces of {piece}");
                assert_eq!(handed.concat(), chunks, "in pieces of {piece}");
                assert_eq!(rest, b"GET /", "in pieces of {piece}");
            }
        }
    }

    #[test]
    fn trailers_without_end_are_handed_out() {
        let mut framing = Framing::CHUNKED;
        let bytes = [b"0\r\n".as_slice(), &[b'x'; TRAILERS]].concat();
        assert_eq!(framing.hand_out(&bytes, TRAILERS), 3);
        assert_eq!(framing.hand_out(&bytes[3..TRAILERS], TRAILERS), 0);
        assert_eq!(framing.hand_out(&bytes[3..], TRAILERS), TRAILERS);
    }

    #[test]
    fn what_is_no_chunk_never_ends() {
        for body in ["x\r\n0\r\n\r\n", "fffffffffffffffff\r\n", "ffffffffffffffff\r\n0\r\n\r\n"] {
            let mut framing = Framing::CHUNKED;
            assert_eq!((framing.take(body.as_bytes()), framing.is_over()), (body.len(), false), "{body}");
        }
    }
}
