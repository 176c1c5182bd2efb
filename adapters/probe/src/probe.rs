//! `Probe`: what is asked, and what is answered.

use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use ebbtide::{Drain, Held, Label, Watcher};
use ebbtide_connection::Connections;
use http::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, VARY};
use http::{Method, Request, Response, StatusCode};

use crate::action::{Action, Actions, Attempt, Posted, host};
use crate::body::Body;
use crate::events::Events;
use crate::metric;
use crate::observer::Observer;
use crate::page::{Around, POLICY, document};
use crate::text::clipped;
use crate::token::Token;
use crate::view::{Alone, View};

/// The answers of a diagnostics port: whether the service is ready, how far its drain has come, and what is still held.
///
/// [`answer`](Self::answer) takes a request and returns the response, at once: it needs no runtime and no HTTP engine. A clone
/// looks at the same drain, and may be [set](Self::actions) in another way.
///
/// | request | answer |
/// |---|---|
/// | `GET /ready` | 200, or [503](Self::unready) and the reason |
/// | `GET /live` | 200, also while draining |
/// | `GET /drain`, `/drain.json` | the status as JSON |
/// | `GET /drain` of a browser, `/` | the page |
/// | `GET /drain` of the page's script | the same, live: a stream of server-sent events |
/// | `GET /metrics` | the metrics, as Prometheus reads them |
/// | `POST /drain`, `/ready/off`, `/ready/on` | [actions](Self::actions), if they are allowed |
///
/// A probe looks at most things when it is asked. A thread of its own looks while the drain goes on, or somebody watches.
///
/// # Examples
///
/// On hyper; the [crate](crate) has the same for axum and async-h1.
///
/// ```
/// use std::convert::Infallible;
/// use std::future::ready;
///
/// use ebbtide::Guard;
/// use ebbtide_hyper::Http;
/// use ebbtide_probe::Probe;
/// use hyper::service::service_fn;
/// use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
/// use tokio::net::TcpStream;
///
/// async fn connection(stream: TcpStream, guard: Guard, probe: Probe) {
///     let peer = stream.peer_addr().ok().map(|it| it.ip());
///     let answer = |request| ready(Ok::<_, Infallible>(probe.answer(&request, peer)));
///     let http = Http::new(TokioExecutor::new(), TokioTimer::new()).extend_every_request();
///     let _ = http.serve(TokioIo::new(stream), service_fn(answer), guard).await;
/// }
/// # fn main() { let _ = connection; }
/// ```
#[derive(Clone)]
#[must_use = "a probe answers only if it is asked"]
pub struct Probe {
    observer: Arc<Observer>,
    settings: Settings,
}

/// What clones of a probe may have of their own.
#[derive(Clone)]
struct Settings {
    unready: StatusCode,
    base: String,
    actions: Actions,
    on_attempt: Option<Arc<OnAttempt>>,
    max_streams: usize,
}

type OnAttempt = dyn Fn(&Attempt) + Send + Sync;

/// How many streams of events there are at most, unless it is said.
const STREAMS: usize = 16;

impl Probe {
    /// A probe of a drain alone.
    ///
    /// It keeps a [`Drain`], so dropping yours does not start the drain while there is the probe.
    pub fn new(drain: &Drain) -> Self {
        Self::looking(drain.clone(), Box::new(Alone::new(drain)))
    }

    pub(crate) fn looking(drain: Drain, view: Box<dyn View>) -> Self {
        let settings = Settings {
            unready: StatusCode::SERVICE_UNAVAILABLE,
            base: String::new(),
            actions: Actions::default(),
            on_attempt: None,
            max_streams: STREAMS,
        };
        Self { observer: Observer::begin(drain, view), settings }
    }

    #[cfg(feature = "metrics")]
    pub(crate) fn observer(&self) -> &Observer {
        &self.observer
    }

    /// What the service is called on the page. Default: the name of the program's file.
    pub fn named(self, name: impl Into<String>) -> Self {
        let name = name.into();
        self.observer.set(|it| it.name = clipped(name, 64));
        self
    }

    /// The list of the service's connections: then they are told with their states, their requests and their ages.
    ///
    /// Those of the diagnostics port need not be in it.
    pub fn connections(self, connections: &Connections) -> Self {
        drop(self.observer.set(|it| it.connections.replace(connections.clone())));
        self
    }

    /// How long the drain may take, to be shown: a probe closes nothing. A [service](Self::of) tells that itself.
    pub fn deadline(self, time: Duration) -> Self {
        self.observer.set(|it| it.deadline = Some(time));
        self
    }

    /// The part before which the drain counts as ended: the first of those that are there for the probe, such as the
    /// diagnostics port. What it and those behind it hold is not told.
    ///
    /// Without this it never counts as ended while the probe is served by a part of the service: that is a part of the drain.
    pub fn ends_before(self, part: impl Into<Label>) -> Self {
        let part = part.into().to_string();
        self.observer.set(|it| it.end = Some(part));
        self
    }

    /// Tells what is inside of something that is held, such as in a server that is a part of a larger drain.
    ///
    /// # Examples
    ///
    /// ```
    /// use ebbtide_axum::Part;
    /// use ebbtide_probe::Probe;
    ///
    /// let probe = Probe::new(&ebbtide::Drain::new()).inside(|it| match it.label().downcast_ref::<Part>() {
    ///     Some(server) => server.held(),
    ///     None => vec![it],
    /// });
    /// ```
    pub fn inside(self, inside: impl Fn(Held) -> Vec<Held> + Send + Sync + 'static) -> Self {
        let inside = Arc::new(inside);
        drop(self.observer.set(|it| it.inside.replace(inside)));
        self
    }

    /// The drain of a former process was killed, as somebody has found: the text says by what, and what it held. It is shown
    /// on the page and in the status, and counted by `ebbtide_killed_drains_total`. No more than eight are kept.
    pub fn killed(self, post_mortem: impl fmt::Display) -> Self {
        let text = clipped(post_mortem, 500);
        self.observer.set(|it| {
            if it.killed.len() < 8 {
                it.killed.push(text);
            }
        });
        self
    }

    /// The status of the answer to `/ready` if the service is not ready. Default: 503.
    ///
    /// With 404, a load balancer that has `http-check disable-on-404`, which is `HAProxy`, sends no new sessions and keeps the
    /// old ones.
    ///
    /// # Panics
    ///
    /// If it is none of a failure, 400 to 599.
    #[track_caller]
    pub fn unready(mut self, status: StatusCode) -> Self {
        assert!(status.is_client_error() || status.is_server_error(), "{status} says that the service is ready");
        self.settings.unready = status;
        self
    }

    /// The path that precedes those of the probe, such as `/probe`. Requests may come with it or without.
    pub fn under(mut self, base: impl AsRef<str>) -> Self {
        let base = base.as_ref().trim_matches('/');
        self.settings.base = if base.is_empty() { String::new() } else { format!("/{base}") };
        self
    }

    /// How many streams of events there are at most, each of a page that somebody looks at. Default: 16. One more is
    /// answered with 503.
    pub fn max_streams(mut self, most: usize) -> Self {
        self.settings.max_streams = most;
        self
    }

    /// Allows actions, which are off by default: to start the drain, and to turn the readiness switch. Whoever has the token
    /// may ask for them from this machine, by POST. Among those who are refused are:
    ///
    /// - peers elsewhere, unless [they are allowed](Self::actions_from_anywhere), and requests that a proxy has forwarded,
    /// - pages of other sites (`Origin`, `Sec-Fetch-Site`), and host names that are [not known](Self::host),
    /// - requests with a body, which none needs.
    ///
    /// Each attempt is [told](Self::on_attempt).
    ///
    /// # Examples
    ///
    /// ```
    /// use ebbtide_probe::{Probe, Token};
    ///
    /// # fn probe(drain: &ebbtide::Drain) -> Result<Probe, Box<dyn std::error::Error>> {
    /// let probe = Probe::new(drain).on_attempt(|it| eprintln!("{it}"));
    /// Ok(match std::env::var("PROBE_TOKEN") {
    ///     Ok(token) => probe.actions(Token::new(token)?),
    ///     Err(_) => probe,
    /// })
    /// # }
    /// # probe(&ebbtide::Drain::new()).unwrap();
    /// ```
    pub fn actions(mut self, token: Token) -> Self {
        self.settings.actions.token = Some(token);
        self
    }

    /// Allows actions of peers on other machines, too. The token then goes over the network: use TLS.
    pub fn actions_from_anywhere(mut self) -> Self {
        self.settings.actions.from_anywhere = true;
        self
    }

    /// Allows actions of requests for this host name, without a port. Addresses and `localhost` are always allowed.
    ///
    /// A page of another site may have its name lead to this server, and then counts as one of this server (DNS
    /// rebinding). So a name must be known.
    pub fn host(mut self, name: impl Into<String>) -> Self {
        self.settings.actions.hosts.push(name.into());
        self
    }

    /// Tells of everybody who asks for an action, also of those who are refused: each is a line for a log.
    ///
    /// `told` runs where the request is answered, so it should be short. Clients can cause as many lines as they like, so
    /// limit what you log. A panic of it is caught and ignored; with `panic = "abort"` it ends the process.
    pub fn on_attempt(mut self, told: impl Fn(&Attempt) + Send + Sync + 'static) -> Self {
        self.settings.on_attempt = Some(Arc::new(told));
        self
    }

    /// Turns the readiness switch: while it is off, `/ready` fails, and the service goes on.
    pub fn set_ready(&self, is_on: bool) {
        self.observer.view.set_ready(is_on);
    }

    /// A future that is ready when the metrics are asked for next. As a closing action behind [the end](Self::ends_before), it
    /// has the scraper see that end.
    ///
    /// Bound it: a scraper may never come. It costs the time of up to one scrape.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Duration;
    /// use ebbtide_tokio::Service;
    /// use tokio::time::timeout;
    ///
    /// # fn add(service: Service, probe: ebbtide_probe::Probe) -> Service {
    /// let probe = probe.ends_before("last scrape");
    /// service.finally("last scrape", async move {
    ///     let _ = timeout(Duration::from_secs(15), probe.scraped()).await;
    /// })
    /// # }
    /// # let _ = add;
    /// ```
    pub fn scraped(&self) -> Scraped {
        Scraped(self.observer.next_scrape())
    }

    /// Answers a request of a peer with this address, at once. Its body is not read.
    ///
    /// Without an address, and so of a Unix socket, no action is allowed: give the loopback address if that is meant. If the
    /// extensions of the request have the [`Watcher`] of the server that it came by, its streams go on until that drains.
    /// Otherwise they end when the drain begins, and the page comes back each second.
    pub fn answer<B>(&self, request: &Request<B>, peer: Option<IpAddr>) -> Response<Body> {
        let path = self.path(request.uri().path());
        if let Some(action) = Action::of(path).filter(|_| request.method() == Method::POST) {
            return self.act(action, request, peer);
        }
        let is_head = request.method() == Method::HEAD;
        if !is_head && request.method() != Method::GET {
            let known = matches!(path, "/" | "/drain" | "/drain.json" | "/ready" | "/live" | "/metrics");
            let status = if known { StatusCode::METHOD_NOT_ALLOWED } else { StatusCode::NOT_FOUND };
            let allowed = if path == "/drain" { "GET, HEAD, POST" } else { "GET, HEAD" };
            let answer = text(status, format!("{status}\n"));
            return if known { with(answer, ALLOW, allowed) } else { answer };
        }
        let answer = match path {
            "/live" => text(StatusCode::OK, "alive\n"),
            "/ready" => self.ready(),
            "/metrics" => self.metrics(),
            "/drain.json" => self.status(),
            "/drain" => match Wanted::of(request) {
                // The stream of a HEAD would take a place.
                Wanted::Events if !is_head => self.events(request.extensions().get()),
                Wanted::Page => self.page(request),
                Wanted::Events | Wanted::Json => self.status(),
            },
            "/" => self.page(request),
            _ => text(StatusCode::NOT_FOUND, "not found\n"),
        };
        if is_head { answer.map(|_| Body::of("")) } else { answer }
    }

    fn path<'a>(&self, path: &'a str) -> &'a str {
        match path.strip_prefix(&self.settings.base[..]) {
            Some("") => "/",
            Some(rest) if rest.starts_with('/') => rest,
            _ => path,
        }
    }

    fn ready(&self) -> Response<Body> {
        match self.observer.view.obstacle() {
            None => text(StatusCode::OK, "ready\n"),
            Some(obstacle) => text(self.settings.unready, format!("{}\n", clipped(obstacle.text, 500))),
        }
    }

    fn metrics(&self) -> Response<Body> {
        answer(StatusCode::OK, metric::CONTENT_TYPE, metric::text(&self.observer.scrape()))
    }

    fn status(&self) -> Response<Body> {
        let json = serde_json::to_string(&*self.observer.look()).expect("texts and numbers");
        with(answer(StatusCode::OK, "application/json", json + "\n"), VARY, "accept")
    }

    fn page<B>(&self, request: &Request<B>) -> Response<Body> {
        let host = host(request).filter(|it| it.bytes().all(|it| it.is_ascii_alphanumeric() || b".:-[]".contains(&it)));
        let scheme = request.uri().scheme_str().filter(|it| *it == "https").unwrap_or("http");
        // A host is a part of commands for a shell.
        let url = format!("{scheme}://{}", host.unwrap_or("HOST:PORT"));
        let around = Around {
            url: &url,
            base: &self.settings.base,
            has_actions: self.settings.actions.token.is_some(),
            boot: &self.observer.boot,
        };
        let page = document(&self.observer.look(), &around);
        let page = answer(StatusCode::OK, "text/html; charset=utf-8", page);
        let page = with(page, HeaderName::from_static("content-security-policy"), POLICY);
        let page = with(page, HeaderName::from_static("referrer-policy"), "no-referrer");
        with(page, VARY, "accept")
    }

    fn events(&self, server: Option<&Watcher>) -> Response<Body> {
        let Some(place) = self.observer.place(self.settings.max_streams) else {
            let full = text(StatusCode::SERVICE_UNAVAILABLE, "too many pages are looked at: see Probe::max_streams\n");
            return with(full, RETRY_AFTER, "5");
        };
        let events = Events::new(&self.observer, place, server.cloned());
        let events = with(Response::new(Body::events(events)), CONTENT_TYPE, "text/event-stream");
        // What nginx would collect.
        with(secure(events), HeaderName::from_static("x-accel-buffering"), "no")
    }

    fn act<B>(&self, action: Action, request: &Request<B>, peer: Option<IpAddr>) -> Response<Body> {
        let refusal = self.settings.actions.refusal(request, peer);
        let attempt = Attempt { action, peer, refusal };
        if let Some(refusal) = refusal {
            self.tell(&attempt);
            let refused = text(refusal.status(), format!("{refusal}\n"));
            let is_token = refusal.status() == StatusCode::UNAUTHORIZED;
            return if is_token { with(refused, http::header::WWW_AUTHENTICATE, "Bearer") } else { refused };
        }
        match action {
            Action::Drain => drop(self.observer.drain.start_because(Label::live(Posted(peer)))),
            Action::Off => self.set_ready(false),
            Action::On => self.set_ready(true),
        }
        self.tell(&attempt);
        match action {
            Action::Drain => text(StatusCode::ACCEPTED, "the drain has begun\n"),
            Action::Off => text(StatusCode::OK, "not ready any more\n"),
            Action::On => text(StatusCode::OK, "the switch is on again\n"),
        }
    }

    fn tell(&self, attempt: &Attempt) {
        if let Some(told) = &self.settings.on_attempt {
            drop(catch_unwind(AssertUnwindSafe(|| told(attempt))));
        }
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probe").field("drain", &self.observer.drain.state()).finish_non_exhaustive()
    }
}

/// What is wanted of the drain.
enum Wanted {
    Json,
    Page,
    Events,
}

impl Wanted {
    fn of<B>(request: &Request<B>) -> Self {
        let accepts = request.headers().get_all(ACCEPT).iter().filter_map(|it| it.to_str().ok());
        let mut accepts =
            accepts.flat_map(|it| it.split(',')).map(|it| it.split(';').next().unwrap_or_default().trim());
        // What stands first is what is wanted most.
        let first = accepts.find_map(|it| match it {
            "text/event-stream" => Some(Self::Events),
            "text/html" | "application/xhtml+xml" => Some(Self::Page),
            "application/json" | "*/*" => Some(Self::Json),
            _ => None,
        });
        first.unwrap_or(Self::Json)
    }
}

fn text(status: StatusCode, text: impl Into<String>) -> Response<Body> {
    answer(status, "text/plain; charset=utf-8", text.into())
}

fn answer(status: StatusCode, content_type: &'static str, body: String) -> Response<Body> {
    let mut answer = with(Response::new(Body::of(body)), CONTENT_TYPE, content_type);
    *answer.status_mut() = status;
    secure(answer)
}

/// What is of this moment is kept by nobody, and is what it says it is.
fn secure(answer: Response<Body>) -> Response<Body> {
    let answer = with(answer, CACHE_CONTROL, "no-store");
    with(answer, HeaderName::from_static("x-content-type-options"), "nosniff")
}

fn with(mut answer: Response<Body>, name: HeaderName, value: &'static str) -> Response<Body> {
    answer.headers_mut().insert(name, HeaderValue::from_static(value));
    answer
}

/// The future of [`Probe::scraped`]: ready once the metrics have been asked for.
///
/// # Cancel safety
///
/// Dropping it loses nothing.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Scraped(Watcher);

impl Future for Scraped {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx)
    }
}
