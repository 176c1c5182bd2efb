//! What a listener still has queued when it is to close.

use std::collections::VecDeque;
use std::io;
use std::net::{TcpListener, TcpStream};
#[cfg(unix)]
use std::os::unix::net::{UnixListener, UnixStream};

use crate::severity::Severity;

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
/// than the kernel has it. They are accepted at once, and the listener closes before they are handed out: what a client
/// that comes now has to wait for is these few calls, and nobody's work.
#[derive(Debug)]
pub struct Queue<L: Socket> {
    socket: Option<L>,
    refuses: bool,
    accepted: VecDeque<L::Stream>,
}

/// How long a queue is taken for endless, while more may come: the longest that Linux makes by default.
const LONGEST: usize = 4096;
/// How often to look, once no more may come, before there is nothing: some ten microseconds. A handshake that was half
/// done then may be complete by now.
const LOOKS: usize = 64;

impl<L: Socket> Queue<L> {
    /// Accepts what is there, but no more than `most`; the rest is accepted when it is asked for.
    pub fn new(socket: L, most: usize) -> Self {
        let mut queue = Self { socket: Some(socket), refuses: false, accepted: VecDeque::new() };
        // Most of it before the listener refuses, so that it does so for as short a time as can be.
        queue.accept(most.min(LONGEST));
        if let Some(socket) = &queue.socket {
            socket.refuse();
            queue.refuses = true;
        }
        queue.accept(most);
        queue
    }

    fn accept(&mut self, most: usize) {
        while self.accepted.len() < most {
            match self.accept_one() {
                Some(Ok(stream)) => self.accepted.push_back(stream),
                Some(Err(error)) if Severity::of(&error) == Severity::Connection => {}
                // Met again by who asks for the next.
                Some(Err(_)) | None => return,
            }
        }
    }

    /// One from the kernel; `None` where it has none, and where it refuses, closes.
    fn accept_one(&mut self) -> Option<io::Result<L::Stream>> {
        for _ in 0..LOOKS {
            match self.socket.as_ref()?.accept() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                accepted => return Some(accepted),
            }
            if !self.refuses {
                return None;
            }
        }
        self.socket = None;
        None
    }
}

impl<L: Socket> Iterator for Queue<L> {
    type Item = io::Result<L::Stream>;

    fn next(&mut self) -> Option<Self::Item> {
        self.accepted.pop_front().map(Ok).or_else(|| self.accept_one())
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

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    /// A listener with so many clients in its queue.
    fn crowded(clients: usize) -> (TcpListener, SocketAddr, Vec<TcpStream>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a socket");
        let addr = listener.local_addr().expect("bound");
        let clients = (0..clients).map(|_| TcpStream::connect(addr).expect("there is room")).collect();
        (listener, addr, clients)
    }

    #[test]
    fn the_port_is_closed_before_the_last_connections_are_handed_out() {
        let (listener, addr, clients) = crowded(3);
        let mut queue = Queue::new(listener, usize::MAX);
        assert_eq!(TcpStream::connect(addr).expect_err("closed").kind(), io::ErrorKind::ConnectionRefused);
        for client in &clients {
            let accepted = queue.next().expect("all of them").expect("open");
            assert_eq!(accepted.peer_addr().expect("open"), client.local_addr().expect("open"));
        }
        assert!(queue.next().is_none());
    }

    #[test]
    fn what_is_more_than_may_be_open_stays_with_the_kernel_and_is_not_lost() {
        let (listener, _, clients) = crowded(3);
        let mut queue = Queue::new(listener, 1);
        assert_eq!(queue.accepted.len(), 1);
        for _ in &clients {
            queue.next().expect("all of them").expect("open");
        }
        assert!(queue.next().is_none());
    }
}
