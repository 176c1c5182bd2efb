//! `Connection` and `Io`: the I/O of a connection, read as heads and bodies.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::mem;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use ebbtide::Closed;
use ebbtide_connection::policy::Policy;
use ebbtide_connection::{Budget, Interim, Tracker, Transport};
use futures_io::{AsyncRead, AsyncWrite};
use http_types::StatusCode;
use http_types::trailers::{Sender, Trailers};

use crate::framing::Framing;
use crate::head::{self, Head};

/// The connection, as the future that serves it has it.
#[derive(Debug)]
pub(crate) struct Connection<I: AsyncRead + AsyncWrite + Unpin> {
    shared: Arc<Shared<I>>,
}

#[derive(Debug)]
struct Shared<I> {
    tracker: Arc<Tracker>,
    state: Mutex<State<I>>,
}

#[derive(Debug)]
struct State<I> {
    /// `None` once the connection is over, though parts of it may still exist.
    inner: Option<I>,
    /// Bytes that were read and not used yet.
    rest: Vec<u8>,
    /// How many bytes of empty lines have come before the next head.
    blank: usize,
    /// The budget of reads and requests.
    budget: Budget,
    /// The number of the current request, and the rest of its body.
    request: u64,
    framing: Framing,
    /// Where to send its trailers.
    trailers: Option<Sender>,
    /// The trailers, until they are sent.
    said: Option<(Sender, Trailers)>,
    /// For a client that waits for it before it sends the body, or that has closed its direction.
    interim: Interim,
    /// The socket did not accept the last write.
    blocked: bool,
    finishing: bool,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Http,
    Upgraded,
    /// Our direction is closed.
    HalfClosed,
    /// The stream goes to a successor.
    Left,
}

/// The I/O of one request: reads its body, and writes its response. After an upgrade, that of the connection.
///
/// It holds the connection's guard. Once the drain is closed by force, every operation fails with
/// [`ConnectionAborted`](io::ErrorKind::ConnectionAborted).
#[derive(Debug)]
pub(crate) struct Io<I> {
    shared: Arc<Shared<I>>,
    request: u64,
    /// One for each direction: after an upgrade they may be polled by two tasks.
    read_closed: Closed,
    write_closed: Closed,
}

/// How many bytes are read at a time.
const LOOK: usize = 4096;
/// How many bytes are read before the task yields. A request counts as one page, since it may have been read with another.
const BUDGET: u32 = 128 * 1024;

/// The byte stream below async-h1.
struct Bytes<'a, I>(Pin<&'a mut I>);

impl<I: AsyncRead + AsyncWrite> Transport for Bytes<'_, I> {
    fn poll_read(&mut self, cx: &mut Context<'_>, space: &mut [u8]) -> Poll<io::Result<usize>> {
        self.0.as_mut().poll_read(cx, space)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.as_mut().poll_write(cx, bytes)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.as_mut().poll_flush(cx)
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.as_mut().poll_close(cx)
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> Connection<I> {
    pub(crate) fn new(inner: I, tracker: Arc<Tracker>) -> Self {
        // A request body reads from the I/O itself, and a handler may move it to another task.
        tracker.share();
        let state = State {
            inner: Some(inner),
            rest: Vec::new(),
            blank: 0,
            budget: Budget::new(BUDGET),
            request: 0,
            framing: Framing::Length(0),
            trailers: None,
            said: None,
            interim: Interim::default(),
            blocked: false,
            finishing: false,
            stage: Stage::Http,
        };
        Self { shared: Arc::new(Shared { tracker, state: Mutex::new(state) }) }
    }

    /// Asks for the end: no other request is begun.
    pub(crate) fn finish(&self) {
        self.shared.state().finishing = true;
    }

    pub(crate) fn is_finishing(&self) -> bool {
        self.shared.state().finishing
    }

    /// The next head, or the status to answer with if it is malformed; `None` at the end.
    ///
    /// Once the connection must finish, the wait ends unless part of a head has come. It also ends if the connection leaves for
    /// a successor.
    pub(crate) async fn head(&self) -> io::Result<Option<Result<Head, StatusCode>>> {
        // Pipelined bytes, which came during the request before. They are reported here, and once.
        self.shared.tracker.read(&self.shared.state().rest);
        poll_fn(|cx| self.poll_head(cx)).await
    }

    fn poll_head(&self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Result<Head, StatusCode>>>> {
        let Shared { tracker, state } = &*self.shared;
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.finishing {
            // So that a pending read means that nothing has come.
            state.budget.refill();
        }
        ready!(state.budget.poll_read(cx, LOOK));
        loop {
            // Empty lines before a request are ignored (RFC 9112, section 2.2).
            let blank = 2 * state.rest.chunks_exact(2).take_while(|it| *it == b"\r\n").count();
            state.rest.drain(..blank);
            state.blank += blank;
            if state.blank > head::LONGEST {
                return Poll::Ready(Ok(Some(Err(StatusCode::BadRequest))));
            }
            if !state.rest.is_empty() {
                let head = match Head::parse(&state.rest) {
                    Ok(None) => None,
                    Ok(Some((head, length))) => {
                        state.rest.drain(..length);
                        Some(Ok(head))
                    }
                    Err(status) => Some(Err(status)),
                };
                if head.is_some() {
                    state.blank = 0;
                    return Poll::Ready(Ok(head));
                }
            }
            match state.poll_more(cx) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Ok(None)),
                Poll::Ready(Ok(more)) => {
                    let new = state.rest.len() - more;
                    tracker.read(&state.rest[new..]);
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending if state.finishing && state.rest.is_empty() => return Poll::Ready(Ok(None)),
                Poll::Pending if tracker.may_leave() && state.is_between(cx) => {
                    // Unlocked, since it may wake another connection.
                    drop(state);
                    if !tracker.leave(cx) {
                        return Poll::Pending;
                    }
                    self.shared.state().stage = Stage::Left;
                    return Poll::Ready(Ok(None));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// The I/O of the next request, whose body has this framing.
    pub(crate) fn request(&self, framing: Framing, expects: bool, trailers: Option<Sender>) -> Io<I> {
        let mut state = self.shared.state();
        state.request += 1;
        state.framing = framing;
        state.interim = if expects { Interim::due() } else { Interim::default() };
        state.trailers = trailers;
        Io::new(self.shared.clone(), state.request)
    }

    /// Ready if the client disconnects while its complete request is being served. While a write is blocked, the client counts
    /// as connected.
    pub(crate) fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let Shared { tracker, state } = &*self.shared;
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if state.blocked || !state.framing.is_over() || state.rest.len() >= head::LONGEST {
                return Poll::Pending;
            }
            match ready!(state.poll_more(cx)) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => return Poll::Ready(error),
            }
        }
        let asked = match &mut *state {
            State { inner: Some(inner), interim, .. } => tracker.client_ended(&mut Bytes(Pin::new(inner)), interim, cx),
            _ => Err(io::ErrorKind::NotConnected.into()),
        };
        asked.map_or_else(Poll::Ready, |()| Poll::Pending)
    }

    /// Whether all of the body has come, whether or not the endpoint has read it.
    pub(crate) fn has_come(&self) -> bool {
        let state = self.shared.state();
        let mut framing = state.framing.clone();
        framing.take(&state.rest);
        framing.is_over()
    }

    /// Whether the framing of the body is malformed.
    pub(crate) fn is_malformed(&self) -> bool {
        self.shared.state().framing.is_malformed()
    }

    /// Drops the part of the body that has come and was not read. A body that [`has_come`](Self::has_come) is over then.
    pub(crate) fn drop_body(&self) {
        let mut state = self.shared.state();
        let State { framing, rest, .. } = &mut *state;
        let unread = framing.take(rest);
        rest.drain(..unread);
        let trailers = state.trailers.take();
        // Outside the lock: the drop wakes the receiver.
        drop(state);
        drop(trailers);
    }

    /// The connection belongs to the handler from here on.
    pub(crate) fn upgrade(&self) {
        self.shared.state().stage = Stage::Upgraded;
    }

    /// Closes our direction, and then lingers for as long as the policy says.
    pub(crate) fn poll_end(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Shared { tracker, state } = &*self.shared;
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.stage == Stage::Left {
            return Poll::Ready(Ok(()));
        }
        if state.stage != Stage::HalfClosed {
            ready!(state.inner()?.poll_close(cx))?;
            state.stage = Stage::HalfClosed;
            // So that a pending read means that there is nothing to read.
            state.budget.refill();
            tracker.half_closed(!state.rest.is_empty());
        }
        let State { inner: Some(inner), budget, .. } = &mut *state else { return Poll::Ready(Ok(())) };
        tracker.poll_linger(&mut Bytes(Pin::new(inner)), budget, cx).map(Ok)
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> Drop for Connection<I> {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        if state.stage == Stage::Upgraded {
            return;
        }
        // A body that a handler has kept fails from here on.
        let (inner, interim) = (state.inner.take(), mem::take(&mut state.interim));
        drop(state);
        if let Some(mut inner) = inner {
            self.shared.tracker.last_words(&mut Bytes(Pin::new(&mut inner)), interim);
        }
    }
}

impl<I> Shared<I> {
    fn state(&self) -> MutexGuard<'_, State<I>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> State<I> {
    fn inner(&mut self) -> io::Result<Pin<&mut I>> {
        self.inner.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Whether nothing was read that was not answered, and nothing is unwritten.
    fn is_between(&mut self, cx: &mut Context<'_>) -> bool {
        let is_whole = self.rest.is_empty() && !self.blocked && !self.interim.is_due();
        is_whole && self.inner().is_ok_and(|inner| matches!(inner.poll_flush(cx), Poll::Ready(Ok(()))))
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        ready!(self.budget.poll_read(cx, buf.len()));
        let read = self.inner()?.poll_read(cx, buf);
        if read.is_pending() {
            self.budget.refill();
        }
        read
    }

    /// Reads more bytes into the rest. Returns how many.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut space = [0; LOOK];
        let read = ready!(self.poll_read(cx, &mut space))?;
        self.rest.extend_from_slice(&space[..read]);
        Poll::Ready(Ok(read))
    }

    /// Writes the interim response, if one is due.
    fn poll_interim(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self { inner: Some(inner), interim, .. } => interim.poll_write(&mut Bytes(Pin::new(inner)), cx),
            _ => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    /// Reads data of the body. Not by async-h1's decoder, which accepts malformed chunks.
    fn poll_body(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            let decoded = self.decode(buf);
            if decoded > 0 || buf.is_empty() || self.framing.is_over() {
                return Poll::Ready(Ok(decoded));
            }
            if self.framing.is_malformed() {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "the body is not what it says")));
            }
            if self.interim.is_due() {
                ready!(self.poll_interim(cx))?;
            }
            let ahead = self.framing.ahead().min(buf.len());
            let read = if ahead > 0 {
                let read = ready!(self.poll_read(cx, &mut buf[..ahead]))?;
                self.framing.advance(read);
                read
            } else {
                ready!(self.poll_more(cx))?
            };
            if read == 0 {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            if ahead > 0 {
                return Poll::Ready(Ok(read));
            }
        }
    }

    /// Copies what has come of the body, as far as there is room for it.
    fn decode(&mut self, buf: &mut [u8]) -> usize {
        let (mut taken, mut decoded) = (0, 0);
        loop {
            let (skipped, trailers) = self.framing.skip(&self.rest[taken..]);
            taken += skipped;
            if let Some(trailers) = trailers {
                self.said = self.trailers.take().map(|sender| (sender, trailers));
            }
            let data = self.framing.ahead().min(self.rest.len() - taken).min(buf.len() - decoded);
            if data == 0 {
                break;
            }
            buf[decoded..decoded + data].copy_from_slice(&self.rest[taken..taken + data]);
            self.framing.advance(data);
            taken += data;
            decoded += data;
        }
        self.rest.drain(..taken);
        decoded
    }
}

fn hand_out(from: &mut Vec<u8>, buf: &mut [u8]) -> usize {
    let length = buf.len().min(from.len());
    buf[..length].copy_from_slice(&from[..length]);
    from.drain(..length);
    length
}

impl<I> Io<I> {
    fn new(shared: Arc<Shared<I>>, request: u64) -> Self {
        let (read_closed, write_closed) = (shared.tracker.watcher().closed(), shared.tracker.watcher().closed());
        Self { shared, request, read_closed, write_closed }
    }
}

impl<I> Clone for Io<I> {
    fn clone(&self) -> Self {
        Self::new(self.shared.clone(), self.request)
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncRead for Io<I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        this.shared.tracker.check_forced_close(&mut this.read_closed, cx)?;
        let Shared { tracker, .. } = &*self.shared;
        let mut state = self.shared.state();
        let read = match &mut *state {
            // A body that was kept after its response must not read the next request.
            it if it.request != self.request => Poll::Ready(Ok(0)),
            it if it.stage != Stage::Upgraded => {
                let read = it.poll_body(cx, buf);
                match &read {
                    Poll::Ready(Ok(bytes)) => tracker.read(&buf[..*bytes]),
                    Poll::Pending => tracker.policy(Policy::on_body_awaited),
                    Poll::Ready(Err(_)) => {}
                }
                read
            }
            it if !it.rest.is_empty() => Poll::Ready(Ok(hand_out(&mut it.rest, buf))),
            it => it.inner()?.poll_read(cx, buf),
        };
        let said = state.said.take();
        // Outside the lock: sending the trailers wakes the receiver.
        drop(state);
        if let Some((sender, trailers)) = said {
            // Ready at once, since the channel has room for the one message.
            let _ = pin!(sender.send(trailers)).poll(cx);
        }
        read
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> Io<I> {
    fn poll_written(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut I>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        this.shared.tracker.check_forced_close(&mut this.write_closed, cx)?;
        let Shared { tracker, .. } = &*self.shared;
        let mut state = self.shared.state();
        if state.request != self.request {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        // The response begins, so a `100 Continue` is not needed any more.
        state.interim.withdraw();
        if state.interim.is_due() {
            ready!(state.poll_interim(cx))?;
        }
        let written = write(state.inner()?, cx);
        state.blocked = written.is_pending();
        tracker.written(&written);
        written
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Io<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_written(cx, |inner, cx| inner.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_written(cx, |inner, cx| inner.poll_write_vectored(cx, bufs))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.shared.tracker.check_forced_close(&mut this.write_closed, cx)?;
        self.shared.state().inner()?.poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.shared.tracker.check_forced_close(&mut this.write_closed, cx)?;
        self.shared.state().inner()?.poll_close(cx)
    }
}
