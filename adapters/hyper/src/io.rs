//! The connection's bytes: seen, guarded, and read on for a while after our end.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use ebbtide::Closed;
use ebbtide_connection::{READS, Record, WRITES, cut};
use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};

/// A connection whose guard it carries.
///
/// hyper hands it on at an upgrade, so the drain waits for whoever has it then. Once the drain is closed by force,
/// every operation fails with [`ConnectionAborted`](io::ErrorKind::ConnectionAborted).
#[derive(Debug)]
pub struct Io<I> {
    inner: I,
    record: Arc<Record>,
    /// One for each direction: after an upgrade they may be polled by two tasks.
    read_closed: Closed,
    write_closed: Closed,
    shutdown: Shutdown,
    /// How many reads are left of the connection's turn.
    turn: u8,
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

impl<I> Io<I> {
    pub(crate) fn new(inner: I, record: Arc<Record>) -> Self {
        let (read_closed, write_closed) = (record.watcher().closed(), record.watcher().closed());
        Self { inner, record, read_closed, write_closed, shutdown: Shutdown::Open, turn: TURN }
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
            Poll::Ready(Ok(bytes)) if self.record.heeds(WRITES) => self.record.policy(|it| it.wrote(*bytes)),
            Poll::Pending => self.record.policy(ebbtide::connection::Policy::blocked),
            Poll::Ready(_) => {}
        }
        written
    }
}

impl<I: Read + Unpin> Io<I> {
    /// A cursor does not tell what was put into it, so what must be seen is read here and copied. Out of line: hardly
    /// any read is, and the page would be in the frame of all.
    #[inline(never)]
    fn look(&mut self, cx: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let mut space = [MaybeUninit::uninit(); LOOK];
        let room = buf.remaining().min(LOOK);
        let mut seen = ReadBuf::uninit(&mut space[..room]);
        ready!(Pin::new(&mut self.inner).poll_read(cx, seen.unfilled()))?;
        self.record.read(seen.filled());
        buf.put_slice(seen.filled());
        Poll::Ready(Ok(()))
    }
}

impl<I: Read + Unpin> Read for Io<I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        cut(&mut this.read_closed, &this.record, cx)?;
        // Of a pause of our own nobody can tell whether there is more.
        ready!(this.poll_turn(cx));
        let read = if this.record.heeds(READS) {
            this.look(cx, buf)
        } else {
            let read = Pin::new(&mut this.inner).poll_read(cx, buf);
            if let Poll::Ready(Ok(())) = read {
                this.record.heard();
            }
            read
        };
        if read.is_pending() {
            this.turn = TURN;
        }
        this.record.asked(read.is_pending());
        read
    }
}

impl<I: Read + Write + Unpin> Write for Io<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        cut(&mut this.write_closed, &this.record, cx)?;
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
        let written = Pin::new(&mut this.inner).poll_write_vectored(cx, bufs);
        this.moved(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        cut(&mut this.write_closed, &this.record, cx)?;
        Pin::new(&mut this.inner).poll_flush(cx)
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
                    this.record.half_closed(this.record.has_more());
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
