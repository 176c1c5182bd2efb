//! What the I/O of every engine does with a connection's bytes, besides reading and writing for its engine.

use std::io;
use std::task::{Context, Poll, Waker, ready};

use crate::budget::Budget;
use crate::policy::Policy;
use crate::tracker::Tracker;

/// A connection's bytes, whatever traits its engine has for them.
pub trait Transport {
    /// Reads some bytes, and says how many; 0 at the client's end.
    ///
    /// # Errors
    ///
    /// The connection's.
    fn poll_read(&mut self, cx: &mut Context<'_>, space: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Writes some bytes, and says how many.
    ///
    /// # Errors
    ///
    /// The connection's.
    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>>;

    /// Has what was written sent.
    ///
    /// # Errors
    ///
    /// The connection's.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Writes our end. The client's direction stays open.
    ///
    /// # Errors
    ///
    /// The connection's.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

/// What is read and dropped at a time.
const PAGE: usize = 4096;
/// How many pages of that there are at most, when a connection is dropped behind its last words.
const LAST_PAGES: usize = 64;

/// What a client is answered whose request is cut before its response has begun. One second, since whoever drains is about
/// to be replaced.
const UNAVAILABLE: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n";

/// The interim response that any client of HTTP/1.1 takes (RFC 9110, section 15.2).
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// A `100 Continue`, as far as it is still to be written: for a client that waits for it before it sends a body, or one of
/// which nobody knows whether it is there.
#[derive(Debug, Default)]
pub struct Interim {
    left: &'static [u8],
    /// It is written, but perhaps not sent.
    is_to_flush: bool,
}

impl Interim {
    /// One that is to be written. (The default is none.)
    #[must_use]
    pub fn due() -> Self {
        Self { left: CONTINUE, is_to_flush: false }
    }

    /// Whether some of it is still to be written, or sent.
    #[inline]
    #[must_use]
    pub fn is_due(&self) -> bool {
        !self.left.is_empty() || self.is_to_flush
    }

    /// A response begins instead, if it has not begun itself.
    pub fn withdraw(&mut self) {
        if self.left.len() == CONTINUE.len() {
            self.left = &[];
        }
    }

    /// Writes what is left of it. Nothing else may come between.
    ///
    /// # Errors
    ///
    /// The connection's.
    pub fn poll_write(&mut self, transport: &mut impl Transport, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.left.is_empty() {
            let written = ready!(transport.poll_write(cx, self.left))?;
            self.left = &self.left[written..];
            self.is_to_flush = true;
        }
        if self.is_to_flush {
            ready!(transport.poll_flush(cx))?;
            self.is_to_flush = false;
        }
        Poll::Ready(Ok(()))
    }
}

impl Tracker {
    /// The client has ended its direction behind its request (HTTP/1). Looks whether it is gone, which is the error. To be
    /// asked again whenever the connection is polled.
    ///
    /// A client that is there waits for its response: the two look alike until something is written. So it is written an
    /// interim response, if it can be, and that of a client that is gone is answered by a reset. On a connection that began
    /// with a handshake the end is the departure: behind TLS, whoever ends one direction is about to end the other, and a
    /// reset does not show.
    ///
    /// # Errors
    ///
    /// That the client is gone, and how it shows.
    pub fn client_ended(
        &self,
        transport: &mut impl Transport,
        interim: &mut Interim,
        cx: &mut Context<'_>,
    ) -> io::Result<()> {
        if self.has_handshake() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the client went away"));
        }
        if self.policy(Policy::on_client_end) {
            *interim = Interim::due();
        } else if let Poll::Ready(Err(reset)) = transport.poll_write(cx, &[]) {
            // Behind the client's end a reset shows by a write, and by no read.
            return Err(reset);
        }
        match interim.poll_write(transport, cx) {
            Poll::Ready(written) => written,
            Poll::Pending => Ok(()),
        }
    }

    /// Our end is written. Reads and drops what the client still sends, for as long as the policy says: bytes that
    /// meet a closed socket are answered by a reset, which destroys what the client has not read yet (RFC 9112,
    /// section 9.6).
    pub fn poll_linger(&self, transport: &mut impl Transport, budget: &mut Budget, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(budget.poll_read(cx, PAGE));
            let mut space = [0; PAGE];
            match transport.poll_read(cx, &mut space) {
                Poll::Ready(Ok(more @ 1..)) => self.read(&space[..more]),
                Poll::Pending if self.policy(|it| it.lingers()) => {
                    budget.refill();
                    return Poll::Pending;
                }
                // The client's end, its reset, or nothing that would be worth the wait.
                _ => return Poll::Ready(()),
            }
        }
    }

    /// The connection is dropped. If the drain was closed by force before its response had begun, its client is answered
    /// `503`, if it can take that at once: nobody is there to wait.
    pub fn last_words(&self, transport: &mut impl Transport, mut interim: Interim) {
        interim.withdraw();
        if !self.is_forced() || !interim.left.is_empty() || !self.policy(|it| it.owes_response()) {
            return;
        }
        let cx = &mut Context::from_waker(Waker::noop());
        if !matches!(transport.poll_write(cx, UNAVAILABLE), Poll::Ready(Ok(_))) {
            return;
        }
        let _ = transport.poll_flush(cx);
        let _ = transport.poll_end(cx);
        // What has come would be answered by a reset, which may destroy the answer.
        let mut space = [0; PAGE];
        for _ in 0..LAST_PAGES {
            if !matches!(transport.poll_read(cx, &mut space), Poll::Ready(Ok(1..))) {
                return;
            }
        }
    }
}
