//! What a listener still has queued when it is to close.

use std::collections::VecDeque;
use std::io;
use std::net::{TcpListener, TcpStream};
#[cfg(unix)]
use std::os::unix::net::{UnixListener, UnixStream};

use crate::error_kind::AcceptErrorKind;

/// A listening socket of the standard library, in non-blocking mode.
pub trait Socket: Unpin {
    /// What it accepts.
    type Stream;

    /// Accepts one connection, or fails with [`WouldBlock`](io::ErrorKind::WouldBlock) if none is there.
    ///
    /// # Errors
    ///
    /// Those of `accept`.
    fn accept(&self) -> io::Result<Self::Stream>;

    /// Asks the kernel to take no newcomers, and to leave what it has. Returns whether it can be asked to. Default: no.
    fn refuse(&self) -> bool {
        false
    }

    /// Takes back what [`refuse`](Self::refuse) has done, as far as that is possible, because the socket may have other
    /// owners, who go on accepting. Called whenever a socket that refuses is let go.
    fn admit(&self) {}

    /// How many clients are about to be connected: their handshakes have begun and are not over. `None` if that cannot
    /// be told, which is the default.
    fn half_open(&self) -> Option<usize> {
        None
    }
}

/// The last connections of a listener.
///
/// Accepted from the socket itself, not through the runtime's reactor, which learns of a connection a moment later
/// than the kernel has it. They are accepted at once, and the listener closes before they are handed out: what a client
/// that comes now has to wait for is these few calls, and nobody's work.
#[derive(Debug)]
pub(crate) struct Queue<L: Socket> {
    socket: Option<Refusing<L>>,
    accepted: VecDeque<L::Stream>,
}

/// A socket that refuses until it is let go, in whatever way that comes about.
#[derive(Debug)]
struct Refusing<L: Socket> {
    socket: L,
    refuses: bool,
    /// Whether nobody else has the socket, as its user says.
    alone: bool,
}

/// Who may still come to a listener that is to close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coming {
    /// Nobody.
    Nobody,
    /// Somebody whose handshake is under way.
    Somebody,
    /// That cannot be told.
    Perhaps,
}

/// How many are accepted at once while newcomers are not refused: the longest queue that Linux makes by default. Under load
/// such a queue may never be empty.
const LONGEST: usize = 4096;
/// How often to look, once no more may come, before there is nothing: some ten microseconds. A packet that another core
/// was just working on has become a handshake by then, or a connection.
const LOOKS: usize = 64;

impl<L: Socket> Queue<L> {
    /// Accepts what is there, has newcomers refused, and accepts what came until then. What goes wrong here goes wrong
    /// at the next [look](Self::look) again.
    pub(crate) fn new(socket: L, alone: bool, mut skipped: impl FnMut(io::Error)) -> Self {
        let socket = Some(Refusing { socket, refuses: false, alone });
        let mut queue = Self { socket, accepted: VecDeque::new() };
        // Most of it before the listener refuses, so that it does so for as short a time as can be.
        drop(queue.accept(1, &mut skipped));
        if let Some(socket) = &mut queue.socket {
            socket.refuses = socket.socket.refuse();
        }
        drop(queue.accept(LOOKS, &mut skipped));
        queue
    }

    /// Accepts what is there, once more. Errors of single connections are skipped.
    ///
    /// # Errors
    ///
    /// That there are no descriptors for what is there, or that of a socket which can accept no more.
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

    /// Who may still come.
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

    /// Whether there is nothing to hand out.
    pub(crate) fn is_empty(&self) -> bool {
        self.accepted.is_empty()
    }

    /// The next one to hand out.
    pub(crate) fn pop(&mut self) -> Option<L::Stream> {
        self.accepted.pop_front()
    }
}

impl<L: Socket> Refusing<L> {
    /// Accepts one, if one is there.
    fn accept(&self) -> io::Result<Option<L::Stream>> {
        match self.socket.accept() {
            Ok(stream) => Ok(Some(stream)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            // How Linux says of a listener that is shut down that its queue is empty.
            Err(error) if self.refuses && error.kind() == io::ErrorKind::InvalidInput => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl<L: Socket> Drop for Refusing<L> {
    fn drop(&mut self) {
        if self.refuses && !self.alone {
            // The last thing before the close: who comes between the two is reset, if nobody else has the socket.
            self.socket.admit();
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
    fn refuse(&self) -> bool {
        use socket2::{SockFilter, SockRef};
        // Byte 13 of a TCP header has the flags (RFC 9293, section 3.1); 0x02 is SYN. The classic BPF program:
        // load that byte; if SYN is set skip nothing, else skip one; keep 0 bytes; keep all bytes.
        const DROP_SYN: [SockFilter; 4] = [
            SockFilter::new(0x30, 0, 0, 13),
            SockFilter::new(0x45, 0, 1, 0x02),
            SockFilter::new(0x06, 0, 0, 0),
            SockFilter::new(0x06, 0, 0, u32::MAX),
        ];
        SockRef::from(self).attach_filter(&DROP_SYN).is_ok()
    }

    /// The filter is the socket's, whoever has it: without this its other owners could never accept again.
    #[cfg(target_os = "linux")]
    fn admit(&self) {
        drop(socket2::SockRef::from(self).detach_filter());
    }

    #[cfg(target_os = "linux")]
    fn half_open(&self) -> Option<usize> {
        let addr = self.local_addr().ok()?;
        if addr.ip().to_canonical().is_loopback() {
            // A handshake is over before its SYN's `connect` returns. To ask would take the kernel longer, a third of
            // a millisecond in which newcomers wait.
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

    /// On Linux: shuts the socket down for reading. Who connects then is refused at once, what is queued can be accepted,
    /// and there is no moment between the two (`unix_stream_connect` and `unix_accept` of the kernel, which hold one
    /// lock). It cannot be taken back, and reaches all who own the socket.
    #[cfg(target_os = "linux")]
    fn refuse(&self) -> bool {
        socket2::SockRef::from(self).shutdown(std::net::Shutdown::Read).is_ok()
    }

    /// A connection is there at once, or refused.
    fn half_open(&self) -> Option<usize> {
        Some(0)
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
    fn a_listener_that_is_let_go_admits_newcomers_to_its_other_owners() {
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
    fn a_unix_listener_that_refuses_has_its_queue_and_no_newcomers() {
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
