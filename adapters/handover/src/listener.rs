//! `Named`: a listener that a successor gets.

use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use async_channel::Receiver;
use ebbtide::Watcher;
use ebbtide_accept::{Listener, Peer, Socket};
use futures_core::Stream;

use crate::connection::Connection;
use crate::driver::Command;
use crate::shared::Shared;

/// A listening or datagram socket with a name, by which a successor gets it.
///
/// It comes from [`Handover::tcp`](crate::Handover::tcp) and the like with a socket of the standard library. By
/// [`map`](Self::map) it becomes one of a runtime. `serve` of ebbtide's runtime adapters takes it. It accepts from
/// [`ready`](crate::Handover::ready) on, until the successor is in charge, and leaves the queue to that one. Connections that
/// come from the predecessor are accepted like others.
///
/// ```no_run
/// # async fn run(handover: ebbtide_handover::Handover, guard: ebbtide::Guard) -> std::io::Result<()> {
/// let listener = handover.tcp("api", "127.0.0.1:8080")?.map(smol::net::TcpListener::try_from)?;
/// ebbtide_smol::serve(listener, guard, |stream, guard| async move { drop((stream, guard)) }).await
/// # }
/// ```
///
/// Once it is dropped, this process cannot be taken over any more: a successor would not get this socket.
#[derive(Debug)]
pub struct Named<S> {
    socket: S,
    registration: Registration,
    serving: Watcher,
    adopted: Option<Pin<Box<Receiver<Connection>>>>,
}

/// Where a socket comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Origin {
    /// This process has bound it.
    Bound,
    /// systemd has passed it, or another manager.
    Inherited,
    /// The predecessor has given it.
    TakenOver,
}

/// The entry of a socket among those that a successor gets.
#[derive(Debug)]
pub(crate) struct Registration {
    name: String,
    shared: Arc<Shared>,
    origin: Origin,
    is_stream: bool,
}

impl<S> Named<S> {
    pub(crate) fn new(socket: S, registration: Registration) -> Self {
        let serving = registration.shared.serving.watcher();
        Self { socket, registration, serving, adopted: None }
    }

    /// Makes it a socket of a runtime: `map(tokio::net::TcpListener::from_std)`, or
    /// `map(smol::net::TcpListener::try_from)`.
    ///
    /// # Errors
    ///
    /// Those of the conversion, with the name of the listener.
    pub fn map<L>(self, convert: impl FnOnce(S) -> io::Result<L>) -> io::Result<Named<L>> {
        let Self { socket, registration, serving, .. } = self;
        let name = &registration.name;
        let socket = convert(socket).map_err(|error| io::Error::new(error.kind(), format!("{name}: {error}")))?;
        let adopted = registration.is_stream.then(|| Box::pin(registration.adopt()));
        Ok(Named { socket, registration, serving, adopted })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.registration.name
    }

    /// Where it comes from.
    pub fn origin(&self) -> Origin {
        self.registration.origin
    }

    /// The socket. A loop of your own that accepts from it has to end when the
    /// [successor is in charge](crate::Handover::superseded).
    pub fn get_ref(&self) -> &S {
        &self.socket
    }
}

impl Registration {
    pub(crate) fn new(name: &str, shared: Arc<Shared>, origin: Origin, is_stream: bool) -> Self {
        Self { name: name.to_owned(), shared, origin, is_stream }
    }

    fn adopt(&self) -> Receiver<Connection> {
        let (connections, adopted) = async_channel::unbounded();
        let command = Command::Adopts { listener: self.name.clone(), connections };
        drop(self.shared.command(command));
        adopted
    }

    /// Closes the descriptor that is kept for a successor. Without this, clients would wait in a queue that nobody empties.
    fn retire(&self) {
        if self.shared.listeners().remove(&self.name).is_some() {
            drop(self.shared.command(Command::Retire));
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.retire();
    }
}

impl<R, L> Listener<R> for Named<L>
where
    L: Listener<R>,
    <L::Socket as Socket>::Stream: From<OwnedFd>,
{
    type Stream = L::Stream;
    type Socket = Departing<L::Socket>;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<L::Stream>> {
        if let Some(adopted) = &mut self.adopted {
            match adopted.as_mut().poll_next(cx) {
                Poll::Ready(Some(connection)) => return Poll::Ready(L::adopt(connection.socket.into())),
                Poll::Ready(None) => self.adopted = None,
                Poll::Pending => {}
            }
        }
        if Pin::new(&mut self.serving).poll(cx).is_pending() || self.registration.shared.has_left() {
            // Of the first it hears. After the second the drain comes, and with it the end of this loop.
            return Poll::Pending;
        }
        self.socket.poll_accept(cx)
    }

    fn into_socket(self) -> io::Result<Departing<L::Socket>> {
        self.registration.retire();
        let socket = self.socket.into_socket()?;
        Ok(Departing { socket, registration: self.registration, adopted: self.adopted })
    }

    fn address(&self) -> Option<String> {
        self.socket.address()
    }

    fn peer(stream: &L::Stream) -> Peer {
        L::peer(stream)
    }

    fn adopt(stream: <L::Socket as Socket>::Stream) -> io::Result<L::Stream> {
        L::adopt(stream)
    }
}

/// The socket of a [`Named`] listener that drains.
///
/// Its queue is left to the successor, to a predecessor that still serves, or to the manager that has the socket, too. If there
/// is none of these, it is emptied.
#[derive(Debug)]
pub struct Departing<S> {
    socket: S,
    registration: Registration,
    adopted: Option<Pin<Box<Receiver<Connection>>>>,
}

impl<S> Departing<S> {
    fn leaves_its_queue(&self) -> bool {
        let Registration { shared, origin, .. } = &self.registration;
        if shared.are_stored.load(Ordering::SeqCst) {
            return true;
        }
        match origin {
            Origin::Bound => shared.has_left(),
            Origin::TakenOver => shared.has_left() || !shared.is_serving(),
            Origin::Inherited => true,
        }
    }
}

impl<S: Socket> Socket for Departing<S>
where
    S::Stream: From<OwnedFd>,
{
    type Stream = S::Stream;

    fn accept(&self) -> io::Result<S::Stream> {
        // The predecessor was told that these are served here.
        if let Some(Ok(connection)) = self.adopted.as_ref().map(|it| it.try_recv()) {
            return Ok(connection.socket.into());
        }
        if self.leaves_its_queue() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.socket.accept()
    }

    fn refuse(&self) -> bool {
        // Who else has the socket would be refused, too; for a Unix socket, for ever.
        !self.leaves_its_queue() && !self.registration.shared.is_lent() && self.socket.refuse()
    }

    fn admit(&self) {
        // What this process has bound, and has never lent, nobody else has. So there is no moment before the close in which a
        // client could still connect, only to be reset.
        if self.registration.origin != Origin::Bound {
            self.socket.admit();
        }
    }

    fn half_open(&self) -> Option<usize> {
        if self.leaves_its_queue() { Some(0) } else { self.socket.half_open() }
    }
}
