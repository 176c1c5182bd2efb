//! `Queue`: the connections that are queued in a listener when the drain begins.

use std::collections::VecDeque;
use std::io;
use std::net::{TcpListener, TcpStream};
#[cfg(unix)]
use std::os::unix::net::{UnixListener, UnixStream};

use crate::error_kind::AcceptErrorKind;

/// A listening socket without a runtime, in non-blocking mode, such as one of the standard library.
pub trait Socket: Unpin {
    /// The connections of this socket.
    type Stream;

    /// Accepts one connection, or fails with [`WouldBlock`](io::ErrorKind::WouldBlock) if none is there.
    ///
    /// # Errors
    ///
    /// Those of `accept`.
    fn accept(&self) -> io::Result<Self::Stream>;

    /// Has the kernel refuse new connections, and keep those that are queued or in their handshake.
    ///
    /// Returns whether the kernel does. The default is `false`.
    fn refuse(&self) -> bool {
        false
    }

    /// Undoes [`refuse`](Self::refuse), as far as that is possible: the socket may have other owners, which go on accepting.
    ///
    /// It is called before a socket that refuses is dropped.
    fn admit(&self) {}

    /// The number of handshakes that are under way; `None` if the system does not tell, which is the default.
    fn half_open(&self) -> Option<usize> {
        None
    }
}

/// The last connections of a listener.
///
/// They are accepted from the socket itself. The runtime's reactor learns of a connection later than the kernel has it. All
/// are accepted, and the listener is closed, before they are handed out. So a new client is refused after these few calls,
/// whatever the connections do.
#[derive(Debug)]
pub(crate) struct Queue<L: Socket> {
    socket: Option<Refusing<L>>,
    accepted: VecDeque<L::Stream>,
}

/// A socket that may refuse new connections; undone when it is dropped.
#[derive(Debug)]
struct Refusing<L: Socket> {
    socket: L,
    refuses: bool,
    /// Whether the socket has no other owner, as its user has declared.
    alone: bool,
}

/// Whether handshakes of a listener are under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coming {
    /// None.
    Nobody,
    /// At least one.
    Somebody,
    /// The system does not tell.
    Perhaps,
}

/// How many connections are accepted at once if new ones cannot be refused: the longest queue that Linux makes by default.
/// Under load such a queue may never be empty.
const LONGEST: usize = 4096;
/// How often `accept` must find nothing before the queue counts as empty: some ten microseconds. A packet that another core
/// was just processing has become a handshake or a connection by then.
const LOOKS: usize = 64;

impl<L: Socket> Queue<L> {
    /// Accepts what is queued, refuses new connections, and accepts what came before that took effect. An error here comes
    /// again at the next [look](Self::look).
    pub(crate) fn new(socket: L, alone: bool, mut skipped: impl FnMut(io::Error)) -> Self {
        let socket = Some(Refusing { socket, refuses: false, alone });
        let mut queue = Self { socket, accepted: VecDeque::new() };
        // Most of the queue before it refuses, so that it refuses for as short a time as possible.
        drop(queue.accept(1, &mut skipped));
        if let Some(socket) = &mut queue.socket {
            socket.refuses = socket.socket.refuse();
        }
        drop(queue.accept(LOOKS, &mut skipped));
        queue
    }

    /// Accepts what has come since. Errors of single connections are given to `skipped`.
    ///
    /// # Errors
    ///
    /// A lack of descriptors or memory, or the error of a socket that can accept no more.
    pub(crate) fn look(&mut self, skipped: impl FnMut(io::Error)) -> io::Result<()> {
        self.accept(1, skipped)
    }

    fn accept(&mut self, looks: usize, mut skipped: impl FnMut(io::Error)) -> io::Result<()> {
        let Some(socket) = &self.socket else { return Ok(()) };
        let mut left = looks;
        let mut most = if socket.refuses { usize::MAX } else { LONGEST };
        while left > 0 && most > 0 {
            match socket.accept() {
                Ok(Some(stream)) => {
                    self.accepted.push_back(stream);
                    (left, most) = (looks, most - 1);
                }
                Ok(None) => left -= 1,
                Err(error) if AcceptErrorKind::of(&error) == AcceptErrorKind::Connection => skipped(error),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether handshakes are under way.
    pub(crate) fn coming(&self) -> Coming {
        match self.socket.as_ref().map_or(Some(0), |it| it.socket.half_open()) {
            Some(0) => Coming::Nobody,
            Some(_) => Coming::Somebody,
            None => Coming::Perhaps,
        }
    }

    /// Closes the listener.
    pub(crate) fn close(&mut self) {
        self.socket = None;
    }

    /// Whether all connections were handed out.
    pub(crate) fn is_empty(&self) -> bool {
        self.accepted.is_empty()
    }

    /// The next connection.
    pub(crate) fn pop(&mut self) -> Option<L::Stream> {
        self.accepted.pop_front()
    }
}

impl<L: Socket> Refusing<L> {
    /// Accepts one connection, if one is queued.
    fn accept(&self) -> io::Result<Option<L::Stream>> {
        match self.socket.accept() {
            Ok(stream) => Ok(Some(stream)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            // The error on Linux if a listener is shut down and its queue is empty.
            Err(error) if self.refuses && error.kind() == io::ErrorKind::InvalidInput => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl<L: Socket> Drop for Refusing<L> {
    fn drop(&mut self) {
        if self.refuses && !self.alone {
            // Just before the close: a client that connects between the two is reset, if the socket has no other owner.
            self.socket.admit();
        }
    }
}

impl Socket for TcpListener {
    type Stream = TcpStream;

    fn accept(&self) -> io::Result<TcpStream> {
        self.accept().map(|(stream, _)| stream)
    }

    /// On Linux: a filter that drops every SYN, and passes the packets that complete a handshake. A client whose SYN was
    /// dropped repeats it, and is refused by the closed port.
    #[cfg(target_os = "linux")]
    fn refuse(&self) -> bool {
        use socket2::{SockFilter, SockRef};
        // Byte 13 of a TCP header has the flags (RFC 9293, section 3.1); 0x02 is SYN. The steps of this classic BPF
        // program: load that byte; if SYN is not set, skip a step; keep 0 bytes; keep all bytes.
        const DROP_SYN: [SockFilter; 4] = [
            SockFilter::new(0x30, 0, 0, 13),
            SockFilter::new(0x45, 0, 1, 0x02),
            SockFilter::new(0x06, 0, 0, 0),
            SockFilter::new(0x06, 0, 0, u32::MAX),
        ];
        SockRef::from(self).attach_filter(&DROP_SYN).is_ok()
    }

    /// The filter belongs to the socket, not to the descriptor: without this, other owners could never accept again.
    #[cfg(target_os = "linux")]
    fn admit(&self) {
        drop(socket2::SockRef::from(self).detach_filter());
    }

    #[cfg(target_os = "linux")]
    fn half_open(&self) -> Option<usize> {
        let addr = self.local_addr().ok()?;
        if addr.ip().to_canonical().is_loopback() {
            // On loopback a handshake is complete before `connect` returns. To ask the kernel would take a third of a
            // millisecond, in which new clients wait.
            return Some(0);
        }
        ebbtide_socket::half_open(addr)
    }
}

#[cfg(unix)]
impl Socket for UnixListener {
    type Stream = UnixStream;

    fn accept(&self) -> io::Result<UnixStream> {
        self.accept().map(|(stream, _)| stream)
    }

    /// On Linux: shuts the socket down for reading. New clients are refused at once, and queued ones can be accepted. There is
    /// no moment between the two: the kernel's `unix_stream_connect` and `unix_accept` take one lock. It cannot be undone, and
    /// affects all owners of the socket.
    #[cfg(target_os = "linux")]
    fn refuse(&self) -> bool {
        socket2::SockRef::from(self).shutdown(std::net::Shutdown::Read).is_ok()
    }

    /// Unix sockets have no handshake: a connection is queued at once, or refused.
    fn half_open(&self) -> Option<usize> {
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    /// A listener with this many clients in its queue.
    fn crowded(clients: usize) -> (TcpListener, SocketAddr, Vec<TcpStream>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a socket");
        let addr = listener.local_addr().expect("bound");
        let clients = (0..clients).map(|_| TcpStream::connect(addr).expect("there is room")).collect();
        (listener, addr, clients)
    }

    fn queue<L: Socket>(socket: L) -> Queue<L> {
        Queue::new(socket, false, |error| panic!("{error}"))
    }

    #[test]
    fn the_port_is_closed_before_the_last_connections_are_handed_out() {
        let (listener, addr, clients) = crowded(3);
        let mut queue = queue(listener);
        queue.close();
        assert_eq!(TcpStream::connect(addr).expect_err("closed").kind(), io::ErrorKind::ConnectionRefused);
        for client in &clients {
            let accepted = queue.pop().expect("all of them");
            assert_eq!(accepted.peer_addr().expect("open"), client.local_addr().expect("open"));
        }
        assert!(queue.pop().is_none());
    }

    #[test]
    fn a_listener_that_was_dropped_accepts_for_its_other_owners() {
        let (listener, addr, _) = crowded(0);
        let owner = listener.try_clone().expect("a descriptor");
        let let_go: [fn(&mut _); 2] = [Queue::close, |it| *it = queue(crowded(0).0)];
        for let_go in let_go {
            let mut queue = queue(listener.try_clone().expect("a descriptor"));
            let_go(&mut queue);
            // Linux tries a SYN that was dropped again after a second.
            let patience = std::time::Duration::from_millis(500);
            TcpStream::connect_timeout(&addr, patience).expect("the owner's listener takes it");
            owner.accept().expect("it is there");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_unix_listener_that_refuses_keeps_its_queue_and_takes_no_new_clients() {
        let path = std::env::temp_dir().join(format!("ebbtide-queue-{}", std::process::id()));
        let listener = UnixListener::bind(&path).expect("a path");
        listener.set_nonblocking(true).expect("a socket");
        let before = [(); 3].map(|()| UnixStream::connect(&path).expect("there is room"));
        let mut queue = queue(listener);
        let refused = UnixStream::connect(&path).is_err();
        assert_eq!(refused, cfg!(target_os = "linux"), "a newcomer");
        queue.look(|error| panic!("{error}")).expect("it is empty, and no error");
        assert!(queue.accepted.len() >= before.len());
        std::fs::remove_file(path).expect("bound");
    }
}
