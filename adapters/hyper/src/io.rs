//! The connection's bytes: seen, guarded, looked for ahead of hyper, and read on for a while after our end.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use ebbtide::Closed;
use ebbtide_connection::policy::Policy;
use ebbtide_connection::{CONTINUE, Ended, READS, Record, WRITES, cut};
use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};

/// A connection whose guard it carries.
///
/// hyper hands it on at an upgrade, so the drain waits for whoever has it then. Once the drain is closed by force,
/// every operation fails with [`ConnectionAborted`](io::ErrorKind::ConnectionAborted).
#[derive(Debug)]
pub struct Io<I: Read + Write + Unpin> {
    inner: I,
    record: Arc<Record>,
    /// If hyper reads for what it needs and no further: what is there besides, since it would not see its client leave.
    ahead: Option<Ahead>,
    /// One for each direction: after an upgrade they may be polled by two tasks.
    read_closed: Closed,
    write_closed: Closed,
    shutdown: Shutdown,
    /// The last four bytes of the heads that were read, or others where something came behind one.
    tail: [u8; 4],
    /// How many reads are left of the connection's turn.
    turn: u8,
}

/// What came while hyper had a request and asked for nothing.
#[derive(Debug, Default)]
struct Ahead {
    bytes: Vec<u8>,
    /// The client has ended its direction behind them.
    ended: bool,
    /// hyper has asked for more of the request, in vain.
    asked: bool,
    /// What is left of what the client is asked by.
    owed: &'static [u8],
}

#[derive(Debug)]
enum Shutdown {
    Open,
    HalfClosed,
    Over,
}

/// What is read while the policy listens. One page of stack; a longer head takes another read.
const LOOK: usize = 4096;
/// How many reads there may be without a pause before it is the turn of the thread's other tasks. hyper reads for as long as
/// a chunk's size goes on, and zeros before one never end; an executor that interrupts nobody, such as smol's, would run
/// nothing else. So few because a read of hyper may be one of 400 KiB.
const TURN: u8 = 16;
/// How a head ends. Not by two LF alone, which hyper takes: then the connection is read on for a while.
const HEAD_END: [u8; 4] = *b"\r\n\r\n";

/// What is read and dropped at most, in pages, when a connection is dropped behind its last words.
const LEFT: usize = 64;

impl<I: Read + Write + Unpin> Io<I> {
    /// `looks_ahead`: hyper does not, since it is to serve clients that have ended their direction (`half_close`).
    pub(crate) fn new(inner: I, record: Arc<Record>, looks_ahead: bool) -> Self {
        let (read_closed, write_closed) = (record.watcher().closed(), record.watcher().closed());
        let ahead = looks_ahead.then(Ahead::default);
        Self { inner, record, ahead, read_closed, write_closed, shutdown: Shutdown::Open, tail: HEAD_END, turn: TURN }
    }

    /// The connection itself. Bytes read or written past this wrapper are unknown to the policy.
    pub fn inner(&self) -> &I {
        &self.inner
    }

    /// Ready while it is the connection's turn.
    #[inline]
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.turn == 0 {
            return self.pause(cx);
        }
        self.turn -= 1;
        Poll::Ready(())
    }

    #[cold]
    fn pause(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.turn = TURN;
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn moved(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Ready(Ok(bytes)) if self.record.heeds(WRITES) => self.record.policy(|it| it.on_written(*bytes)),
            Poll::Pending => self.record.policy(Policy::on_write_blocked),
            Poll::Ready(_) => {}
        }
        written
    }
}

impl<I: Read + Write + Unpin> Io<I> {
    /// Looks for what hyper does not ask for while it serves a request: the next one, or the client's departure, which is
    /// the error.
    #[inline(never)]
    fn look_ahead(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let Some(ahead) = &mut self.ahead else { return Ok(()) };
        if !ahead.bytes.is_empty() {
            return Ok(());
        }
        let mut space = [MaybeUninit::uninit(); LOOK];
        let mut more = ReadBuf::uninit(&mut space);
        let Poll::Ready(read) = Pin::new(&mut self.inner).poll_read(cx, more.unfilled()) else {
            return Ok(());
        };
        read?;
        // hyper does not know that there is something to be read now, and what was read wakes nobody.
        let is_news = !(more.filled().is_empty() && ahead.ended);
        if is_news {
            cx.waker().wake_by_ref();
        }
        if more.filled().is_empty() {
            ahead.ended = true;
            if is_news && ahead.asked {
                // The request is not whole, which hyper is to see.
                return Ok(());
            }
            match self.record.client_ended() {
                Ended::Gone => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the client went away")),
                Ended::Ask => ahead.owed = CONTINUE,
                // A reset shows by a write and, behind the client's end, by no read.
                Ended::Wait => {
                    if let Poll::Ready(reset @ Err(_)) = Pin::new(&mut self.inner).poll_write(cx, &[]) {
                        return reset.map(drop);
                    }
                }
            }
        } else {
            ahead.bytes.extend_from_slice(more.filled());
        }
        match self.poll_owed(cx) {
            Poll::Ready(asked) => asked,
            Poll::Pending => Ok(()),
        }
    }

    /// Writes what the client is asked by. Nothing else may come between.
    #[inline]
    fn poll_owed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.ahead {
            Some(ahead) if !ahead.owed.is_empty() => {
                while !ahead.owed.is_empty() {
                    let written = ready!(Pin::new(&mut self.inner).poll_write(cx, ahead.owed))?;
                    ahead.owed = &ahead.owed[written..];
                }
                Pin::new(&mut self.inner).poll_flush(cx)
            }
            _ => Poll::Ready(Ok(())),
        }
    }

    /// These bytes came, and hyper gets them.
    fn saw(&mut self, bytes: &[u8]) {
        if self.record.awaits_head() {
            for byte in &bytes[bytes.len().saturating_sub(self.tail.len())..] {
                self.tail = [self.tail[1], self.tail[2], self.tail[3], *byte];
            }
        } else {
            self.tail = [0; 4];
        }
        self.record.read(bytes);
    }

    /// Whether something came behind the last request.
    fn has_more(&self) -> bool {
        self.tail != HEAD_END || self.ahead.as_ref().is_some_and(|ahead| !ahead.bytes.is_empty())
    }

    /// Hands out what came ahead, if anything did: returns whether that was it.
    #[inline]
    fn hand_out(&mut self, buf: &mut ReadBufCursor<'_>) -> bool {
        match &mut self.ahead {
            Some(ahead) if !ahead.bytes.is_empty() => {
                let length = buf.remaining().min(ahead.bytes.len());
                let bytes: Vec<_> = ahead.bytes.drain(..length).collect();
                if ahead.bytes.is_empty() {
                    ahead.bytes = Vec::new();
                }
                self.saw(&bytes);
                buf.put_slice(&bytes);
                true
            }
            Some(ahead) => ahead.ended,
            None => false,
        }
    }

    /// A cursor does not tell what was put into it, so what must be seen is read here and copied. Out of line: hardly
    /// any read is, and the page would be in the frame of all.
    #[inline(never)]
    fn look(&mut self, cx: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let mut space = [MaybeUninit::uninit(); LOOK];
        let room = buf.remaining().min(LOOK);
        let mut seen = ReadBuf::uninit(&mut space[..room]);
        ready!(Pin::new(&mut self.inner).poll_read(cx, seen.unfilled()))?;
        self.saw(seen.filled());
        buf.put_slice(seen.filled());
        Poll::Ready(Ok(()))
    }
}

impl<I: Read + Write + Unpin> Read for Io<I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        cut(&mut this.read_closed, &this.record, cx)?;
        if this.hand_out(&mut buf) {
            return Poll::Ready(Ok(()));
        }
        // Of a pause of our own nobody can tell whether there is more.
        ready!(this.poll_turn(cx));
        let read = if this.record.heeds(READS) || this.record.awaits_head() {
            this.look(cx, buf)
        } else {
            let read = Pin::new(&mut this.inner).poll_read(cx, buf);
            if let Poll::Ready(Ok(())) = read {
                this.tail = [0; 4];
                this.record.heard();
            }
            read
        };
        if read.is_pending() {
            this.turn = TURN;
        }
        if let Some(ahead) = &mut this.ahead {
            ahead.asked = read.is_pending() && this.record.is_serving();
            if ahead.asked {
                this.record.policy(Policy::on_body_awaited);
            }
        }
        read
    }
}

impl<I: Read + Write + Unpin> Write for Io<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        cut(&mut this.write_closed, &this.record, cx)?;
        ready!(this.poll_owed(cx))?;
        let written = Pin::new(&mut this.inner).poll_write(cx, buf);
        this.moved(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        cut(&mut this.write_closed, &this.record, cx)?;
        ready!(this.poll_owed(cx))?;
        let written = Pin::new(&mut this.inner).poll_write_vectored(cx, bufs);
        this.moved(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        cut(&mut this.write_closed, &this.record, cx)?;
        ready!(this.poll_owed(cx))?;
        let flushed = ready!(Pin::new(&mut this.inner).poll_flush(cx));
        // It is what hyper does last whenever it is polled, and nothing of a response is left with it then.
        if this.record.is_serving() {
            this.look_ahead(cx)?;
        }
        Poll::Ready(flushed)
    }

    /// Writes our end, then reads and drops what the client still sends, for as long as the policy says: bytes that
    /// meet a closed socket are answered by a reset, which destroys what the client has not read yet (RFC 9112,
    /// section 9.6).
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        cut(&mut this.write_closed, &this.record, cx)?;
        loop {
            match this.shutdown {
                Shutdown::Open => {
                    ready!(Pin::new(&mut this.inner).poll_shutdown(cx))?;
                    this.record.half_closed(this.has_more());
                    this.shutdown = Shutdown::HalfClosed;
                }
                Shutdown::HalfClosed => {
                    ready!(this.poll_turn(cx));
                    let mut space = [MaybeUninit::uninit(); LOOK];
                    let mut rest = ReadBuf::uninit(&mut space);
                    let read = Pin::new(&mut this.inner).poll_read(cx, rest.unfilled());
                    match read {
                        Poll::Ready(Ok(())) if !rest.filled().is_empty() => {
                            this.record.read(rest.filled());
                        }
                        Poll::Pending if this.record.policy(|it| it.lingers()) => return Poll::Pending,
                        // The client's end, its reset, or nothing that would be worth the wait.
                        _ => this.shutdown = Shutdown::Over,
                    }
                }
                Shutdown::Over => return Poll::Ready(Ok(())),
            }
        }
    }
}

/// The last words: dropped in a forced close with a response owed, it says that there will be none.
impl<I: Read + Write + Unpin> Drop for Io<I> {
    fn drop(&mut self) {
        let is_clear = self.ahead.as_ref().is_none_or(|ahead| ahead.owed.is_empty());
        let Some(words) = self.record.last_words().filter(|_| is_clear) else { return };
        // Nobody is there to wait: what is not taken at once is not said.
        let (mut inner, cx) = (Pin::new(&mut self.inner), &mut Context::from_waker(Waker::noop()));
        if !matches!(inner.as_mut().poll_write(cx, words), Poll::Ready(Ok(_))) {
            return;
        }
        let _ = inner.as_mut().poll_flush(cx);
        let _ = inner.as_mut().poll_shutdown(cx);
        // What has come would be answered by a reset, which may destroy them.
        for _ in 0..LEFT {
            let mut space = [MaybeUninit::uninit(); LOOK];
            let mut rest = ReadBuf::uninit(&mut space);
            let read = inner.as_mut().poll_read(cx, rest.unfilled());
            if !matches!(read, Poll::Ready(Ok(()))) || rest.filled().is_empty() {
                return;
            }
        }
    }
}
