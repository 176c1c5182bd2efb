//! `Peer`: the client of a connection.

use std::any::Any;
use std::fmt;
use std::io;
use std::net::{SocketAddr, SocketAddrV4};

use ebbtide::{Guard, Label};

/// The client of a connection: its TCP address, or a name.
///
/// The accept loops of ebbtide label the guard of each connection with it, so [`Drain::held`](ebbtide::Drain::held) and
/// [`Overdue`](ebbtide::Overdue) name the client. `Display` is the client's address.
///
/// # Examples
///
/// ```
/// use ebbtide::Drain;
/// use ebbtide_socket::Peer;
///
/// let drain = Drain::new();
/// let peer = Peer::named("process 7");
/// let guard = drain.watcher().labelled(peer.into_label()).expect("running");
/// assert_eq!(Peer::of(&guard).map(ToString::to_string).as_deref(), Some("process 7"));
/// ```
pub struct Peer {
    who: Who,
    /// Dropped with the last guard that has this label.
    kept: Option<Box<dyn Any + Send + Sync>>,
}

enum Who {
    /// A TCP connection of IPv4, which takes a quarter of the memory. An address is `None` if the connection was closed before
    /// it could be read.
    Tcp4 {
        local: Option<SocketAddrV4>,
        remote: Option<SocketAddrV4>,
    },
    /// Any other TCP connection.
    Tcp(Box<Ends>),
    Named(Box<str>),
}

/// The two addresses of a connection.
struct Ends {
    local: Option<SocketAddr>,
    remote: Option<SocketAddr>,
}

impl Who {
    fn tcp(local: Option<SocketAddr>, remote: Option<SocketAddr>) -> Self {
        match (local, remote) {
            (Some(SocketAddr::V4(local)), Some(SocketAddr::V4(remote))) => {
                Self::Tcp4 { local: Some(local), remote: Some(remote) }
            }
            (None, None) => Self::Tcp4 { local: None, remote: None },
            (local, remote) => Self::Tcp(Box::new(Ends { local, remote })),
        }
    }

    fn local(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp4 { local, .. } => local.map(SocketAddr::V4),
            Self::Tcp(ends) => ends.local,
            Self::Named(_) => None,
        }
    }

    fn remote(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp4 { remote, .. } => remote.map(SocketAddr::V4),
            Self::Tcp(ends) => ends.remote,
            Self::Named(_) => None,
        }
    }
}

impl Peer {
    /// The client of a TCP connection, by the socket's two addresses.
    #[must_use]
    pub fn tcp(local: io::Result<SocketAddr>, remote: io::Result<SocketAddr>) -> Self {
        Self { who: Who::tcp(local.ok(), remote.ok()), kept: None }
    }

    /// A client with a name in place of an address, such as that of a Unix socket.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self { who: Who::Named(name.into().into()), kept: None }
    }

    /// Keeps a value that is dropped with the label, when the last guard of the connection is dropped.
    #[must_use]
    pub fn keeping(mut self, what: impl Any + Send + Sync) -> Self {
        self.kept = Some(Box::new(what));
        self
    }

    /// Converts it into the label of a guard.
    #[must_use]
    pub fn into_label(self) -> Label {
        Label::live(self)
    }

    /// The peer that is the label of this guard; `None` if the guard has another label, or none.
    #[must_use]
    pub fn of(guard: &Guard) -> Option<&Self> {
        guard.label().and_then(Label::downcast_ref)
    }

    /// The client's address; `None` if it is not a TCP connection.
    #[must_use]
    pub fn addr(&self) -> Option<SocketAddr> {
        self.who.remote()
    }

    /// The number of bytes that were written to the connection and are not acknowledged by the client's system yet.
    ///
    /// `None` if the connection is closed, is not TCP, or the kernel does not tell. It is a system call of some microseconds:
    /// use it when a timer has run out, and not for every write.
    #[must_use]
    pub fn unacknowledged(&self) -> Option<usize> {
        let (local, remote) = (self.who.local()?, self.who.remote()?);
        #[cfg(target_os = "linux")]
        return crate::sock_diag::unacknowledged(local, remote);
        #[cfg(not(target_os = "linux"))]
        {
            let _ = (local, remote);
            None
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.who, self.who.remote()) {
            (Who::Named(name), _) => f.write_str(name),
            (_, Some(remote)) => remote.fmt(f),
            (_, None) => f.write_str("gone"),
        }
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Peer({self})")
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn what_a_client_has_not_read_is_unacknowledged_until_it_reads() {
        for addr in ["127.0.0.1:0", "[::1]:0", "[::]:0"] {
            let listener = TcpListener::bind(addr).expect("a port");
            let port = listener.local_addr().expect("bound").port();
            let to = if addr.starts_with("[::1") { "::1" } else { "127.0.0.1" };
            let mut client = TcpStream::connect((to, port)).expect("it listens");
            let (mut server, _) = listener.accept().expect("it is there");
            let peer = Peer::tcp(server.local_addr(), server.peer_addr());
            assert_eq!(peer.unacknowledged(), Some(0), "{addr}");

            server.set_nonblocking(true).expect("a socket");
            let some = vec![0; 1 << 16];
            while server.write(&some).is_ok() {}
            let before = peer.unacknowledged().expect("the kernel tells");
            assert!(before > 0, "{addr}: {before}");

            let mut left = vec![0; 1 << 20];
            client.read_exact(&mut left).expect("there is more than that");
            // The kernel acknowledges what was read when it likes to, so more is read until it does.
            while peer.unacknowledged().expect("the kernel tells") >= before {
                client.read_exact(&mut left[..1 << 16]).expect("there is more than that");
            }
            drop((client, server));
        }
    }

    #[test]
    fn a_closed_connection_has_no_count_of_unacknowledged_bytes() {
        let nobody = || Ok(SocketAddr::from(([127, 0, 0, 1], 1)));
        assert_eq!(Peer::tcp(nobody(), nobody()).unacknowledged(), None);
        assert_eq!(Peer::named("local").unacknowledged(), None);
    }

    #[test]
    fn what_is_kept_goes_with_the_last_guard() {
        let drain = ebbtide::Drain::new();
        let kept = std::sync::Arc::new(());
        let peer = Peer::named("local").keeping(kept.clone());
        let guard = drain.watcher().labelled(peer.into_label()).expect("running");
        let another = guard.clone();
        drop(guard);
        assert_eq!(std::sync::Arc::strong_count(&kept), 2);
        drop(another);
        assert_eq!(std::sync::Arc::strong_count(&kept), 1);
    }
}
