//! What the suite has a server serve.

use std::future::Future;
use std::io;
use std::panic;
use std::pin::Pin;
use std::task::{Context, Poll};

use ebbtide::{Drain, Guard, Watcher};
use futures_io::{AsyncRead, AsyncWrite};
use futures_lite::{AsyncReadExt, AsyncWriteExt, future};

use crate::body::{Body, Piece};

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
/// | `POST /unread` | `unread`, at once: its body is not read |
/// | `POST /work` | `work`, at once; goes on with [`Work`] until released |
/// | `GET /echo`, an upgrade to `echo` | 101, then what comes, as it comes; once the drain begins `goodbye\n`, then nothing until `bye\n` or the end comes |
/// | `GET /panic` | a panic, once released |
/// | anything else | 404 |
///
/// HEAD is served as GET is: leaving the body out is the protocol engine's part.
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
///
/// In this order: if it [is an upgrade](Self::is_upgrade), answer 101 and hand the connection to
/// [`echo`](Self::echo). Otherwise, if it [reads](Self::reads), [receive](Self::receive) all of the body; run its
/// [work](Self::work), if any; and answer its [reply](Self::reply).
#[derive(Debug)]
pub struct Exchange {
    route: Route,
    received: u64,
    pub(crate) gate: Watcher,
    pub(crate) guard: Option<Guard>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    Hello,
    Held,
    Stream,
    Big,
    Upload,
    Unread,
    Work,
    Echo,
    Panic,
    Unknown,
}

/// What to answer.
#[derive(Debug)]
#[non_exhaustive]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The length of the body for the head, if it is known.
    pub length: Option<u64>,
    /// The body.
    pub body: Body,
}

/// What goes on after a response, until released: a future for a task of its own, under a guard like the connection's.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Work {
    gate: Watcher,
    _guard: Option<Guard>,
}

impl Application {
    /// The length of `/big`: more than all the buffers between a server and its client.
    pub const BIG: u64 = 32 * 1024 * 1024;

    /// One with its gate shut.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A request begins, with this method and this path.
    pub fn request(&self, method: &str, path: &str) -> Exchange {
        let route = match (method, path) {
            ("GET" | "HEAD", "/hello") => Route::Hello,
            ("GET" | "HEAD", "/held") => Route::Held,
            ("GET" | "HEAD", "/stream") => Route::Stream,
            ("GET" | "HEAD", "/big") => Route::Big,
            ("GET", "/echo") => Route::Echo,
            ("GET", "/panic") => Route::Panic,
            ("POST", "/upload") => Route::Upload,
            ("POST", "/unread") => Route::Unread,
            ("POST", "/work") => Route::Work,
            _ => Route::Unknown,
        };
        Exchange { route, received: 0, gate: self.gate.watcher(), guard: self.exchanges.watcher().guard() }
    }

    /// How many exchanges there are, and how much work.
    pub(crate) fn in_flight(&self) -> usize {
        self.exchanges.guards()
    }

    /// Lets everybody through who waits, now and later.
    pub(crate) fn release(&self) {
        drop(self.gate.start());
    }
}

impl Exchange {
    /// Whether it is to be answered by `101 Switching Protocols` with `Upgrade: echo`, and its connection handed to
    /// [`echo`](Self::echo).
    #[must_use]
    pub fn is_upgrade(&self) -> bool {
        self.route == Route::Echo
    }

    /// Whether the request's body, if it has one, is to be read to its end before the [`reply`](Self::reply).
    #[must_use]
    pub fn reads(&self) -> bool {
        self.route != Route::Unread
    }

    /// These bytes of the request's body have come.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.received += bytes.len() as u64;
    }

    /// What is to go on after the response, if anything.
    pub fn work(&self) -> Option<Work> {
        (self.route == Route::Work).then(|| Work { gate: self.gate.clone(), _guard: self.guard.clone() })
    }

    /// The answer, when it is time.
    ///
    /// # Panics
    ///
    /// That of `/panic` does, without a word on the standard error.
    pub async fn reply(self) -> Reply {
        if matches!(self.route, Route::Held | Route::Panic) {
            self.gate.clone().await;
        }
        let text = |text: &str| vec![Piece::Text(text.to_owned())];
        let pieces = match self.route {
            Route::Hello => text("hello"),
            Route::Held => text("held"),
            // The first piece is the last of the list.
            Route::Stream => vec![Piece::Text("last".into()), Piece::Gate, Piece::Text("first ".into())],
            Route::Big => vec![Piece::Repeated(Application::BIG)],
            Route::Upload => text(&self.received.to_string()),
            Route::Unread => text("unread"),
            Route::Work => text("work"),
            Route::Echo => text("an upgrade to echo"),
            Route::Panic => panic::resume_unwind(Box::new("/panic was asked for")),
            Route::Unknown => text("not found"),
        };
        let status = match self.route {
            Route::Unknown => 404,
            // Whoever takes it for a request like any other.
            Route::Echo => 426,
            _ => 200,
        };
        let length = pieces.iter().map(Piece::length).sum();
        Reply { status, length, body: Body::new(pieces, self) }
    }

    /// Speaks the protocol `echo` on an upgraded connection, to its end. `watcher` is one of the server's drain.
    ///
    /// # Errors
    ///
    /// Those of the connection: that it is cut, for one.
    pub async fn echo(self, io: impl AsyncRead + AsyncWrite + Unpin, watcher: Watcher) -> io::Result<()> {
        // The connection has the guard that the drain waits for, so it goes last: whoever sees the drain over sees
        // that nothing is in flight.
        let mut io = io;
        let _exchange = self;
        while let Some(bytes) = next(&mut io, &watcher).await? {
            if bytes.is_empty() {
                return io.close().await;
            }
            io.write_all(&bytes).await?;
            io.flush().await?;
        }
        io.write_all(b"goodbye\n").await?;
        io.flush().await?;
        let (mut answer, mut byte) = (Vec::new(), [0]);
        while !answer.ends_with(b"bye\n") && io.read(&mut byte).await? > 0 {
            answer.extend(byte);
        }
        io.close().await
    }
}

/// What comes, nothing at the end; `None` once the drain has begun. What has come goes first.
async fn next(io: &mut (impl AsyncRead + Unpin), watcher: &Watcher) -> io::Result<Option<Vec<u8>>> {
    let mut space = [0; 1024];
    let read = async { io.read(&mut space).await.map(Some) };
    let draining = async {
        watcher.clone().await;
        Ok(None)
    };
    let read = future::or(read, draining).await?;
    Ok(read.map(|read| space[..read].to_vec()))
}

impl Future for Work {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.gate).poll(cx)
    }
}
