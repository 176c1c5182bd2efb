//! What a listener still has queued when it is to close.

use std::io;
use std::net::{TcpListener, TcpStream};
#[cfg(unix)]
use std::os::unix::net::{UnixListener, UnixStream};

/// A listening socket of the standard library, in non-blocking mode.
pub trait Socket: Unpin {
    /// What it accepts.
    type Stream;

    /// Accepts one connection, or fails with [`WouldBlock`](io::ErrorKind::WouldBlock).
    ///
    /// # Errors
    ///
    /// Those of `accept`.
    fn accept(&self) -> io::Result<Self::Stream>;

    /// Asks the kernel to take no more handshakes, where it can be asked.
    fn refuse(&self) {}
}

/// The last connections of a listener, which closes behind them.
///
/// Accepted from the socket itself, not through the runtime's reactor, which learns of a connection a moment later
/// than the kernel has it.
#[derive(Debug)]
pub struct Queue<L> {
    socket: Option<L>,
    looked_twice: bool,
}

impl<L: Socket> Queue<L> {
    /// Stops the listener from taking more, so that the queue has an end.
    pub fn new(socket: L) -> Self {
        socket.refuse();
        Self { socket: Some(socket), looked_twice: false }
    }
}

impl<L: Socket> Iterator for Queue<L> {
    type Item = io::Result<L::Stream>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.socket.as_ref()?.accept() {
                Ok(stream) => return Some(Ok(stream)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.looked_twice {
                        self.socket = None;
                    }
                    // A handshake that was half done when we began to refuse may be complete by now.
                    std::thread::yield_now();
                    self.looked_twice = true;
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl Socket for TcpListener {
    type Stream = TcpStream;

    fn accept(&self) -> io::Result<TcpStream> {
        self.accept().map(|(stream, _)| stream)
    }

    /// On Linux: drops every SYN that arrives, so that a client which comes now tries again and is then refused by the
    /// closed port, and lets pass what completes a handshake.
    #[cfg(target_os = "linux")]
    fn refuse(&self) {
        use socket2::{SockFilter, SockRef};
        // Byte 13 of a TCP header has the flags (RFC 9293, section 3.1); 0x02 is SYN. The classic BPF program:
        // load that byte; if SYN is set skip nothing, else skip one; keep 0 bytes; keep all bytes.
        const DROP_SYN: [SockFilter; 4] = [
            SockFilter::new(0x30, 0, 0, 13),
            SockFilter::new(0x45, 0, 1, 0x02),
            SockFilter::new(0x06, 0, 0, 0),
            SockFilter::new(0x06, 0, 0, u32::MAX),
        ];
        // Where the kernel will not have it, a client that comes in the next microseconds may meet a reset; there is
        // nothing else to be done about it.
        drop(SockRef::from(self).attach_filter(&DROP_SYN));
    }
}

#[cfg(unix)]
impl Socket for UnixListener {
    type Stream = UnixStream;

    fn accept(&self) -> io::Result<UnixStream> {
        self.accept().map(|(stream, _)| stream)
    }
}
