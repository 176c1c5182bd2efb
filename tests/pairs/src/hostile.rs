//! What an engine makes of bytes that may be no HTTP: the requests that its application sees, what is answered, and
//! whether the connection goes on. In memory and without a clock, so it is the same each time.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt;
use std::future::{Future, pending};
use std::io::{self, Read};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use ebbtide::Drain;
use ebbtide_connection::policy::{Policy, Timer};
use ebbtide_connection::{Bounds, ConnectionState};
use futures_io::{AsyncRead, AsyncWrite};
use futures_lite::{AsyncReadExt, FutureExt};
use http_body_util::{BodyExt, Full};
use http_types::url::Position;
use http_types::{StatusCode, Url};
use hyper::body::{Bytes, Incoming};
use hyper::rt;
use hyper::service::service_fn;
use smol_hyper::rt::FuturesIo;

/// A protocol engine, as its adapter serves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// hyper.
    Hyper,
    /// async-h1.
    H1,
}

/// What came of some bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The requests that the application saw: method, target and body; `!` for a body that is none.
    pub requests: Vec<String>,
    /// The status of every response, in order.
    pub statuses: Vec<u16>,
    /// How the connection went on.
    pub end: End,
}

/// How a connection went on once the bytes were served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It waits for more.
    Open,
    /// The server ended it in order.
    Closed,
    /// The server ended it in disorder.
    Reset,
    /// Its task panicked.
    Panicked,
}

/// What there is to be known of one connection, by whoever serves it.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

/// The server's end of a connection whose client sends what it is told to, and reads everything.
struct Io(Arc<Mutex<Lanes>>);

#[derive(Default)]
struct Lanes {
    to_server: VecDeque<u8>,
    to_client: Vec<u8>,
    reader: Option<Waker>,
    end: Option<End>,
}

/// hyper's clock and tasks: no time passes, and there is one task.
#[derive(Clone)]
struct Still;

struct Woken(AtomicBool);

impl Engine {
    /// What it makes of these bytes, in pieces of so many, from a client that then sends no more and waits. No time
    /// passes.
    ///
    /// # Panics
    ///
    /// If the engine goes on and on, with nothing to go on by.
    #[must_use]
    pub fn sees(self, bytes: &[u8], piece: usize) -> Seen {
        let (log, lanes, drain) = (Log::default(), Arc::<Mutex<Lanes>>::default(), Drain::new());
        let (io, seen, guard) = (Io(lanes.clone()), log.clone(), drain.guard().expect("it runs"));
        let mut serving: Pin<Box<dyn Future<Output = bool>>> = match self {
            Self::Hyper => {
                let service = service_fn(move |request| hyper_answer(seen.clone(), request));
                let served = ebbtide_hyper::Http::new(Still, Still).serve(FuturesIo::new(io), service, guard);
                Box::pin(panics(served))
            }
            Self::H1 => {
                let http = ebbtide_async_h1::Http::new(|_| pending::<()>());
                let served = http.serve(io, move |request| h1_answer(seen.clone(), request), guard);
                Box::pin(panics(served))
            }
        };
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        let (waker, mut panicked) = (Waker::from(woken.clone()), None);
        for piece in bytes.chunks(piece) {
            {
                let mut lanes = lanes.lock().unwrap();
                if lanes.end.is_some() {
                    break;
                }
                lanes.to_server.extend(piece);
                if let Some(reader) = lanes.reader.take() {
                    reader.wake();
                }
            }
            let mut polls = 0;
            while panicked.is_none() && woken.0.swap(false, Ordering::Relaxed) {
                if let Poll::Ready(end) = serving.as_mut().poll(&mut Context::from_waker(&waker)) {
                    panicked = Some(end);
                }
                polls += 1;
                assert!(polls < 100_000, "it goes on and on");
            }
        }
        if panicked.is_some() {
            drop(serving);
        }
        let end = lanes.lock().unwrap().end.unwrap_or(End::Open);
        let end = if panicked == Some(true) { End::Panicked } else { end };
        let requests = log.lock().clone();
        let statuses = statuses(&lanes.lock().unwrap().to_client, &requests);
        Seen { requests, statuses, end }
    }
}

/// Whether async-h1, as it is served here, makes the same of these bytes in whatever pieces they come, ends in order if it
/// ends, and serves nothing behind what it refuses.
///
/// # Errors
///
/// What is wrong.
pub fn check(bytes: &[u8], piece: usize) -> Result<(), String> {
    let [whole, pieces] = [bytes.len(), piece].map(|piece| Engine::H1.sees(bytes, piece.max(1)));
    let fails = |what: &str| Err(format!("{what}: {}\n{whole}\nin pieces of {piece}: {pieces}", bytes.escape_ascii()));
    if !matches!(whole.end, End::Open | End::Closed) {
        return fails("that is no end");
    }
    // The status may be another one, where several things are wrong: that of the first to come.
    if (&pieces.requests, pieces.end) != (&whole.requests, whole.end) {
        return fails("pieces make a difference");
    }
    match whole.statuses.iter().position(|it| *it >= 400) {
        Some(refused) if refused + 1 < whole.statuses.len() || whole.end == End::Open => fails("it goes on"),
        _ => Ok(()),
    }
}

/// Whether async-h1, as it is served here, sees no other request than hyper in these bytes, and goes on only if hyper
/// does. It may be stricter: then it ends the connection behind an answer that says so.
///
/// # Errors
///
/// What is wrong.
pub fn compare(bytes: &[u8]) -> Result<(), String> {
    let [h1, hyper] = [Engine::H1, Engine::Hyper].map(|it| it.sees(bytes, bytes.len().max(1)));
    let fails = |what: &str| Err(format!("{what}: {}\nasync-h1: {h1}\nhyper: {hyper}", bytes.escape_ascii()));
    // What hyper refuses of a target, and what http-types encodes; and what is too much for hyper only.
    let is_refused = |it: &u8| b"<>\"`{}|^".contains(it);
    if bytes.iter().any(is_refused) || bytes.split(|it| *it == b'\n').count() > 100 {
        return Ok(());
    }
    let is_strict = h1.end == End::Closed && h1.statuses.last().is_some_and(|it| *it >= 400);
    for (nth, request) in h1.requests.iter().enumerate() {
        let same = hyper.requests.get(nth).is_some_and(|it| normalized(it) == *request);
        let is_last = nth + 1 == h1.requests.len();
        if !(same || is_strict && is_last && request.ends_with(" !")) {
            return fails("a request that hyper does not see");
        }
    }
    let closes = h1.end == End::Closed && (hyper.end == End::Closed || bytes.windows(8).any(|it| it == b"HTTP/1.0"));
    let goes_on = h1.end == End::Open && hyper.end == End::Open && h1.requests.len() == hyper.requests.len();
    if is_strict || closes || goes_on { Ok(()) } else { fails("another end") }
}

/// A request that hyper sees, with its target as it is in a URL.
fn normalized(request: &str) -> String {
    let (method, rest) = request.split_once(' ').unwrap_or((request, ""));
    let (target, body) = rest.split_once(' ').unwrap_or((rest, ""));
    let url = Url::parse(&format!("http://x{}", target.trim_start_matches('*')));
    let target = url.map_or_else(|_| target.into(), |it| it[Position::BeforePath..].to_owned());
    format!("{method} {target} {body}").trim_end().into()
}

/// Whether a connection's policy tells HTTP/2 by the whole of its preface and by nothing else, in whatever pieces it comes.
///
/// # Errors
///
/// What is wrong.
pub fn check_preface(bytes: &[u8], piece: usize) -> Result<(), String> {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let [whole, pieces] = [bytes.len(), piece].map(|piece| {
        let mut policy = Policy::new(Bounds::default());
        bytes.chunks(piece.max(1)).for_each(|it| policy.on_read(it));
        let waits = [Timer::Request, Timer::State, Timer::Progress].map(|it| policy.wait(it).map(|it| it.after));
        (policy.state(), waits)
    });
    if whole != pieces {
        return Err(format!("{whole:?}, but in pieces of {piece} {pieces:?}: {}", bytes.escape_ascii()));
    }
    // A connection of HTTP/2 is idle before its first stream, and one of HTTP/1 has a request by now.
    if (whole.0 == ConnectionState::Idle) != bytes.starts_with(PREFACE) {
        return Err(format!("{whole:?}: {}", bytes.escape_ascii()));
    }
    Ok(())
}

/// Whether it ends by a panic, be it caught here or told.
async fn panics<E: fmt::Display>(serving: impl Future<Output = Result<(), E>>) -> bool {
    match AssertUnwindSafe(serving).catch_unwind().await {
        Ok(Ok(())) => false,
        Ok(Err(error)) => error.to_string().contains("panicked"),
        Err(_) => true,
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Drop for Io {
    fn drop(&mut self) {
        let mut lanes = self.0.lock().unwrap();
        let end = if lanes.to_server.is_empty() { End::Closed } else { End::Reset };
        lanes.end.get_or_insert(end);
    }
}

impl AsyncRead for Io {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut lanes = self.0.lock().unwrap();
        if lanes.to_server.is_empty() {
            lanes.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(lanes.to_server.read(buf))
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.0.lock().unwrap().to_client.extend_from_slice(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.lock().unwrap().end.get_or_insert(End::Closed);
        Poll::Ready(Ok(()))
    }
}

impl rt::Timer for Still {
    fn sleep(&self, _: Duration) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(Still)
    }

    fn sleep_until(&self, _: Instant) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(Still)
    }
}

impl Future for Still {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

impl rt::Sleep for Still {}

impl<F> rt::Executor<F> for Still {
    fn execute(&self, _: F) {}
}

impl Log {
    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn request(&self, method: &str, target: &str, body: Option<&[u8]>) {
        let body = body.map_or("!".into(), String::from_utf8_lossy);
        self.lock().push(format!("{method} {target} {body}").trim_end().into());
    }
}

async fn hyper_answer(log: Log, request: hyper::Request<Incoming>) -> Result<hyper::Response<Full<Bytes>>, Infallible> {
    let (method, uri) = (request.method().to_string(), request.uri().clone());
    let target = uri.path_and_query().map_or("/", |it| it.as_str()).to_owned();
    let body = request.into_body().collect().await.map(http_body_util::Collected::to_bytes).ok();
    log.request(&method, &target, body.as_deref());
    let mut response = hyper::Response::new(Full::from("ok"));
    if body.is_none() {
        *response.status_mut() = hyper::StatusCode::BAD_REQUEST;
    }
    Ok(response)
}

async fn h1_answer(log: Log, mut request: http_types::Request) -> http_types::Result<http_types::Response> {
    let (method, url) = (request.method(), request.url().clone());
    let target = url.query().map_or_else(|| url.path().into(), |query| format!("{}?{query}", url.path()));
    let mut body = Vec::new();
    let body = request.read_to_end(&mut body).await.is_ok().then_some(body);
    log.request(method.as_ref(), &target, body.as_deref());
    let mut response = http_types::Response::from("ok");
    if body.is_none() {
        response.set_status(StatusCode::BadRequest);
    }
    Ok(response)
}

/// The statuses of the responses to these requests, each of which has the length it says, if it has a body at all. What is
/// no whole head is none.
#[must_use]
pub fn statuses(mut answered: &[u8], requests: &[String]) -> Vec<u16> {
    let mut statuses = Vec::new();
    while let Some(end) = answered.windows(4).position(|it| it == b"\r\n\r\n") {
        let head = String::from_utf8_lossy(&answered[..end]).to_ascii_lowercase();
        let status = head.get(9..12).and_then(|it| it.parse().ok()).unwrap_or(0);
        answered = &answered[end + 4..];
        if status == 100 {
            continue;
        }
        let length = head.split("\r\ncontent-length: ").nth(1).and_then(|it| it.split("\r\n").next()?.parse().ok());
        let has_body = !requests.get(statuses.len()).is_some_and(|it| it.starts_with("HEAD "));
        answered = &answered[length.filter(|_| has_body).unwrap_or(0).min(answered.len())..];
        statuses.push(status);
    }
    statuses
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let statuses = self.statuses.iter().map(u16::to_string).collect::<Vec<_>>();
        write!(f, "{:?} {} {:?}", self.requests, statuses.join(" "), self.end)
    }
}
