//! A request's head, before async-h1 sees it: what it would refuse is translated, and what it would misread is refused.

use http_types::StatusCode;

use crate::framing::Framing;

/// A request's head.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) method: String,
    /// Without the query, which may have secrets in it.
    pub(crate) path: String,
    /// As async-h1 is to read it.
    pub(crate) bytes: Vec<u8>,
    pub(crate) framing: Framing,
    /// The client waits for a `100 Continue` before it sends the body.
    pub(crate) expects: bool,
    /// The client wants the connection to end with the response (RFC 9112, section 9.3).
    pub(crate) last: bool,
    /// Of HTTP/1.0, which knows no chunks.
    pub(crate) old: bool,
}

/// What async-h1 reads of a head at most.
pub(crate) const LONGEST: usize = 8 * 1024;
/// How many headers it reads at most.
const HEADERS: usize = 128;

/// Where the first head in `bytes` ends, if it does.
pub(crate) fn end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|it| it == b"\r\n\r\n").map(|at| at + 4)
}

impl Head {
    /// Of what is no request.
    pub(crate) fn none() -> Self {
        let (method, path, framing) = (String::new(), String::new(), Framing::Length(0));
        Self { method, path, bytes: Vec::new(), framing, expects: false, last: true, old: false }
    }

    /// Reads one. What is none is to be answered with this status.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, StatusCode> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(bytes) {
            Ok(httparse::Status::Complete(_)) => {}
            Err(httparse::Error::TooManyHeaders) => return Err(StatusCode::RequestHeaderFieldsTooLarge),
            _ => return Err(StatusCode::BadRequest),
        }
        let (Some(method), Some(target)) = (request.method, request.path) else { return Err(StatusCode::BadRequest) };
        let old = request.version == Some(0);
        let (mut length, mut chunked, mut host, mut expects, mut last) = (None, false, false, false, old);
        for header in request.headers.iter() {
            let value = header.value.trim_ascii();
            if header.name.eq_ignore_ascii_case("content-length") {
                // Twice, even if it is the same, is more trouble than any client is worth (RFC 9112, section 6.3).
                if length.replace(number(value).ok_or(StatusCode::BadRequest)?).is_some() {
                    return Err(StatusCode::BadRequest);
                }
            } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
                // async-h1 would read any other coding as no body at all, and what follows as a request.
                if old || chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(StatusCode::NotImplemented);
                }
                chunked = true;
            } else if header.name.eq_ignore_ascii_case("connection") {
                last |= value.split(|it| *it == b',').any(|it| it.trim_ascii().eq_ignore_ascii_case(b"close"));
            } else if header.name.eq_ignore_ascii_case("expect") {
                expects |= value.eq_ignore_ascii_case(b"100-continue");
            } else if header.name.eq_ignore_ascii_case("host") {
                host = true;
            }
        }
        let framing = match (length, chunked) {
            (Some(_), true) => return Err(StatusCode::BadRequest),
            (None, true) => Framing::CHUNKED,
            (length, false) => Framing::Length(length.unwrap_or(0)),
        };
        let translated = old || expects;
        Ok(Self {
            method: method.into(),
            path: target.split('?').next().unwrap_or_default().into(),
            bytes: if translated { translate(&request, host) } else { bytes.into() },
            framing,
            expects: expects && !old,
            last,
            old,
        })
    }
}

/// In the words of HTTP/1.1, with a host, and without an expectation: async-h1 would meet that on threads of its own.
fn translate(request: &httparse::Request<'_, '_>, host: bool) -> Vec<u8> {
    let (method, target) = (request.method.unwrap_or_default(), request.path.unwrap_or_default());
    let mut bytes = format!("{method} {target} HTTP/1.1\r\n").into_bytes();
    for header in request.headers.iter().filter(|it| !it.name.eq_ignore_ascii_case("expect")) {
        bytes.extend([header.name.as_bytes(), b": ", header.value, b"\r\n"].concat());
    }
    // HTTP/1.0 need not have one, and health checks do not.
    if !host {
        bytes.extend(b"host: localhost\r\n");
    }
    bytes.extend(b"\r\n");
    bytes
}

fn number(digits: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(digits).ok()?;
    digits.bytes().all(|it| it.is_ascii_digit()).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_health_check_of_http_1_0_is_translated() {
        let head = Head::parse(b"OPTIONS / HTTP/1.0\r\n\r\n").unwrap();
        assert_eq!(head.bytes, b"OPTIONS / HTTP/1.1\r\nhost: localhost\r\n\r\n");
        assert!(head.last && head.old);
    }

    #[test]
    fn an_expectation_is_kept_from_async_h1() {
        let head =
            Head::parse(b"POST /?a HTTP/1.1\r\nExpect: 100-Continue\r\nhost: x\r\nContent-Length: 3\r\n\r\n").unwrap();
        assert_eq!(head.bytes, b"POST /?a HTTP/1.1\r\nhost: x\r\nContent-Length: 3\r\n\r\n");
        assert!(head.expects && !head.last);
        assert_eq!((head.framing, head.path.as_str()), (Framing::Length(3), "/"));
    }

    #[test]
    fn close_is_found_among_other_options() {
        assert!(Head::parse(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: te, Close\r\n\r\n").unwrap().last);
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for headers in [
            "content-length: 1\r\ncontent-length: 1",
            "content-length: +1",
            "content-length: 1, 1",
            "content-length: 1\r\ntransfer-encoding: chunked",
            "transfer-encoding: gzip, chunked",
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
        ] {
            let head = format!("POST / HTTP/1.1\r\nhost: x\r\n{headers}\r\n\r\n");
            assert!(Head::parse(head.as_bytes()).is_err(), "{headers}");
        }
    }
}
