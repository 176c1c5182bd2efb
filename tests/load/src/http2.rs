//! HTTP/2 clients: hyper's, and frames by hand for what hyper's would not do.

use std::error::Error as _;

use h2::Reason;

/// RFC 9113, section 3.4, and an empty SETTINGS frame.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// The acknowledgement of the server's SETTINGS.
pub(crate) const SETTINGS_ACK: &[u8] = &[0, 0, 0, 4, 1, 0, 0, 0, 0];

/// A PING.
pub(crate) const PING: &[u8] = &[0, 0, 8, 6, 0, 0, 0, 0, 0, b'e', b'b', b'b', b't', b'i', b'd', b'e', b'!'];

/// The answer to the one PING that h2 sends between its two GOAWAYs; sent at any other time it is ignored.
pub(crate) const PING_ACK: &[u8] = &[0, 0, 8, 6, 1, 0, 0, 0, 0, 0x0b, 0x7b, 0xa2, 0xf0, 0x8b, 0x9b, 0xfe, 0x54];

/// `GET /hello` as a whole stream of this id: HEADERS that ends the stream and its fields.
pub(crate) fn get_hello(stream: u32) -> Vec<u8> {
    // RFC 7541: `:method: GET` and `:scheme: http` of the static table, `:path` and `:authority` literal, not indexed.
    const FIELDS: &[u8] = b"\x82\x86\x04\x06/hello\x01\x04load";
    let mut frame = vec![0, 0, FIELDS.len().to_le_bytes()[0], 1, 5];
    frame.extend(stream.to_be_bytes());
    frame.extend(FIELDS);
    frame
}

/// What became of a request that has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unanswered {
    /// It was not written: the connection was known to end.
    Unsent,
    /// The server said that it did nothing with it (RFC 9113, sections 6.8 and 8.7), so that it can be sent again.
    Refused,
    /// Nobody knows.
    Lost,
}

impl Unanswered {
    /// Tells which.
    pub(crate) fn of(error: &hyper::Error) -> Self {
        if error.is_canceled() {
            return Self::Unsent;
        }
        let Some(cause) = error.source().and_then(|cause| cause.downcast_ref::<h2::Error>()) else { return Self::Lost };
        let goaway = cause.is_go_away() && cause.is_remote() && cause.reason() == Some(Reason::NO_ERROR);
        let refused = cause.is_reset() && cause.is_remote() && cause.reason() == Some(Reason::REFUSED_STREAM);
        if goaway || refused { Self::Refused } else { Self::Lost }
    }
}
