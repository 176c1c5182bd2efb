//! `Boundary`: whether hyper has used all bytes that it was given, up to the end of a request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hyper::body::{Body, Incoming};

/// The number of requests on a connection, and the length of the last one's body.
///
/// The service writes it, and the I/O reads it. hyper calls the service between two reads.
#[derive(Debug, Default)]
pub(crate) struct Requests(AtomicU64);

/// The longest body whose bytes are counted. While it comes, hyper gets a page at a time.
const LONGEST: u32 = 64 * 1024;
/// The length of a body that is longer, or that does not say how long it is.
const UNCOUNTED: u32 = u32::MAX;

impl Requests {
    /// Notes that a request begins. Returns whether the end of its body will be known.
    #[inline(never)]
    pub(crate) fn begin(&self, body: &Incoming) -> bool {
        let exact = || body.size_hint().exact().and_then(|it| u32::try_from(it).ok()).filter(|it| *it <= LONGEST);
        self.note(if body.is_end_stream() { 0 } else { exact().unwrap_or(UNCOUNTED) })
    }

    fn note(&self, length: u32) -> bool {
        let number = self.now().0.wrapping_add(1);
        // Relaxed: the connection is one task.
        self.0.store(u64::from(number) << 32 | u64::from(length), Ordering::Relaxed);
        length != UNCOUNTED
    }

    #[expect(clippy::cast_possible_truncation, reason = "each half is a u32")]
    fn now(&self) -> (u32, u32) {
        let now = self.0.load(Ordering::Relaxed);
        ((now >> 32) as u32, now as u32)
    }
}

/// Where in a request the bytes end that hyper was given.
///
/// hyper parses what it has before it reads on. So if it reads at the end of a request, nothing is in its buffer.
#[derive(Debug)]
pub(crate) struct Boundary {
    requests: Arc<Requests>,
    place: Place,
    /// How many requests there were before this one.
    before: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// At the end of a request, or in the empty lines that may follow it (RFC 9112, section 2.2).
    Between,
    /// In a line of a head.
    Line,
    /// At the beginning of a line of a head.
    LineStart,
    /// There, behind a CR.
    Cr,
    /// So many bytes behind the end of a head.
    Behind(u32),
    Unknown,
}

impl Boundary {
    pub(crate) fn new(requests: Arc<Requests>) -> Self {
        Self { requests, place: Place::Between, before: 0 }
    }

    /// Whether the bytes end where the last request does. `at_head_end`: the last of them end a head.
    ///
    /// A head that ends there is complete, so hyper has used it, unless it is behind a body.
    pub(crate) fn is_between(&self, at_head_end: bool) -> bool {
        let (number, length) = self.requests.now();
        // If another request has begun since, the bytes behind the head were not this body alone.
        let is_body = self.place == Place::Behind(length) && number == self.before.wrapping_add(1);
        if length == 0 { at_head_end } else { is_body }
    }

    /// Whether the bytes of the current body must be seen, to be counted.
    #[inline]
    pub(crate) fn counts(&self) -> bool {
        matches!(self.place, Place::Behind(_)) && (1..=LONGEST).contains(&self.requests.now().1)
    }

    /// Notes bytes that hyper gets. `awaits_head`: not during a request. `at_head_end`: as above, before these bytes.
    #[inline(never)]
    pub(crate) fn saw(&mut self, bytes: &[u8], awaits_head: bool, at_head_end: bool) {
        let is_settled = matches!(self.place, Place::Behind(_) | Place::Unknown);
        if awaits_head && is_settled && self.is_between(at_head_end) {
            (self.place, self.before) = (Place::Between, self.requests.now().0);
        }
        let length = u32::try_from(bytes.len()).unwrap_or(UNCOUNTED);
        self.place = match self.place {
            Place::Behind(before) => Place::Behind(before.saturating_add(length)),
            Place::Unknown => Place::Unknown,
            // hyper has found the end of a head that is not one.
            _ if !awaits_head => Place::Unknown,
            place => place.after(bytes),
        };
    }

    /// Notes that hyper got bytes that were not seen.
    #[inline]
    pub(crate) fn missed(&mut self) {
        self.place = Place::Unknown;
    }
}

impl Place {
    /// The place in a head after these bytes of it, or behind it. A line ends by LF, with or without a CR before it, as for
    /// hyper.
    fn after(mut self, bytes: &[u8]) -> Self {
        for (at, byte) in bytes.iter().enumerate() {
            self = match (self, byte) {
                (Self::Between, b'\r' | b'\n') => Self::Between,
                (Self::LineStart | Self::Cr, b'\n') => {
                    return Self::Behind(u32::try_from(bytes.len() - at - 1).unwrap_or(UNCOUNTED));
                }
                (Self::LineStart, b'\r') => Self::Cr,
                (_, b'\n') => Self::LineStart,
                _ => Self::Line,
            };
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n";

    /// A connection whose requests hyper parses from what it gets.
    struct Life {
        boundary: Boundary,
        tail: Vec<u8>,
        is_serving: bool,
    }

    impl Life {
        fn new() -> Self {
            Self { boundary: Boundary::new(Arc::default()), tail: b"\r\n\r\n".to_vec(), is_serving: false }
        }

        fn at_head_end(&self) -> bool {
            self.tail.ends_with(b"\r\n\r\n")
        }

        fn read(&mut self, bytes: &str) {
            let at_head_end = self.at_head_end();
            self.boundary.saw(bytes.as_bytes(), !self.is_serving, at_head_end);
            if self.is_serving {
                self.tail = vec![0; 4];
            } else {
                self.tail.extend_from_slice(bytes.as_bytes());
            }
        }

        fn request(&mut self, length: u32) {
            self.boundary.requests.note(length);
            self.is_serving = true;
        }

        fn response_ends(&mut self) {
            self.is_serving = false;
        }

        fn is_between(&self) -> bool {
            self.boundary.is_between(self.at_head_end())
        }
    }

    #[test]
    fn a_body_in_one_read_with_its_head_ends_where_its_length_says() {
        for (body, is_between) in
            [("123456789", true), ("12345678", false), ("123456789G", false), ("12345\r\n\r\n", true)]
        {
            let mut life = Life::new();
            life.read(&[HEAD, body].concat());
            life.request(9);
            life.response_ends();
            assert_eq!(life.is_between(), is_between, "{body:?}");
        }
    }

    #[test]
    fn a_body_in_any_pieces_ends_where_its_length_says() {
        for empty in ["", "\r\n\r\n", "\n\n"] {
            let (head, body) = ([empty, HEAD].concat(), "1\r\n\r\n\r\n89");
            let all = [&head, body].concat();
            for first in 1..all.len() {
                for second in first + 1..all.len() {
                    let mut life = Life::new();
                    let mut read = 0;
                    for piece in [&all[..first], &all[first..second], &all[second..]] {
                        life.read(piece);
                        let began = life.is_serving;
                        read += piece.len();
                        if read >= head.len() && !began {
                            life.request(9);
                        }
                        assert_eq!(life.is_serving && life.is_between(), read == all.len(), "{first} {second} {read}");
                    }
                    life.response_ends();
                    assert!(life.is_between());
                    life.read("GET / HTTP/1.1\r\n");
                    assert!(!life.is_between());
                }
            }
        }
    }

    #[test]
    fn the_rest_of_a_body_after_its_response_is_no_next_request() {
        let mut life = Life::new();
        life.read(HEAD);
        life.request(9);
        life.read("1234");
        life.response_ends();
        assert!(!life.is_between());
        life.read("56789");
        assert!(life.is_between());
    }

    #[test]
    fn a_request_behind_a_body_is_not_taken_for_a_part_of_it() {
        // As long as the bytes behind the first head, if they were all of it.
        let second = "POST / HTTP/1.1\r\ncontent-length: 53\r\n\r\n";
        let mut life = Life::new();
        life.read(&[HEAD, "123456789", second, "12345"].concat());
        life.request(9);
        life.response_ends();
        assert!(!life.is_between());
        assert_eq!(life.boundary.place, Place::Behind(53));
        life.request(53);
        life.response_ends();
        assert!(!life.is_between());
    }

    #[test]
    fn a_head_whose_lines_end_by_lf_alone_ends_at_its_empty_line() {
        let mut life = Life::new();
        life.read("POST / HTTP/1.1\ncontent-length: 9\n\n1\r\n\r\n6789");
        life.request(9);
        life.response_ends();
        assert!(life.is_between());
    }

    #[test]
    fn requests_in_one_read_end_with_the_last_head() {
        let mut life = Life::new();
        life.read("GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n");
        for _ in 0..2 {
            life.request(0);
            life.response_ends();
        }
        assert!(life.is_between());
        life.read(&[HEAD, "123456789"].concat());
        life.request(9);
        life.response_ends();
        assert!(life.is_between(), "from here on the place is known again");
    }

    #[test]
    fn after_a_body_that_is_not_counted_the_next_request_without_one_ends_somewhere() {
        for body in ["0\r\n\r\n", "1\r\n"] {
            let mut life = Life::new();
            life.read(&[HEAD, body].concat());
            life.request(UNCOUNTED);
            life.boundary.missed();
            life.response_ends();
            assert!(!life.is_between());
            life.read("GET / HTTP/1.1\r\n\r\n");
            life.request(0);
            life.response_ends();
            assert!(life.is_between());
        }
    }
}
