//! `Transport`: the byte stream of a connection; what every engine's I/O does with it besides reading and writing.

use std::io;
use std::task::{Context, Poll, Waker, ready};

use crate::budget::Budget;
use crate::policy::Policy;
use crate::tracker::Tracker;

/// The byte stream of a connection, whichever I/O traits its engine has.
pub trait Transport {
    /// Reads into `space`, and returns how many bytes; 0 if the client has closed its direction.
    ///
    /// # Errors
    ///
    /// Those of the stream.
    fn poll_read(&mut self, cx: &mut Context<'_>, space: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Writes some of `bytes`, and returns how many.
    ///
    /// # Errors
    ///
    /// Those of the stream.
    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>>;

    /// Sends what was written and is still buffered.
    ///
    /// # Errors
    ///
    /// Those of the stream.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Closes our direction (a FIN). The client's direction stays open.
    ///
    /// # Errors
    ///
    /// Those of the stream.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

/// How many bytes are read and dropped at a time.
const PAGE: usize = 4096;
/// How many pages are read at most after a `503` was written.
const LAST_PAGES: usize = 64;

/// The response to a request that is cut before its response has begun. Retry after one second: the service is being
/// replaced.
const UNAVAILABLE: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n";

/// The interim response that every client of HTTP/1.1 accepts (RFC 9110, section 15.2).
const CONTINUE: &[u8; WHOLE as usize] = b"HTTP/1.1 100 Continue\r\n\r\n";
const WHOLE: u8 = 25;

/// The rest of a `100 Continue` that is still to be written. The default is none.
///
/// It is written to a client that waits for it before it sends a body, and to one that may have disconnected.
#[derive(Debug, Default)]
pub struct Interim {
    /// How many bytes of it. One byte, since each connection has this.
    left: u8,
    /// It is written, and still to be flushed.
    is_to_flush: bool,
}

impl Interim {
    /// A `100 Continue` to be written.
    #[must_use]
    pub fn due() -> Self {
        Self { left: WHOLE, is_to_flush: false }
    }

    /// Whether some of it is still to be written or flushed.
    #[inline]
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.left > 0 || self.is_to_flush
    }

    /// Drops it, unless some of it was written: the final response begins.
    pub fn withdraw(&mut self) {
        if self.left == WHOLE {
            self.left = 0;
        }
    }

    /// Writes the rest of it. Nothing else may be written before it is done.
    ///
    /// # Errors
    ///
    /// Those of the stream.
    pub fn poll_write(&mut self, transport: &mut impl Transport, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.left > 0 {
            let rest = &CONTINUE[usize::from(WHOLE - self.left)..];
            let written = ready!(transport.poll_write(cx, rest))?;
            // No more than the rest, which fits.
            self.left = u8::try_from(rest.len().saturating_sub(written)).unwrap_or_default();
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
    /// Reports that the client has closed its direction after its request (HTTP/1), and checks whether it has disconnected.
    /// Call it again whenever the connection is polled.
    ///
    /// A client that waits for its response and one that has disconnected look alike until something is written. So an interim
    /// response is written, if the protocol allows: a client that has disconnected answers it by a reset. On a connection that
    /// began with a handshake, the closed direction counts as a disconnect: with TLS a client closes both, and no reset shows.
    ///
    /// # Errors
    ///
    /// The client has disconnected.
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
            // After the client's FIN a reset shows in a write, and in no read.
            return Err(reset);
        }
        match interim.poll_write(transport, cx) {
            Poll::Ready(written) => written,
            Poll::Pending => Ok(()),
        }
    }

    /// Lingers after our direction was closed: reads and drops what the client still sends, for as long as the policy says.
    ///
    /// Bytes that arrive at a closed socket are answered by a reset, which destroys what the client has not read yet
    /// (RFC 9112, section 9.6).
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
                // The client's FIN or reset, or the policy does not wait.
                _ => return Poll::Ready(()),
            }
        }
    }

    /// Answers `503` to a request without a response, if the drain was closed by force. Call it when the connection is dropped.
    ///
    /// It does not wait: if the socket does not take the response at once, there is none.
    pub fn last_words(&self, transport: &mut impl Transport, mut interim: Interim) {
        interim.withdraw();
        if !self.is_forced() || interim.left > 0 || !self.policy(|it| it.owes_response()) {
            return;
        }
        let cx = &mut Context::from_waker(Waker::noop());
        if !matches!(transport.poll_write(cx, UNAVAILABLE), Poll::Ready(Ok(_))) {
            return;
        }
        let _ = transport.poll_flush(cx);
        let _ = transport.poll_end(cx);
        // Bytes that were left unread would be answered by a reset, which may destroy the response.
        let mut space = [0; PAGE];
        for _ in 0..LAST_PAGES {
            if !matches!(transport.poll_read(cx, &mut space), Poll::Ready(Ok(1..))) {
                return;
            }
        }
    }
}
