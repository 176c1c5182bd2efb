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

    /// Writes as much of this as there is room for on the way, without waiting for more. Returns how much it was.
    ///
    /// # Errors
    ///
    /// Those of `write`.
    fn fill(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Whether the end is there to be read, without waiting for it.
    fn is_ended(&mut self) -> bool;

    /// Reads what is there to be read, without waiting for more. Returns how much it was.
    ///
    /// # Errors
    ///
    /// Those of `read`, and [`WouldBlock`](ErrorKind::WouldBlock) where nothing is there.
    fn read_now(&mut self, space: &mut [u8]) -> io::Result<usize>;

    /// Does what precedes HTTP: a handshake, where there is one.
    ///
    /// # Errors
    ///
    /// Why it failed.
    fn ready(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Writes it all, but waits for no handshake that precedes it: that goes on when something is read.
    ///
    /// # Errors
    ///
    /// Those of `write`.
    fn queue(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)?;
        self.flush()
    }

    /// Begins what precedes HTTP, where something does, and stops after this many bytes, until it is to write.
    ///
    /// # Errors
    ///
    /// Those of `write`.
    fn begin(&mut self, most: usize) -> io::Result<()> {
        let _ = most;
        Ok(())
    }
}

impl Transport for TcpStream {
    fn half_close(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    fn fill(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.set_nonblocking(true)?;
        let mut filled = 0;
        let end = loop {
            match self.write(&bytes[filled..]) {
                Ok(0) => break Ok(filled),
                Ok(more) => filled += more,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break Ok(filled),
                Err(error) => break Err(error),
            }
        };
        self.set_nonblocking(false)?;
        end
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

    fn read_now(&mut self, space: &mut [u8]) -> io::Result<usize> {
        self.set_nonblocking(true)?;
        let read = self.read(space);
        self.set_nonblocking(false)?;
        read
    }
}
