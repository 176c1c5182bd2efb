//! Actions: what may be asked for by POST, and of whom.

use std::fmt;
use std::net::IpAddr;

use http::header::{AUTHORIZATION, CONTENT_LENGTH, FORWARDED, HOST, HeaderMap, ORIGIN, TRANSFER_ENCODING, VIA};
use http::{Request, StatusCode};

use crate::token::Token;

/// What may be asked for by POST.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Action {
    /// `POST /drain`: starts the drain.
    Drain,
    /// `POST /ready/off`: the service is not ready any more, and goes on.
    Off,
    /// `POST /ready/on`: undoes that.
    On,
}

impl Action {
    pub(crate) fn of(path: &str) -> Option<Self> {
        match path {
            "/drain" => Some(Self::Drain),
            "/ready/off" => Some(Self::Off),
            "/ready/on" => Some(Self::On),
            _ => None,
        }
    }

    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Drain => "/drain",
            Self::Off => "/ready/off",
            Self::On => "/ready/on",
        }
    }
}

/// Somebody has asked for an action. Its `Display` is a line for a log.
///
/// # Examples
///
/// ```
/// use ebbtide_probe::{Attempt, Probe};
///
/// let probe = Probe::new(&ebbtide::Drain::new()).on_attempt(|it: &Attempt| eprintln!("{it}"));
/// ```
#[derive(Clone, Debug)]
pub struct Attempt {
    pub(crate) action: Action,
    pub(crate) peer: Option<IpAddr>,
    pub(crate) refusal: Option<Refusal>,
}

impl Attempt {
    /// What was asked for.
    #[must_use]
    pub fn action(&self) -> Action {
        self.action
    }

    /// Who has asked, if the server told.
    #[must_use]
    pub fn peer(&self) -> Option<IpAddr> {
        self.peer
    }

    /// Why it was refused; `None` if it was done.
    #[must_use]
    pub fn refusal(&self) -> Option<Refusal> {
        self.refusal
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "POST {} from ", self.action.path())?;
        match self.peer {
            Some(peer) => peer.fmt(f)?,
            None => f.write_str("an unknown address")?,
        }
        match self.refusal {
            Some(refusal) => write!(f, " was refused: {refusal}"),
            None => f.write_str(" was done"),
        }
    }
}

/// The cause of a drain that was started by POST.
pub(crate) struct Posted(pub(crate) Option<IpAddr>);

impl fmt::Display for Posted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("POST /drain")?;
        self.0.map_or(Ok(()), |it| write!(f, " from {it}"))
    }
}

/// Why an action was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// The program does not allow this action.
    Off,
    /// The peer is not on this machine, or a proxy has forwarded it.
    Remote,
    /// The request is for a host name that is not this server's: another site may have let its name lead here.
    Host,
    /// A page of another site has sent it.
    Origin,
    /// It has a body, and no action needs one.
    Body,
    /// It has no token.
    NoToken,
    /// It has another token.
    WrongToken,
}

impl Refusal {
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::Off | Self::Remote | Self::Host | Self::Origin => StatusCode::FORBIDDEN,
            Self::Body => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NoToken | Self::WrongToken => StatusCode::UNAUTHORIZED,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "this action is off; the program turns it on by Probe::actions",
            Self::Remote => "it does not come from this machine; Probe::actions_from_anywhere would allow that",
            Self::Host => "its Host is neither an address nor localhost; Probe::host would allow it",
            Self::Origin => "a page of another site has sent it",
            Self::Body => "it has a body, and needs none",
            Self::NoToken => "it has no token: Authorization: Bearer ...",
            Self::WrongToken => "its token is wrong",
        })
    }
}

/// Who may ask for actions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Actions {
    pub(crate) token: Option<Token>,
    pub(crate) from_anywhere: bool,
    pub(crate) hosts: Vec<String>,
}

/// By what proxies tell of themselves.
const FORWARDERS: [&str; 3] = ["x-forwarded-for", "x-forwarded-host", "x-real-ip"];

impl Actions {
    /// Why not to do what this request asks for. What needs no token is looked at first, so that a token is not guessed from
    /// elsewhere.
    pub(crate) fn refusal<B>(&self, request: &Request<B>, peer: Option<IpAddr>) -> Option<Refusal> {
        let Some(token) = &self.token else { return Some(Refusal::Off) };
        let headers = request.headers();
        if !self.from_anywhere && !is_local(headers, peer) {
            return Some(Refusal::Remote);
        }
        let Some(host) = host(request) else { return Some(Refusal::Host) };
        if !self.is_ours(host) {
            return Some(Refusal::Host);
        }
        if is_foreign(headers, host) {
            return Some(Refusal::Origin);
        }
        let length = headers.get(CONTENT_LENGTH).is_some_and(|it| it != "0");
        if length || headers.contains_key(TRANSFER_ENCODING) {
            return Some(Refusal::Body);
        }
        let Some(said) = bearer(headers) else { return Some(Refusal::NoToken) };
        (!token.is(said)).then_some(Refusal::WrongToken)
    }

    /// Whether the host of a request is this server. A name that anybody can let lead here is not: with it a page of theirs
    /// would be of this server's origin (DNS rebinding). An address is no such name.
    fn is_ours(&self, host: &str) -> bool {
        let name = name(host);
        let is_address = name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        let is_localhost = name.eq_ignore_ascii_case("localhost");
        is_address || is_localhost || self.hosts.iter().any(|it| it.eq_ignore_ascii_case(name))
    }
}

/// The host and the port that a request is for.
pub(crate) fn host<B>(request: &Request<B>) -> Option<&str> {
    // HTTP/2 has it in the URI, and so has a request to a proxy.
    let of_uri = request.uri().authority().map(http::uri::Authority::as_str);
    let mut of_header = request.headers().get_all(HOST).iter();
    match (of_uri, of_header.next(), of_header.next()) {
        (Some(host), ..) => Some(host),
        (None, Some(host), None) => host.to_str().ok(),
        _ => None,
    }
}

/// A host without its port.
fn name(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|it| it.is_ascii_digit()) => name,
        _ => host,
    }
}

fn is_local(headers: &HeaderMap, peer: Option<IpAddr>) -> bool {
    let is_forwarded = headers.contains_key(FORWARDED) || headers.contains_key(VIA);
    let is_forwarded = is_forwarded || FORWARDERS.iter().any(|it| headers.contains_key(*it));
    peer.is_some_and(|it| it.to_canonical().is_loopback()) && !is_forwarded
}

/// Whether a page of another site has sent it. Clients that are no browsers send none of these fields.
fn is_foreign(headers: &HeaderMap, host: &str) -> bool {
    let site = headers.get("sec-fetch-site").is_some_and(|it| it != "same-origin" && it != "none");
    let is_of_host = |origin: &str| {
        let origin = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        origin.is_some_and(|it| it.eq_ignore_ascii_case(host))
    };
    site || !headers.get_all(ORIGIN).iter().all(|it| it.to_str().is_ok_and(is_of_host))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const TOKEN: &str = "0123456789abcdef";
    const HERE: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));

    fn actions() -> Actions {
        Actions { token: Token::new(TOKEN).ok(), ..Actions::default() }
    }

    fn post(fields: &[(&str, &str)]) -> Request<()> {
        let start = Request::post("/drain").header("authorization", format!("Bearer {TOKEN}"));
        let start = if fields.iter().any(|it| it.0 == "host") { start } else { start.header("host", "127.0.0.1:9") };
        fields.iter().fold(start, |request, (name, value)| request.header(*name, *value)).body(()).unwrap()
    }

    #[test]
    fn without_a_token_no_action_is_on() {
        assert_eq!(Actions::default().refusal(&post(&[]), HERE), Some(Refusal::Off));
        assert_eq!(actions().refusal(&post(&[]), HERE), None);
    }

    #[test]
    fn who_is_elsewhere_is_refused_and_so_is_who_was_forwarded() {
        let elsewhere = [None, "10.0.0.7".parse().ok(), "::ffff:10.0.0.7".parse().ok()];
        for peer in elsewhere {
            assert_eq!(actions().refusal(&post(&[]), peer), Some(Refusal::Remote), "{peer:?}");
        }
        for peer in ["127.8.0.1", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(actions().refusal(&post(&[]), peer.parse().ok()), None, "{peer}");
        }
        for field in ["forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip"] {
            assert_eq!(actions().refusal(&post(&[(field, "127.0.0.1")]), HERE), Some(Refusal::Remote), "{field}");
        }
        let actions = Actions { from_anywhere: true, ..actions() };
        assert_eq!(elsewhere.map(|it| actions.refusal(&post(&[]), it)), [None; 3]);
    }

    #[test]
    fn a_name_that_somebody_let_lead_here_is_refused() {
        for host in
            ["evil.example", "evil.example:9", "127.0.0.1.evil.example", "localhost.evil.example", "", ":9", "[::1"]
        {
            assert_eq!(actions().refusal(&post(&[("host", host)]), HERE), Some(Refusal::Host), "{host}");
        }
        for host in ["127.0.0.1", "10.0.0.7:80", "[::1]:9", "localhost", "LOCALHOST:9"] {
            assert_eq!(actions().refusal(&post(&[("host", host)]), HERE), None, "{host}");
        }
        let known = Actions { hosts: vec!["probe.example".into()], ..actions() };
        assert_eq!(known.refusal(&post(&[("host", "Probe.example:9")]), HERE), None);
        let two = post(&[("host", "127.0.0.1"), ("host", "127.0.0.1")]);
        assert_eq!(actions().refusal(&two, HERE), Some(Refusal::Host), "of two hosts none is the right one");
        let absolute = Request::post("http://evil.example/drain").header("host", "127.0.0.1").body(()).unwrap();
        assert_eq!(actions().refusal(&absolute, HERE), Some(Refusal::Host));
    }

    #[test]
    fn a_page_of_another_site_is_refused() {
        for origin in ["https://evil.example", "null", "http://127.0.0.1:9.evil.example", "http://127.0.0.1:8"] {
            assert_eq!(actions().refusal(&post(&[("origin", origin)]), HERE), Some(Refusal::Origin), "{origin}");
        }
        assert_eq!(actions().refusal(&post(&[("origin", "http://127.0.0.1:9")]), HERE), None);
        for (site, refusal) in
            [("cross-site", Some(Refusal::Origin)), ("same-site", Some(Refusal::Origin)), ("none", None)]
        {
            assert_eq!(actions().refusal(&post(&[("sec-fetch-site", site)]), HERE), refusal, "{site}");
        }
    }

    #[test]
    fn a_body_is_refused() {
        for (field, value) in [("content-length", "1"), ("content-length", "x"), ("transfer-encoding", "chunked")] {
            assert_eq!(actions().refusal(&post(&[(field, value)]), HERE), Some(Refusal::Body), "{field}: {value}");
        }
        assert_eq!(actions().refusal(&post(&[("content-length", "0")]), HERE), None, "as curl sends it");
    }

    #[test]
    fn no_token_and_a_wrong_one_are_refused() {
        let with = |value: &str| {
            let request = Request::post("/drain").header("host", "localhost");
            request.header("authorization", value).body(()).unwrap()
        };
        let without = Request::post("/drain").header("host", "localhost").body(()).unwrap();
        assert_eq!(actions().refusal(&without, HERE), Some(Refusal::NoToken));
        for value in [TOKEN, "Basic 0123456789abcdef", "Bearer"] {
            assert_eq!(actions().refusal(&with(value), HERE), Some(Refusal::NoToken), "{value}");
        }
        for value in ["Bearer ", "Bearer 0123456789abcdeg", "Bearer 0123456789abcdef0"] {
            assert_eq!(actions().refusal(&with(value), HERE), Some(Refusal::WrongToken), "{value}");
        }
        assert_eq!(actions().refusal(&with(&format!("bearer {TOKEN}")), HERE), None);
    }

    #[test]
    fn an_attempt_is_a_line_for_a_log() {
        let refused = Attempt { action: Action::Drain, peer: HERE, refusal: Some(Refusal::WrongToken) };
        assert_eq!(refused.to_string(), "POST /drain from 127.0.0.1 was refused: its token is wrong");
        let done = Attempt { action: Action::Off, peer: None, refusal: None };
        assert_eq!(done.to_string(), "POST /ready/off from an unknown address was done");
    }
}
