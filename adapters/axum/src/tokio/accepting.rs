//! Any listener of axum's, to the accept loop.

use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use axum::serve::Listener;
use ebbtide_accept::{Listener as Accepts, Socket};
use ebbtide_tokio::{Peer, Tokio};
use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};

use crate::listener::peer;

/// A connection with its client's address.
type Accepted<L> = (<L as Listener>::Io, <L as Listener>::Addr);

/// A listener of axum, for the accept loop. Those of tokio are used by their sockets, which can refuse new clients and then be
/// emptied. Any other one is used by its `accept`.
///
/// One of the latter kind, such as axum's `TapIo`, hides its socket. It accepts on for 100 ms when the drain begins, and a
/// client that comes at the very end of that may be reset.
pub struct Accepting<L: Listener>(Kind<L>);

enum Kind<L: Listener> {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener),
    Foreign(Foreign<L>),
}

/// A listener that is to close.
pub struct Closing<L: Listener>(Last<L>);

enum Last<L: Listener> {
    Tcp(std::net::TcpListener),
    #[cfg(unix)]
    Unix(std::os::unix::net::UnixListener),
    Foreign(RefCell<Foreign<L>>),
}

/// A listener of which nothing is known but that it accepts. It is in the future that does so.
struct Foreign<L: Listener> {
    accepting: Pin<Box<dyn Future<Output = (L, Accepted<L>)> + Send>>,
}

impl<L: Listener> Accepting<L> {
    pub(super) fn new(listener: L) -> Self {
        let mut listener = Some(listener);
        if let Some(listener) = taken(&mut listener) {
            return Self(Kind::Tcp(listener));
        }
        #[cfg(unix)]
        if let Some(listener) = taken(&mut listener) {
            return Self(Kind::Unix(listener));
        }
        Self(Kind::Foreign(Foreign::new(listener.expect("it was not taken"))))
    }
}

impl<L: Listener<Addr: fmt::Debug>> Accepts<Tokio> for Accepting<L> {
    type Stream = Accepted<L>;
    type Socket = Closing<L>;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Accepted<L>>> {
        Poll::Ready(match &mut self.0 {
            Kind::Tcp(listener) => tcp::<L>(ready!(Accepts::<Tokio>::poll_accept(listener, cx))?),
            #[cfg(unix)]
            Kind::Unix(listener) => unix::<L>(ready!(Accepts::<Tokio>::poll_accept(listener, cx))?),
            Kind::Foreign(listener) => Ok(ready!(listener.poll_accept(cx))),
        })
    }

    fn into_socket(self) -> io::Result<Closing<L>> {
        Ok(Closing(match self.0 {
            Kind::Tcp(listener) => Last::Tcp(Accepts::<Tokio>::into_socket(listener)?),
            #[cfg(unix)]
            Kind::Unix(listener) => Last::Unix(Accepts::<Tokio>::into_socket(listener)?),
            Kind::Foreign(listener) => Last::Foreign(RefCell::new(listener)),
        }))
    }

    fn peer((io, addr): &Accepted<L>) -> Peer {
        let io: &dyn Any = io;
        if let Some(stream) = io.downcast_ref::<TcpStream>() {
            return <TcpListener as Accepts<Tokio>>::peer(stream);
        }
        #[cfg(unix)]
        if let Some(stream) = io.downcast_ref::<UnixStream>() {
            return <UnixListener as Accepts<Tokio>>::peer(stream);
        }
        Peer::named(format!("{addr:?}"))
    }

    fn adopt(stream: Accepted<L>) -> io::Result<Accepted<L>> {
        Ok(stream)
    }
}

impl<L: Listener> Socket for Closing<L> {
    type Stream = Accepted<L>;

    fn accept(&self) -> io::Result<Accepted<L>> {
        match &self.0 {
            Last::Tcp(socket) => tcp::<L>(<TcpListener as Accepts<Tokio>>::adopt(Socket::accept(socket)?)?),
            #[cfg(unix)]
            Last::Unix(socket) => unix::<L>(<UnixListener as Accepts<Tokio>>::adopt(Socket::accept(socket)?)?),
            // Asked every few milliseconds from here on, so nobody is to be woken.
            Last::Foreign(listener) => {
                match listener.borrow_mut().poll_accept(&mut Context::from_waker(Waker::noop())) {
                    Poll::Ready(accepted) => Ok(accepted),
                    Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
                }
            }
        }
    }

    fn refuse(&self) -> bool {
        match &self.0 {
            Last::Tcp(socket) => socket.refuse(),
            #[cfg(unix)]
            Last::Unix(socket) => socket.refuse(),
            Last::Foreign(_) => false,
        }
    }

    fn admit(&self) {
        match &self.0 {
            Last::Tcp(socket) => socket.admit(),
            #[cfg(unix)]
            Last::Unix(socket) => socket.admit(),
            Last::Foreign(_) => {}
        }
    }

    fn half_open(&self) -> Option<usize> {
        match &self.0 {
            Last::Tcp(socket) => socket.half_open(),
            #[cfg(unix)]
            Last::Unix(socket) => socket.half_open(),
            Last::Foreign(_) => None,
        }
    }
}

impl<L: Listener> Foreign<L> {
    fn new(mut listener: L) -> Self {
        let accepting = Box::pin(async move {
            let accepted = listener.accept().await;
            (listener, accepted)
        });
        Self { accepting }
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Accepted<L>> {
        let (listener, accepted) = ready!(self.accepting.as_mut().poll(cx));
        *self = Self::new(listener);
        Poll::Ready(accepted)
    }
}

fn tcp<L: Listener>(stream: TcpStream) -> io::Result<Accepted<L>> {
    let addr = peer(stream.peer_addr())?;
    Ok(taken(&mut Some((stream, addr))).expect("the listener is tokio's"))
}

#[cfg(unix)]
fn unix<L: Listener>(stream: UnixStream) -> io::Result<Accepted<L>> {
    let addr = peer(stream.peer_addr())?;
    Ok(taken(&mut Some((stream, addr))).expect("the listener is tokio's"))
}

/// Takes an `A` out, if it is a `B`.
fn taken<A: 'static, B: 'static>(from: &mut Option<A>) -> Option<B> {
    let from: &mut dyn Any = from;
    from.downcast_mut::<Option<B>>()?.take()
}

impl<L: Listener> fmt::Debug for Accepting<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accepting").finish_non_exhaustive()
    }
}

impl<L: Listener> fmt::Debug for Closing<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Closing").finish_non_exhaustive()
    }
}
