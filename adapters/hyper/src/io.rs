//! `Io`: the I/O of a connection, which holds its guard and reports reads and writes to the policy.

use std::io::{self, IoSlice};
use std::mem::{self, MaybeUninit};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use ebbtide::Closed;
use ebbtide_connection::policy::Policy;
use ebbtide_connection::{Budget, Interim, Tracker, Transport};
use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};

use crate::boundary::Boundary;

/// The I/O of a connection, wrapped. It holds the connection's guard.
///
/// At an upgrade hyper passes it on, so the drain waits for the code that has it then. Once the drain is closed by force, every
/// operation fails with [`ConnectionAborted`](io::ErrorKind::ConnectionAborted).
#[derive(Debug)]
pub struct Io<I: Read + Write + Unpin> {
    inner: I,
    tracker: Arc<Tracker>,
    /// What was read to tell the protocol, and the policy has seen: hyper reads it once more.
    first: Vec<u8>,
    /// If hyper reads only what it needs (`half_close`): what was read ahead of it, to notice a client that disconnects.
    ahead: Option<Ahead>,
    /// One for each direction, once the connection is in more tasks than one: after an upgrade two may poll these.
    read_closed: Option<Box<Closed>>,
    write_closed: Option<Box<Closed>>,
    shutdown: Shutdown,
    /// The last four bytes that were read as parts of heads; others than `HEAD_END` if bytes came after a head.
    tail: [u8; 4],
    /// If the connection may leave for a successor.
    boundary: Option<Box<Boundary>>,
    budget: Budget,
}

/// What was read while hyper had a request and did not read.
#[derive(Debug, Default)]
struct Ahead {
    bytes: Vec<u8>,
    /// The client has closed its direction after these bytes.
    ended: bool,
    /// hyper has polled for more of the request, and nothing was there.
    asked: bool,
    /// The interim response to a client that has closed its direction.
    interim: Interim,
}

/// The byte stream below hyper.
struct Bytes<'a, I>(&'a mut I);

impl<I: Read + Write + Unpin> Transport for Bytes<'_, I> {
    fn poll_read(&mut self, cx: &mut Context<'_>, space: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut read = ReadBuf::new(space);
        ready!(Pin::new(&mut *self.0).poll_read(cx, read.unfilled()))?;
        Poll::Ready(Ok(read.filled().len()))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write(cx, bytes)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_flush(cx)
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_shutdown(cx)
    }
}

#[derive(Debug)]
enum Shutdown {
    Open,
    HalfClosed,
    Over,
}

/// How many bytes are read at a time if the policy must see them. One page of stack; a longer head takes another read.
const LOOK: usize = 4096;
/// How many bytes are read before the task yields. hyper reads in a loop while a chunk size goes on, and leading zeros of one
/// never end. Some of its reads have room for 400 KiB.
const BUDGET: u32 = 128 * 1024;
/// What a connection of HTTP/2 begins with (RFC 9113, section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The end of a head. hyper also accepts two LF, after which the connection lingers.
const HEAD_END: [u8; 4] = *b"\r\n\r\n";

impl<I: Read + Write + Unpin> Io<I> {
    /// `looks_ahead`: hyper does not read during a request, because of `half_close`.
    pub(crate) fn new(inner: I, tracker: Arc<Tracker>, looks_ahead: bool, boundary: Option<Boundary>) -> Self {
        let boundary = boundary.map(Box::new);
        let (read_closed, write_closed) = (None, None);
        let ahead = looks_ahead.then(Ahead::default);
        let budget = Budget::new(BUDGET);
        let first = Vec::new();
        Self {
            inner,
            tracker,
            first,
            ahead,
            read_closed,
            write_closed,
            shutdown: Shutdown::Open,
            tail: HEAD_END,
            boundary,
            budget,
        }
    }

    /// The wrapped I/O. The policy does not see bytes that are read or written directly on it.
    pub fn inner(&self) -> &I {
        &self.inner
    }

    /// Reads until the protocol is known: whether the client has sent the whole preface of HTTP/2.
    pub(crate) fn poll_is_http2(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        while self.first.len() < PREFACE.len() {
            // Taken, so that it is not what is read.
            let mut first = mem::take(&mut self.first);
            let mut space = [0; PREFACE.len()];
            let mut more = ReadBuf::new(&mut space[first.len()..]);
            let polled = Pin::new(&mut *self).poll_read(cx, more.unfilled());
            first.extend_from_slice(more.filled());
            let is_preface = !more.filled().is_empty() && PREFACE.starts_with(&first);
            self.first = first;
            ready!(polled)?;
            if !is_preface {
                return Poll::Ready(Ok(false));
            }
        }
        Poll::Ready(Ok(true))
    }

    #[cold]
    fn hand_out_first(&mut self, buf: &mut ReadBufCursor<'_>) {
        let (now, rest) = self.first.split_at(buf.remaining().min(self.first.len()));
        buf.put_slice(now);
        // A new one, to give the memory back: an idle connection keeps this for ever.
        self.first = rest.to_vec();
    }

    /// Reads ahead while hyper serves a request: bytes of the next one, or the client's disconnect, which is the error.
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
        // hyper does not know that there are bytes now, and a read that was done wakes nothing.
        let is_news = !(more.filled().is_empty() && ahead.ended);
        if is_news {
            cx.waker().wake_by_ref();
        }
        if more.filled().is_empty() {
            ahead.ended = true;
            if is_news && ahead.asked {
                // The request is incomplete, which hyper must see.
                return Ok(());
            }
            return self.tracker.client_ended(&mut Bytes(&mut self.inner), &mut ahead.interim, cx);
        }
        ahead.bytes.extend_from_slice(more.filled());
        Ok(())
    }

    /// Writes the rest of the interim response, if there is one.
    #[inline]
    fn poll_interim(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.ahead {
            Some(ahead) if ahead.interim.is_due() => ahead.interim.poll_write(&mut Bytes(&mut self.inner), cx),
            _ => Poll::Ready(Ok(())),
        }
    }

    /// Reports bytes that hyper gets.
    fn saw(&mut self, bytes: &[u8]) {
        if let Some(boundary) = &mut self.boundary {
            boundary.saw(bytes, self.tracker.awaits_head(), self.tail == HEAD_END);
        }
        if self.tracker.awaits_head() {
            for byte in &bytes[bytes.len().saturating_sub(self.tail.len())..] {
                self.tail = [self.tail[1], self.tail[2], self.tail[3], *byte];
            }
        } else {
            self.tail = [0; 4];
        }
        self.tracker.read(bytes);
    }

    /// Whether bytes have come after the last request.
    fn has_more(&self) -> bool {
        self.tail != HEAD_END || self.ahead.as_ref().is_some_and(|ahead| !ahead.bytes.is_empty())
    }

    /// A read of hyper has found nothing.
    #[inline(never)]
    fn found_nothing(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let is_serving = self.tracker.is_serving();
        if let Some(ahead) = &mut self.ahead {
            ahead.asked = is_serving;
            if is_serving {
                self.tracker.policy(Policy::on_body_awaited);
            }
        }
        if self.tracker.may_leave() && self.leave(cx) { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    /// Lets the connection leave for a successor, if it may. Then hyper reads the end of the stream, and closes nothing.
    fn leave(&mut self, cx: &mut Context<'_>) -> bool {
        let (Some(ahead), Some(boundary)) = (&mut self.ahead, &self.boundary) else { return false };
        let has_none = ahead.bytes.is_empty() && !ahead.ended && !ahead.interim.is_due();
        if !has_none || !boundary.is_between(self.tail == HEAD_END) {
            self.tracker.stays(true);
            return false;
        }
        let is_flushed = matches!(Pin::new(&mut self.inner).poll_flush(cx), Poll::Ready(Ok(())));
        if !is_flushed || !self.tracker.leave(cx) {
            return false;
        }
        ahead.ended = true;
        self.shutdown = Shutdown::Over;
        true
    }

    /// Gives hyper what was read ahead. Returns whether there was anything, or the client's FIN.
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

    /// Reads into a buffer on the stack, reports the bytes and copies them: a cursor does not show what was put into it. Not
    /// inlined: few reads need it, and the page would be in the stack frame of all.
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
        this.tracker.check_forced_close_lazily(&mut this.read_closed, cx)?;
        if !this.first.is_empty() {
            this.hand_out_first(&mut buf);
            return Poll::Ready(Ok(()));
        }
        if this.hand_out(&mut buf) {
            return Poll::Ready(Ok(()));
        }
        // A pause of our own returns here: it does not tell whether there are more bytes.
        let looks = this.tracker.looks_at_reads() || this.boundary.as_ref().is_some_and(|it| it.counts());
        let room = if looks { buf.remaining().min(LOOK) } else { buf.remaining() };
        ready!(this.budget.poll_read(cx, room));
        let read = if looks {
            this.look(cx, buf)
        } else {
            let read = Pin::new(&mut this.inner).poll_read(cx, buf);
            if let Poll::Ready(Ok(())) = read {
                this.tail = [0; 4];
                if let Some(boundary) = &mut this.boundary {
                    boundary.missed();
                }
            }
            read
        };
        if read.is_pending() {
            this.budget.refill();
            if this.tracker.looks_at_pending_reads() {
                return this.found_nothing(cx);
            }
        }
        if let Some(ahead) = &mut this.ahead {
            ahead.asked = false;
        }
        read
    }
}

impl<I: Read + Write + Unpin> Write for Io<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        this.tracker.check_forced_close_lazily(&mut this.write_closed, cx)?;
        ready!(this.poll_interim(cx))?;
        let written = Pin::new(&mut this.inner).poll_write(cx, buf);
        this.tracker.written(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        this.tracker.check_forced_close_lazily(&mut this.write_closed, cx)?;
        ready!(this.poll_interim(cx))?;
        let written = Pin::new(&mut this.inner).poll_write_vectored(cx, bufs);
        this.tracker.written(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.tracker.check_forced_close_lazily(&mut this.write_closed, cx)?;
        ready!(this.poll_interim(cx))?;
        let flushed = ready!(Pin::new(&mut this.inner).poll_flush(cx));
        // A flush is the last thing that hyper does in a poll, when all that it has of a response was written.
        if this.tracker.is_serving() {
            this.look_ahead(cx)?;
        }
        Poll::Ready(flushed)
    }

    /// Closes our direction, and then lingers for as long as the policy says.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.tracker.check_forced_close_lazily(&mut this.write_closed, cx)?;
        if let Shutdown::Open = this.shutdown {
            ready!(Pin::new(&mut this.inner).poll_shutdown(cx))?;
            this.tracker.half_closed(this.has_more());
            this.shutdown = Shutdown::HalfClosed;
        }
        if let Shutdown::HalfClosed = this.shutdown {
            ready!(this.tracker.poll_linger(&mut Bytes(&mut this.inner), &mut this.budget, cx));
            this.shutdown = Shutdown::Over;
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: Read + Write + Unpin> Drop for Io<I> {
    fn drop(&mut self) {
        let Ahead { interim, .. } = self.ahead.take().unwrap_or_default();
        self.tracker.last_words(&mut Bytes(&mut self.inner), interim);
    }
}
