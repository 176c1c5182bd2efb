//! Who is at the other end of a connection.

use std::any::Any;
use std::fmt;
use std::io;
use std::net::SocketAddr;

use ebbtide::{Guard, Label};

/// Who is at the other end of a connection: the client's address, and whatever else its listener has to say of it.
///
/// It is the label of the guard that an accept loop of ebbtide hands out, so [`Drain::held`](ebbtide::Drain::held) and
/// [`Overdue`](ebbtide::Overdue) name the client. As text it is the client's address.
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
    /// A connection of TCP. An address that could not be told is none: the connection was gone already.
    Tcp {
        local: Option<SocketAddr>,
        remote: Option<SocketAddr>,
    },
    Named(String),
}

impl Peer {
    /// The other end of a TCP connection, by what the socket says of its two addresses.
    #[must_use]
    pub fn tcp(local: io::Result<SocketAddr>, remote: io::Result<SocketAddr>) -> Self {
        Self { who: Who::Tcp { local: local.ok(), remote: remote.ok() }, kept: None }
    }

    /// The other end of anything else.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self { who: Who::Named(name.into()), kept: None }
    }

    /// The same, with something that is dropped together with the label: when the last guard of the connection is gone.
    #[must_use]
    pub fn keeping(mut self, what: impl Any + Send + Sync) -> Self {
        self.kept = Some(Box::new(what));
        self
    }

    /// As the label of a guard.
    #[must_use]
    pub fn into_label(self) -> Label {
        Label::live(self)
    }

    /// The peer that this guard is labelled with; `None` if it has another label, or none.
    #[must_use]
    pub fn of(guard: &Guard) -> Option<&Self> {
        guard.label().and_then(Label::downcast_ref)
    }

    /// The client's address; `None` unless it is one of TCP.
    #[must_use]
    pub fn addr(&self) -> Option<SocketAddr> {
        match self.who {
            Who::Tcp { remote, .. } => remote,
            Who::Named(_) => None,
        }
    }

    /// How many bytes were written to the connection that its client's system has not acknowledged yet. `None` if nobody
    /// tells: the connection is gone, it is not one of TCP, or the kernel does not answer.
    ///
    /// It is one call into the kernel, of some microseconds: for a timer that is over, not for every write.
    #[must_use]
    pub fn unacknowledged(&self) -> Option<usize> {
        match self.who {
            #[cfg(target_os = "linux")]
            Who::Tcp { local: Some(local), remote: Some(remote) } => crate::sock_diag::unacknowledged(local, remote),
            _ => None,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.who {
            Who::Tcp { remote: Some(remote), .. } => remote.fmt(f),
            Who::Tcp { remote: None, .. } => f.write_str("gone"),
            Who::Named(name) => f.write_str(name),
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
    fn of_a_connection_that_is_gone_nobody_tells() {
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
