//! The connection's bytes: seen, guarded, and handed to async-h1 no further than the request goes.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use ebbtide::Closed;
use ebbtide::connection::Policy;
use ebbtide_connection::{Record, WRITES, cut};
use futures_io::{AsyncRead, AsyncWrite};

use crate::framing::Framing;
use crate::head::{self, Head};

/// A connection, as its owner has it.
#[derive(Debug)]
pub(crate) struct Connection<I> {
    shared: Arc<Shared<I>>,
}

#[derive(Debug)]
struct Shared<I> {
    record: Arc<Record>,
    state: Mutex<State<I>>,
}

#[derive(Debug)]
struct State<I> {
    /// None once the connection is over, whoever still has a part of it.
    inner: Option<I>,
    /// Read, and not handed out.
    rest: Vec<u8>,
    /// The number of the request at hand.
    request: u64,
    /// The rest of its head, which is handed out first.
    head: Vec<u8>,
    framing: Framing,
    /// What the client is to be sent before it sends the body.
    owed: &'static [u8],
    /// The last write was not taken.
    blocked: bool,
    finishing: bool,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Http,
    Upgraded,
    /// Our end is written.
    HalfClosed,
}

/// One request's part of a connection: its body, and the way back. After an upgrade, the connection.
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

/// What is read at a time.
const LOOK: usize = 4096;
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

impl<I: AsyncRead + AsyncWrite + Unpin> Connection<I> {
    pub(crate) fn new(inner: I, record: Arc<Record>) -> Self {
        // A request's body reads from the I/O itself, and a handler may hand it to a task of its own.
        record.hand_over();
        let state = State {
            inner: Some(inner),
            rest: Vec::new(),
            request: 0,
            head: Vec::new(),
            framing: Framing::Length(0),
            owed: &[],
            blocked: false,
            finishing: false,
            stage: Stage::Http,
        };
        Self { shared: Arc::new(Shared { record, state: Mutex::new(state) }) }
    }

    /// Begins no other request.
    pub(crate) fn finish(&self) {
        self.shared.state().finishing = true;
    }

    pub(crate) fn is_finishing(&self) -> bool {
        self.shared.state().finishing
    }

    /// The next head's bytes; `None` where there is none to come. `Err` of the bytes where they are too many.
    ///
    /// Only a wait in which no byte has come ends because the connection is to finish.
    pub(crate) async fn head(&self) -> io::Result<Option<Vec<u8>>> {
        // Pipelined: it came while another request was being served. Told once, since it comes but once.
        self.shared.record.read(&self.shared.state().rest);
        poll_fn(|cx| self.poll_head(cx)).await
    }

    fn poll_head(&self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Vec<u8>>>> {
        let Shared { record, state } = &*self.shared;
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            // An empty line or two before a request are none of it (RFC 9112, section 2.2).
            let blank = state.rest.iter().take_while(|it| matches!(it, b'\r' | b'\n')).count();
            state.rest.drain(..blank);
            if let Some(end) = head::end(&state.rest) {
                return Poll::Ready(Ok(Some(state.rest.drain(..end).collect())));
            }
            if state.rest.len() >= head::LONGEST {
                return Poll::Ready(Ok(Some(std::mem::take(&mut state.rest))));
            }
            match state.poll_more(cx) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Ok(None)),
                Poll::Ready(Ok(more)) => {
                    let new = state.rest.len() - more;
                    record.read(&state.rest[new..]);
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending if state.finishing && state.rest.is_empty() => return Poll::Ready(Ok(None)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// What async-h1 is to read and write this request by.
    pub(crate) fn request(&self, head: &mut Head) -> Io<I> {
        let mut state = self.shared.state();
        state.request += 1;
        state.head = std::mem::take(&mut head.bytes);
        state.framing = std::mem::replace(&mut head.framing, Framing::Length(0));
        state.owed = if head.expects { CONTINUE } else { &[] };
        Io::new(self.shared.clone(), state.request)
    }

    /// Ready if the client goes away while its request, of which all has been read, is being served. A client that does
    /// not take what is written to it is there: to end its direction is no departure then.
    pub(crate) fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let mut state = self.shared.state();
        while !state.blocked && state.framing.is_over() && state.rest.len() < head::LONGEST {
            match ready!(state.poll_more(cx)) {
                Ok(0) => return Poll::Ready(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) => return Poll::Ready(error),
            }
        }
        Poll::Pending
    }

    /// Whether all of the body has come, read or not.
    pub(crate) fn has_come(&self) -> bool {
        let state = self.shared.state();
        let mut framing = state.framing.clone();
        framing.take(&state.rest);
        framing.is_over()
    }

    /// Drops what has come of the body and was not read. What was [`has_come`](Self::has_come) is over then.
    pub(crate) fn drop_body(&self) {
        let mut state = self.shared.state();
        let State { framing, rest, .. } = &mut *state;
        let unread = framing.take(rest);
        rest.drain(..unread);
    }

    /// The connection is its handler's.
    pub(crate) fn upgrade(&self) {
        self.shared.state().stage = Stage::Upgraded;
    }

    /// Writes our end, then reads and drops what the client still sends, for as long as the policy says (RFC 9112,
    /// section 9.6).
    pub(crate) fn poll_end(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Shared { record, state } = &*self.shared;
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.stage != Stage::HalfClosed {
            ready!(state.inner()?.poll_close(cx))?;
            state.stage = Stage::HalfClosed;
            record.half_closed(!state.rest.is_empty());
        }
        loop {
            state.rest.clear();
            match state.poll_more(cx) {
                Poll::Ready(Ok(more)) if more > 0 => record.policy(|it| it.read(&state.rest)),
                Poll::Pending if record.policy(|it| it.lingers()) => return Poll::Pending,
                // The client's end, its reset, or nothing that would be worth the wait.
                _ => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl<I> Drop for Connection<I> {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        // A handler may have kept a body, but there is nothing more to be had from it.
        let inner = if state.stage == Stage::Upgraded { None } else { state.inner.take() };
        drop(state);
        drop(inner);
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

    /// Reads some more behind the rest. Returns how much it was.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut space = [0; LOOK];
        let read = ready!(self.inner()?.poll_read(cx, &mut space))?;
        self.rest.extend_from_slice(&space[..read]);
        Poll::Ready(Ok(read))
    }

    /// Asks for the body, where its client waits to be asked.
    fn poll_owed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.owed.is_empty() {
            let owed = self.owed;
            let written = ready!(self.inner()?.poll_write(cx, owed))?;
            self.owed = &owed[written..];
        }
        self.inner()?.poll_flush(cx)
    }

    fn poll_body(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            if self.framing.is_over() || buf.is_empty() {
                return Poll::Ready(Ok(0));
            }
            let skipped = self.framing.skip(&self.rest);
            self.rest.drain(..skipped);
            let taken = self.framing.hand_out(&self.rest, buf.len());
            if taken > 0 {
                return Poll::Ready(Ok(hand_out(&mut self.rest, &mut buf[..taken])));
            }
            if !self.owed.is_empty() {
                ready!(self.poll_owed(cx))?;
            }
            if !self.rest.is_empty() {
                if ready!(self.poll_more(cx))? == 0 {
                    return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                }
                continue;
            }
            let read = ready!(self.inner()?.poll_read(cx, buf))?;
            if read == 0 {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            let taken = self.framing.hand_out(&buf[..read], read);
            self.rest.extend_from_slice(&buf[taken..read]);
            if taken > 0 {
                return Poll::Ready(Ok(taken));
            }
        }
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
        let (read_closed, write_closed) = (shared.record.watcher().closed(), shared.record.watcher().closed());
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
        cut(&mut this.read_closed, &this.shared.record, cx)?;
        let mut state = self.shared.state();
        if !state.head.is_empty() && state.request == self.request {
            return Poll::Ready(Ok(hand_out(&mut state.head, buf)));
        }
        match &mut *state {
            // A body that was kept beyond its response gets nothing of the next request.
            it if it.request != self.request => Poll::Ready(Ok(0)),
            it if it.stage != Stage::Upgraded => it.poll_body(cx, buf),
            it if !it.rest.is_empty() => Poll::Ready(Ok(hand_out(&mut it.rest, buf))),
            it => it.inner()?.poll_read(cx, buf),
        }
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> Io<I> {
    fn poll_written(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut I>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        cut(&mut this.write_closed, &this.shared.record, cx)?;
        let Shared { record, .. } = &*self.shared;
        let mut state = self.shared.state();
        if state.request != self.request {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if state.owed.len() == CONTINUE.len() {
            // The response comes first, so the body is not asked for any more.
            state.owed = &[];
        }
        if !state.owed.is_empty() {
            ready!(state.poll_owed(cx))?;
        }
        let written = write(state.inner()?, cx);
        state.blocked = written.is_pending();
        match &written {
            Poll::Ready(Ok(bytes)) if record.heeds(WRITES) => record.policy(|it| it.wrote(*bytes)),
            Poll::Pending => record.policy(Policy::blocked),
            Poll::Ready(_) => {}
        }
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
        cut(&mut this.write_closed, &this.shared.record, cx)?;
        self.shared.state().inner()?.poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        cut(&mut this.write_closed, &this.shared.record, cx)?;
        self.shared.state().inner()?.poll_close(cx)
    }
}
