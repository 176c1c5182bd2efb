//! What the suite has a server serve.

use std::pin::Pin;
use std::task::{Context, Poll};

use ebbtide::{Drain, Guard, Watcher};
use futures_core::Stream;

/// A few endpoints, each of which a drain treats in its own way. It knows no HTTP library and no clock: what takes time
/// takes it until the scenario that runs says so.
///
/// | request | response |
/// |---|---|
/// | `GET /hello` | `hello`, at once |
/// | `GET /held` | `held`, once released |
/// | `GET /stream` | its head and `first ` at once, `last` once released; of no known length |
/// | `GET /big` | [`BIG`](Self::BIG) bytes, as fast as the client reads |
/// | `POST /upload` | once its body has ended: how many bytes that had |
/// | `GET /panic` | a panic, once released |
/// | anything else | 404 |
#[derive(Clone, Debug, Default)]
pub struct Application {
    /// Held by every exchange.
    exchanges: Drain,
    /// Started to let everybody through who waits for it.
    gate: Drain,
}

/// One request, from its head to the last byte of its response.
///
/// Keep it for as long as that is: the suite counts those there are, and expects the ones that are cut to be dropped.
#[derive(Debug)]
pub struct Exchange {
    route: Route,
    received: u64,
    gate: Watcher,
    guard: Option<Guard>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    Hello,
    Held,
    Stream,
    Big,
    Upload,
    Panic,
    Unknown,
}

/// What to answer.
#[derive(Debug)]
#[non_exhaustive]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The length of the body, where it is known: to be said in the head.
    pub length: Option<u64>,
    /// The body.
    pub body: Body,
}

/// The body of a [`Reply`], piece by piece, with the exchange in it.
#[derive(Debug)]
pub struct Body {
    pieces: Vec<Piece>,
    exchange: Exchange,
}

#[derive(Debug)]
enum Piece {
    Text(String),
    Repeated(u64),
    Gate,
}

/// What is sent at a time of a body that is long.
const PIECE: usize = 64 * 1024;

impl Application {
    /// The length of `/big`: more than all the buffers between a server and its client.
    pub const BIG: u64 = 64 * 1024 * 1024;

    /// One with its gate shut.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A request begins, with this method and this path.
    pub fn request(&self, method: &str, path: &str) -> Exchange {
        let route = match (method, path) {
            ("GET", "/hello") => Route::Hello,
            ("GET", "/held") => Route::Held,
            ("GET", "/stream") => Route::Stream,
            ("GET", "/big") => Route::Big,
            ("POST", "/upload") => Route::Upload,
            ("GET", "/panic") => Route::Panic,
            _ => Route::Unknown,
        };
        Exchange { route, received: 0, gate: self.gate.watcher(), guard: self.exchanges.watcher().guard() }
    }

    /// How many requests are in flight.
    pub(crate) fn in_flight(&self) -> usize {
        self.exchanges.guards()
    }

    /// Lets everybody through who waits, now and later.
    pub(crate) fn release(&self) {
        drop(self.gate.start());
    }
}

impl Exchange {
    /// These bytes of the request's body have come.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.received += bytes.len() as u64;
    }

    /// The answer, when it is time. To be asked once the request's body has ended.
    pub async fn reply(self) -> Reply {
        if matches!(self.route, Route::Held | Route::Panic) {
            self.gate.clone().await;
        }
        let text = |text: &str| vec![Piece::Text(text.to_owned())];
        let pieces = match self.route {
            Route::Hello => text("hello"),
            Route::Held => text("held"),
            Route::Stream => vec![Piece::Text("last".into()), Piece::Gate, Piece::Text("first ".into())],
            Route::Big => vec![Piece::Repeated(Application::BIG)],
            Route::Upload => text(&self.received.to_string()),
            Route::Panic => panic!("/panic was asked for"),
            Route::Unknown => text("not found"),
        };
        let length = pieces.iter().map(Piece::length).sum();
        let status = if self.route == Route::Unknown { 404 } else { 200 };
        Reply { status, length, body: Body { pieces, exchange: self } }
    }
}

impl Piece {
    /// `None` where nobody should know.
    fn length(&self) -> Option<u64> {
        match self {
            Self::Text(text) => Some(text.len() as u64),
            Self::Repeated(length) => Some(*length),
            Self::Gate => None,
        }
    }
}

impl Stream for Body {
    type Item = Vec<u8>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Vec<u8>>> {
        loop {
            // The first piece is the last of the list.
            match self.pieces.pop() {
                Some(Piece::Text(text)) => return Poll::Ready(Some(text.into_bytes())),
                Some(Piece::Repeated(length)) => {
                    let piece = usize::try_from(length).unwrap_or(PIECE).min(PIECE);
                    if piece == 0 {
                        continue;
                    }
                    self.pieces.push(Piece::Repeated(length - piece as u64));
                    return Poll::Ready(Some(vec![b'x'; piece]));
                }
                Some(Piece::Gate) => {
                    if Pin::new(&mut self.exchange.gate).poll(cx).is_pending() {
                        self.pieces.push(Piece::Gate);
                        return Poll::Pending;
                    }
                }
                None => {
                    // Its last byte is on its way: nothing is in flight from here.
                    self.exchange.guard = None;
                    return Poll::Ready(None);
                }
            }
        }
    }
}
