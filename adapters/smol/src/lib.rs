//! Graceful shutdown on smol: the runtime's clock, tasks and listeners for ebbtide.
//!
//! ```
//! use std::time::Duration;
//! use ebbtide::Drain;
//! use smol::io::AsyncWriteExt;
//! use smol::net::TcpListener;
//!
//! # fn main() -> std::io::Result<()> { smol::block_on(async {
//! let drain = Drain::new();
//! let guard = drain.guard().expect("running");
//! let listener = TcpListener::bind("127.0.0.1:0").await?;
//!
//! let server = smol::spawn(ebbtide_smol::serve(listener, guard, |mut stream, guard| async move {
//!     let _ = stream.write_all(b"hello\n").await;
//!     drop(guard); // the connection is done
//! }));
//!
//! let drained = drain.start();
//! ebbtide_smol::within(drained, Duration::from_secs(10)).await.expect("nothing was cut");
//! server.await?;
//! # Ok(())
//! # }) }
//! ```
//!
//! | what | is smol's |
//! |---|---|
//! | [`within`] | clock: a deadline for the drain |
//! | [`spawn`] | tasks: the drain waits for the task, and a forced close drops it |
//! | [`serve`] | listeners: an accept loop that loses no connection |
//!
//! A protocol of your own reads by [`grace`](ebbtide::Watcher::grace), whose clock is `smol::Timer::after`: so what a
//! client had sent before the drain is still answered.
//!
//! For HTTP use `ebbtide-hyper`, with the I/O and timer of `smol-hyper` and the executor of this crate (feature `hyper`). Or
//! use `ebbtide-async-h1`. Tasks run on the global executor of [`smol::spawn`].
//!
//! # Tasks of other kinds
//!
//! Move a guard to where the work is. For a blocking task, move it into the closure. Nothing can cut such a task: after a
//! forced close it runs on, and [`Guard::state`] tells it. For a task of an executor of your own, wrap the future by
//! [`Guard::during`]: then a forced close drops it.
//!
//! ```
//! # smol::block_on(async {
//! # let drain = ebbtide::Drain::new();
//! # let (guard, another) = (drain.guard().expect("running"), drain.guard().expect("running"));
//! # let (hash, count) = (|| 7, std::rc::Rc::new(7));
//! let hashed = smol::unblock(move || {
//!     let _guard = guard; // until here is left, by a panic too
//!     hash()
//! });
//!
//! let executor = smol::LocalExecutor::new();
//! let local = executor.spawn(another.during(async move { *count }));
//! # let drained = drain.start();
//! # assert_eq!((hashed.await, executor.run(local).await), (7, Some(7)));
//! # drained.await.expect("nothing is cut");
//! # });
//! ```

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod bind;
mod detach;
#[cfg(feature = "service")]
mod service;

#[cfg(feature = "hyper")]
mod hyper;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_io::{Async, Timer};
#[cfg(unix)]
use async_net::unix::{UnixListener, UnixStream};
use async_net::{TcpListener, TcpStream};
pub use bind::bind;
pub use detach::Detach;
use ebbtide::{Deadline, Drained, Guard};
use ebbtide_accept::{Ended, Listener, Runtime, Socket, Spawn};
pub use ebbtide_accept::{Failure, Peer};
#[cfg(feature = "tracing")]
pub use ebbtide_service::trace_drain;
#[cfg(feature = "service")]
pub use ebbtide_service::{
    Event, Obstacle, Outcome, Part, PartError, PartStatus, Readiness, StageStatus, StartError, Status,
};
#[cfg(feature = "hyper")]
pub use hyper::Executor;
#[cfg(feature = "service")]
pub use service::{Service, run};
use smol::Task;

/// Sets a deadline for the drain: waits for its end, and closes it by force after `time`.
///
/// # Errors
///
/// [`Overdue`](ebbtide::Overdue): what was cut, if the drain did not end in time.
///
/// # Cancel safety
///
/// Dropping it closes nothing: the drain goes on, without this deadline.
pub fn within(drained: Drained, time: Duration) -> Deadline<impl Future<Output = ()> + Send> {
    let sleep = Timer::after(time);
    drained.deadline(async {
        sleep.await;
    })
}

/// Spawns a task that the drain waits for. A forced close drops it, and its output is `None`; a return, a panic and a
/// cancellation release the guard alike.
///
/// # Cancel safety
///
/// Dropping the task cancels it; [`detach`](Task::detach) lets it go on.
///
/// # Examples
///
/// ```
/// # smol::block_on(async {
/// let drain = ebbtide::Drain::new();
/// let guard = drain.guard().expect("running");
/// let task = ebbtide_smol::spawn(guard, async { 7 });
/// drain.start().await.expect("the task ends by itself");
/// assert_eq!(task.await, Some(7));
/// # });
/// ```
pub fn spawn<F>(guard: Guard, future: F) -> Task<Option<F::Output>>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    smol::spawn(guard.during(future))
}

/// An accept loop: spawns `connection` for each connection, until the drain has begun and the listener's queue is empty.
///
/// It is ready when the drain has begun and the port is closed. Connections may still be open, so await
/// [`Drain::start`](ebbtide::Drain::start) after it. A program that returns here cuts requests in flight, and nothing
/// reports it.
///
/// Every connection has a guard of its own, taken before the connection can be lost. Keep it until the connection is done:
///
/// - If the future drops it, the rest of the future is not waited for.
/// - If `connection` drops it before it returns, as `|stream, _: Guard|` does, the task is waited for instead.
/// - A connection whose task is still running when the drain closes is dropped.
/// - Its label is the client's address: [`Peer::of`](ebbtide_accept::Peer::of).
///
/// TCP connections have `TCP_NODELAY` set. Errors of single connections are skipped, and without descriptors or memory the
/// loop pauses. [`on_error`](ebbtide_accept::Serve::on_error) reports these, and connections whose future ends with an error
/// or a panic. The output of that future is `()` or a `Result`.
///
/// When the drain begins, new clients are refused. On Linux a TCP listener closes when the handshakes that are under way are
/// complete, or after 500 ms. If others own the listening socket too, call [`shared`](ebbtide_accept::Serve::shared): then
/// the queue is left to them.
///
/// The file of a Unix socket is not removed: while this drains, a successor may already listen under the same name. Clients
/// are refused until then. A successor should bind a name of its own, and rename that to the one which clients know. Then
/// they always find a listener.
///
/// # Errors
///
/// The error of a listener that can accept no more. The drain does not start by itself then: start it and await it before you
/// return the error, or requests in flight are cut. Also, if the last [`Drain`](ebbtide::Drain) was dropped before this was
/// first polled, so that only queued connections were served.
///
/// # Cancel safety
///
/// It ends by itself: await it, in a task of its own if need be. In a `select!` or in
/// [`until_draining`](ebbtide::Watcher::until_draining) it is dropped as the drain begins. That closes the listener and resets
/// the connections in its queue, and the outcome of the drain says so. Connections that were accepted go on.
pub fn serve<L, F, Fut>(listener: L, guard: Guard, connection: F) -> Serve<L, F>
where
    L: Listener<Smol>,
    F: FnMut(L::Stream, Guard) -> Fut,
    Fut: Future<Output: Ended> + Send + 'static,
{
    Serve::new(listener, guard, connection)
}

/// The future of [`serve`].
pub type Serve<L, F> = ebbtide_accept::Serve<Smol, L, F>;

/// The runtime, as a type parameter of the accept loop.
#[derive(Clone, Copy, Debug)]
pub enum Smol {}

impl Runtime for Smol {
    type Sleep = Timer;

    fn sleep(time: Duration) -> Timer {
        Timer::after(time)
    }
}

impl<T: Future<Output: Send> + Send + 'static> Spawn<T> for Smol {
    fn spawn(task: T) {
        smol::spawn(task).detach();
    }
}

/// Asks the socket itself, because the listener's own `accept` is a future that would have to be kept.
fn poll_accept<S: Socket>(socket: &Async<S>, cx: &mut Context<'_>) -> Poll<io::Result<S::Stream>> {
    loop {
        match socket.get_ref().accept() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(socket.poll_readable(cx))?,
            accepted => return Poll::Ready(accepted),
        }
    }
}

impl Listener<Smol> for TcpListener {
    type Stream = TcpStream;
    type Socket = std::net::TcpListener;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        let socket: Arc<Async<Self::Socket>> = self.clone().into();
        ready!(poll_accept(&socket, cx)).and_then(Self::adopt).into()
    }

    fn into_socket(self) -> io::Result<std::net::TcpListener> {
        let socket: Arc<Async<Self::Socket>> = self.into();
        // Where it is shared, by its descriptor.
        Arc::try_unwrap(socket).map_or_else(|socket| socket.get_ref().try_clone(), Async::into_inner)
    }

    fn address(&self) -> Option<String> {
        self.local_addr().ok().map(|it| it.to_string())
    }

    fn peer(stream: &TcpStream) -> Peer {
        Peer::tcp(stream.local_addr(), stream.peer_addr())
    }

    fn adopt(stream: std::net::TcpStream) -> io::Result<TcpStream> {
        TcpStream::try_from(stream).map(at_once)
    }
}

/// Sets `TCP_NODELAY`, so that small writes are sent at once. If it cannot be set the connection is closed, which its first
/// read shows.
fn at_once(stream: TcpStream) -> TcpStream {
    drop(stream.set_nodelay(true));
    stream
}

#[cfg(unix)]
impl Listener<Smol> for UnixListener {
    type Stream = UnixStream;
    type Socket = std::os::unix::net::UnixListener;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<UnixStream>> {
        let socket: Arc<Async<Self::Socket>> = self.clone().into();
        ready!(poll_accept(&socket, cx)).and_then(Self::adopt).into()
    }

    fn into_socket(self) -> io::Result<std::os::unix::net::UnixListener> {
        let socket: Arc<Async<Self::Socket>> = self.into();
        // Where it is shared, by its descriptor.
        Arc::try_unwrap(socket).map_or_else(|socket| socket.get_ref().try_clone(), Async::into_inner)
    }

    fn address(&self) -> Option<String> {
        self.local_addr().ok()?.as_pathname().map(|it| it.display().to_string())
    }

    fn peer(_: &UnixStream) -> Peer {
        Peer::named("local")
    }

    fn adopt(stream: std::os::unix::net::UnixStream) -> io::Result<UnixStream> {
        UnixStream::try_from(stream)
    }
}
