//! A connection's bytes, and how they end.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::PATIENCE;
use crate::transport::Transport;

/// A connection to a server, plain or through TLS, with what was read and not yet used.
#[derive(Debug)]
pub struct Wire<S = TcpStream> {
    stream: S,
    unused: Vec<u8>,
}

/// How a connection ended. TCP has no third way, so a `match` may be without a last arm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// In order: by FIN, and through TLS by its `close_notify`.
    Fin,
    /// In disorder: what was on its way to us may be lost.
    Reset,
}

impl Wire {
    /// Connects.
    ///
    /// # Errors
    ///
    /// Those of `connect`.
    pub fn connect(addr: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&addr, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self::over(stream))
    }

    /// The same connection, to write to it from another thread.
    #[must_use]
    pub fn writer(&self) -> TcpStream {
        self.stream.try_clone().expect("a socket")
    }
}

impl<S: Transport> Wire<S> {
    /// Whether the end is there to be read.
    #[must_use]
    pub fn is_ended(&mut self) -> bool {
        self.unused.is_empty() && self.stream.is_ended()
    }

    /// Writes as much of this as there is room for on the way.
    #[track_caller]
    pub fn fill(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.fill(bytes.as_ref()).expect("the server still reads");
    }

    /// Does the handshake that precedes HTTP, if there is one.
    #[track_caller]
    pub fn ready(&mut self) {
        self.stream.ready().expect("the server does its part of it");
    }

    /// Writes it all, but waits for no handshake that precedes it: that goes on when something is read.
    #[track_caller]
    pub fn queue(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.queue(bytes.as_ref()).expect("the server still reads");
    }

    /// Begins the handshake that precedes HTTP, if there is one, and stops after this many bytes until it must send something.
    #[track_caller]
    pub fn begin(&mut self, most: usize) {
        self.stream.begin(most).expect("the server still reads");
    }

    /// Ends our direction and no more.
    pub fn half_close(&mut self) {
        self.stream.half_close().expect("it is open");
    }
}

impl<S: Read + Write> Wire<S> {
    /// A connection that is already there.
    pub fn over(stream: S) -> Self {
        Self { stream, unused: Vec::new() }
    }

    /// The connection for a protocol of its own.
    #[must_use]
    pub fn into_stream(self) -> S {
        assert_eq!(self.unused, b"", "this belongs to the stream");
        self.stream
    }

    /// Writes it all.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.offer(bytes).expect("the server still reads");
    }

    /// Writes it all, if the server still reads.
    ///
    /// # Errors
    ///
    /// Those of `write`.
    pub fn offer(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref()).and_then(|()| self.stream.flush())
    }

    /// So many bytes.
    ///
    /// # Errors
    ///
    /// The end that came before them.
    pub fn take(&mut self, count: usize) -> Result<Vec<u8>, End> {
        while self.unused.len() < count {
            self.read()?;
        }
        Ok(self.unused.drain(..count).collect())
    }

    /// All the bytes up to and including this text.
    ///
    /// # Errors
    ///
    /// The end that came before it.
    pub fn take_until(&mut self, text: &str) -> Result<Vec<u8>, End> {
        let end = self.find(text)?;
        self.take(end)
    }

    /// Waits until this text has come, and leaves it for the next read.
    #[track_caller]
    pub fn see(&mut self, text: &str) {
        if let Err(end) = self.find(text) {
            panic!("{end} before {text:?}, after {:?}", String::from_utf8_lossy(&self.unused));
        }
    }

    /// The connection's end, which is to be in order, with nothing before it.
    #[track_caller]
    pub fn expect_fin(&mut self) {
        let end = self.end();
        assert!(end == End::Fin, "{end} where it was to end in order");
    }

    /// The connection's end.
    #[track_caller]
    pub fn end(&mut self) -> End {
        let ended = if self.unused.is_empty() { self.read() } else { Ok(()) };
        match ended {
            Err(end) => end,
            Ok(()) => panic!("{:?} instead of the end", String::from_utf8_lossy(&self.unused)),
        }
    }

    /// Whether anything comes before the end.
    pub(crate) fn has_more(&mut self) -> bool {
        !self.unused.is_empty() || self.read().is_ok()
    }

    /// Where this text ends in what is unused.
    fn find(&mut self, text: &str) -> Result<usize, End> {
        let mut searched = 0;
        loop {
            let rest = &self.unused[searched..];
            if let Some(start) = rest.windows(text.len()).position(|it| it == text.as_bytes()) {
                return Ok(searched + start + text.len());
            }
            // Its beginning may have come.
            searched = (self.unused.len() + 1).saturating_sub(text.len());
            self.read()?;
        }
    }

    fn read(&mut self) -> Result<(), End> {
        let mut space = [0; 16 * 1024];
        match self.stream.read(&mut space) {
            Ok(0) => Err(End::Fin),
            Ok(count) => {
                self.unused.extend_from_slice(&space[..count]);
                Ok(())
            }
            Err(error) => match error.kind() {
                ErrorKind::Interrupted => Ok(()),
                ErrorKind::WouldBlock | ErrorKind::TimedOut => panic!("nothing more came, not even an end"),
                _ => Err(End::Reset),
            },
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fin => "the connection ended",
            Self::Reset => "the connection was reset",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes, in the pieces it comes in.
    struct Pieces<'a>(std::slice::Chunks<'a, u8>);

    impl Read for Pieces<'_> {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            let piece = self.0.next().unwrap_or_default();
            buf[..piece.len()].copy_from_slice(piece);
            Ok(piece.len())
        }
    }

    impl Write for Pieces<'_> {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            Ok(buf.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_text_is_found_in_whatever_pieces_it_comes() {
        const ALL: &[u8] = b"one\r\r\n\rtwo\r\n\r\nthree";
        for piece in 1..=ALL.len() {
            let mut wire = Wire::over(Pieces(ALL.chunks(piece)));
            assert_eq!(
                wire.take_until("\r\n\r\n").as_deref(),
                Ok(&b"one\r\r\n\rtwo\r\n\r\n"[..]),
                "in pieces of {piece}"
            );
            assert_eq!(wire.take_until("\r\n\r\n"), Err(End::Fin));
        }
    }
}
