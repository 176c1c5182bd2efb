//! What carries a client's bytes.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};

/// A connection as its client has it: a socket, or its likeness in memory.
pub trait Transport: Read + Write {
    /// Ends our direction and no more.
    ///
    /// # Errors
    ///
    /// Those of `shutdown`.
    fn half_close(&mut self) -> io::Result<()>;

    /// Whether the end is there to be read, without waiting for it.
    fn is_ended(&mut self) -> bool;
}

impl Transport for TcpStream {
    fn half_close(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    fn is_ended(&mut self) -> bool {
        self.set_nonblocking(true).expect("a socket");
        let peeked = self.peek(&mut [0]);
        self.set_nonblocking(false).expect("a socket");
        match peeked {
            Ok(bytes) => bytes == 0,
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        }
    }
}
