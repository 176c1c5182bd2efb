//! `Head`: the parser of a request head, by the strict grammar of RFC 9112. A proxy in front of this server may read a loose
//! head differently (request smuggling).

use http_types::{Method, Request, StatusCode, Url, Version};

use crate::framing::{Framing, ends_lines_by_crlf};

/// The head of a request.
#[derive(Debug)]
pub(crate) struct Head {
    /// The request, still without its body.
    pub(crate) request: Request,
    /// The path as it was sent, without the query, which may have secrets in it.
    pub(crate) path: String,
    pub(crate) framing: Framing,
    /// The client waits for a `100 Continue` before it sends the body.
    pub(crate) expects: bool,
    /// The client wants the connection to end with the response (RFC 9112, section 9.3).
    pub(crate) last: bool,
    /// The request is one of HTTP/1.0, which has no chunks.
    pub(crate) old: bool,
}

/// The longest head, in bytes.
pub(crate) const LONGEST: usize = 8 * 1024;
/// The most fields in a head.
const FIELDS: usize = 128;

type Parsed<T> = Result<T, StatusCode>;

/// The fields that matter for the connection and the body.
#[derive(Default)]
struct Fields<'a> {
    host: Option<&'a str>,
    length: Option<u64>,
    chunked: bool,
    expects: bool,
    closes: bool,
}

impl Head {
    /// Parses the head at the beginning of these bytes, and returns its length; `None` if it is incomplete.
    ///
    /// If it is malformed, the error is the status to answer with, and what follows is no request.
    pub(crate) fn parse(bytes: &[u8]) -> Parsed<Option<(Self, usize)>> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS];
        let mut parser = httparse::Request::new(&mut fields);
        let status = parser.parse(bytes).map_err(|error| match error {
            httparse::Error::TooManyHeaders => StatusCode::RequestHeaderFieldsTooLarge,
            httparse::Error::Version => StatusCode::HttpVersionNotSupported,
            _ => StatusCode::BadRequest,
        })?;
        let length = if let httparse::Status::Complete(length) = status { length } else { bytes.len() };
        if !ends_lines_by_crlf(&bytes[..length]) {
            return Err(StatusCode::BadRequest);
        }
        if length >= LONGEST {
            let has_line = bytes[..length].contains(&b'\n');
            return Err(if has_line { StatusCode::RequestHeaderFieldsTooLarge } else { StatusCode::UriTooLong });
        }
        if status.is_partial() {
            return Ok(None);
        }
        Self::of(&parser).map(|head| Some((head, length)))
    }

    fn of(parsed: &httparse::Request<'_, '_>) -> Parsed<Self> {
        let (Some(name), Some(target)) = (parsed.method, parsed.path) else { return Err(StatusCode::BadRequest) };
        // http-types parses `get` as `GET`, but methods are case-sensitive (RFC 9110, section 9.1).
        let method = name.parse().ok().filter(|it: &Method| it.as_ref() == name).ok_or(StatusCode::NotImplemented)?;
        let old = parsed.version == Some(0);
        let fields = Fields::of(parsed.headers, old)?;
        let framing = match (fields.length, fields.chunked) {
            (Some(_), true) => return Err(StatusCode::BadRequest),
            (None, true) => Framing::CHUNKED,
            (length, false) => Framing::Length(length.unwrap_or(0)),
        };
        let host = match fields.host {
            // HTTP/1.0 need not have one, and health checks do not.
            None if old => "",
            host => host.ok_or(StatusCode::BadRequest)?,
        };
        let mut request = Request::new(method, url(method, target, host)?);
        request.set_version(Some(if old { Version::Http1_0 } else { Version::Http1_1 }));
        for field in parsed.headers.iter() {
            // The header values of http-types are ASCII, and it panics if they are not.
            let value = text(field.value.trim_ascii())?;
            request.append_header(field.name, value);
        }
        Ok(Self {
            request,
            path: target.split('?').next().unwrap_or_default().into(),
            framing,
            expects: fields.expects && !old,
            // What follows a CONNECT may belong to the tunnel.
            last: fields.closes || old || method == Method::Connect,
            old,
        })
    }
}

impl<'a> Fields<'a> {
    fn of(fields: &[httparse::Header<'a>], old: bool) -> Parsed<Self> {
        let mut said = Self::default();
        for field in fields {
            let value = field.value.trim_ascii();
            if field.name.eq_ignore_ascii_case("content-length") {
                // Refused even if both are the same (RFC 9112, section 6.3).
                if said.length.replace(number(value).ok_or(StatusCode::BadRequest)?).is_some() {
                    return Err(StatusCode::BadRequest);
                }
            } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
                // HTTP/1.0 has no transfer codings, and `chunked` may be applied only once (RFC 9112, section 6.1).
                if old || said.chunked {
                    return Err(StatusCode::BadRequest);
                }
                if !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(StatusCode::NotImplemented);
                }
                said.chunked = true;
            } else if field.name.eq_ignore_ascii_case("connection") {
                said.closes |= value.split(|it| *it == b',').any(|it| it.trim_ascii().eq_ignore_ascii_case(b"close"));
            } else if field.name.eq_ignore_ascii_case("expect") {
                said.expects |= value.eq_ignore_ascii_case(b"100-continue");
            } else if field.name.eq_ignore_ascii_case("host") && said.host.replace(text(value)?).is_some() {
                // RFC 9112, section 3.2.
                return Err(StatusCode::BadRequest);
            }
        }
        Ok(said)
    }
}

/// The URL of a request, by the form of its target (RFC 9112, section 3.2).
fn url(method: Method, target: &str, host: &str) -> Parsed<Url> {
    let host = if host.is_empty() { "localhost" } else { host };
    // A target has no fragment, and the URL parser reads a backslash as a slash.
    if target.contains(['#', '\\']) || !is_authority(host) {
        return Err(StatusCode::BadRequest);
    }
    let url = if method == Method::Connect {
        let has_port = is_authority(target) && target.contains(':');
        has_port.then(|| format!("http://{target}"))
    } else if target.starts_with('/') {
        Some(format!("http://{host}{target}"))
    } else if method == Method::Options && target == "*" {
        Some(format!("http://{host}"))
    } else {
        let absolute = target.split_once("://").is_some_and(|(scheme, rest)| {
            let authority = rest.split(['/', '?']).next().unwrap_or_default();
            ["http", "https"].iter().any(|it| it.eq_ignore_ascii_case(scheme)) && is_authority(authority)
        });
        absolute.then(|| target.into())
    };
    url.and_then(|it| Url::parse(&it).ok()).ok_or(StatusCode::BadRequest)
}

/// Whether it is a host with or without a port (RFC 9110, section 7.2), without characters that would change the path.
fn is_authority(text: &str) -> bool {
    let (host, port) = match text.rfind(':') {
        Some(colon) if !text[colon..].contains(']') => (&text[..colon], &text[colon + 1..]),
        _ => (text, ""),
    };
    let is_literal = host.starts_with('[') && host.ends_with(']');
    let name = if is_literal { &host[1..host.len() - 1] } else { host };
    !name.is_empty()
        && port.bytes().all(|it| it.is_ascii_digit())
        && name
            .bytes()
            .all(|it| it.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%".contains(&it) || (is_literal && it == b':'))
}

fn text(value: &[u8]) -> Parsed<&str> {
    std::str::from_utf8(value).ok().filter(|it| it.is_ascii()).ok_or(StatusCode::BadRequest)
}

fn number(digits: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(digits).ok()?;
    digits.bytes().all(|it| it.is_ascii_digit()).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(head: &str) -> Parsed<Head> {
        let (parsed, length) = Head::parse(head.as_bytes())?.expect("it is whole");
        assert_eq!(length, head.len());
        Ok(parsed)
    }

    /// The URL of a request with this target and this host.
    fn url(method: &str, target: &str, host: &str) -> Option<String> {
        let head = parsed(&format!("{method} {target} HTTP/1.1\r\nhost: {host}\r\n\r\n")).ok()?;
        Some(head.request.url().to_string())
    }

    #[test]
    fn a_health_check_of_http_1_0_needs_no_host() {
        let head = parsed("OPTIONS / HTTP/1.0\r\n\r\n").unwrap();
        assert_eq!(head.request.url().as_str(), "http://localhost/");
        assert!(head.last && head.old);
    }

    #[test]
    fn an_expectation_is_parsed_and_a_path_has_no_query() {
        let head = parsed("POST /?a HTTP/1.1\r\nExpect: 100-Continue\r\nhost: x\r\nContent-Length: 3\r\n\r\n").unwrap();
        assert!(head.expects && !head.last);
        assert_eq!((head.framing, head.path.as_str()), (Framing::Length(3), "/"));
    }

    #[test]
    fn a_method_that_http_types_does_not_have_is_not_implemented() {
        for method in ["get", "Get", "FOO"] {
            let status = parsed(&format!("{method} / HTTP/1.1\r\nhost: x\r\n\r\n")).map(|_| ());
            assert_eq!(status, Err(StatusCode::NotImplemented), "{method}");
        }
    }

    #[test]
    fn close_is_found_among_other_options() {
        assert!(parsed("GET / HTTP/1.1\r\nhost: x\r\nconnection: te, Close\r\n\r\n").unwrap().last);
    }

    #[test]
    fn the_url_of_a_request_is_that_of_its_target() {
        assert_eq!(url("GET", "/a?b", "x:80").as_deref(), Some("http://x/a?b"));
        assert_eq!(url("GET", "//a/b", "[::1]:8080").as_deref(), Some("http://[::1]:8080//a/b"));
        assert_eq!(url("GET", "/a/b", "").as_deref(), Some("http://localhost/a/b"));
        assert_eq!(url("GET", "HTTPS://y/a", "x").as_deref(), Some("https://y/a"));
        assert_eq!(url("OPTIONS", "*", "x").as_deref(), Some("http://x/"));
        assert_eq!(url("CONNECT", "y:443", "x").as_deref(), Some("http://y:443/"));
    }

    #[test]
    fn a_host_or_target_that_would_change_the_url_is_refused() {
        for host in ["x/admin?", "x#", "x?", "u@x", "x\\y", "a b", "x, y", "x:y", ":80", "[::1", "x]"] {
            assert_eq!(url("GET", "/", host), None, "{host}");
        }
        for target in ["/a\\b", "/a#b", "*", "a", "y:80", "ftp://y/", "http:///a", "http://u@y/a", "http://y\\@z/"] {
            assert_eq!(url("GET", target, "x"), None, "{target}");
        }
        for target in ["/", "y", "y:80/", "http://y:80"] {
            assert_eq!(url("CONNECT", target, "x"), None, "{target}");
        }
    }

    #[test]
    fn ambiguous_fields_are_refused() {
        for headers in [
            "content-length: 1\r\ncontent-length: 1",
            "content-length: +1",
            "content-length: 1, 1",
            "content-length: 1\r\ntransfer-encoding: chunked",
            "transfer-encoding: gzip, chunked",
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
            "host: x",
            "x: y\nx: z",
            "x: \u{e9}",
        ] {
            let head = format!("POST / HTTP/1.1\r\nhost: x\r\n{headers}\r\n\r\n");
            assert!(Head::parse(head.as_bytes()).is_err(), "{headers}");
        }
    }

    #[test]
    fn a_lone_lf_is_refused_before_the_head_is_complete() {
        assert_eq!(Head::parse(b"GET / HTTP/1.1\r\nhost:").map(|it| it.is_some()), Ok(false));
        assert_eq!(Head::parse(b"GET / HTTP/1.1\nhost:").map(|it| it.is_some()), Err(StatusCode::BadRequest));
    }
}
