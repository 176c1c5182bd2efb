//! Graceful shutdown on async-std, which is **discontinued** (RUSTSEC-2025-0052): its clock, tasks and listeners for ebbtide.
//!
//! This crate is for services that still run on it: they can stop without loss today. `ebbtide-smol` has the same names, so
//! moving there is a change of `use`.
//!
//! ```
//! use std::time::Duration;
//! use ebbtide::Drain;
//! use async_std::io::WriteExt;
//! use async_std::net::TcpListener;
//!
//! # fn main() -> std::io::Result<()> { async_std::task::block_on(async {
//! let drain = Drain::new();
//! let guard = drain.guard().expect("running");
//! let listener = TcpListener::bind("127.0.0.1:0").await?;
//!
//! let server = async_std::task::spawn(ebbtide_async_std::serve(listener, guard, |mut stream, guard| async move {
//!     let _ = stream.write_all(b"hello\n").await;
//!     drop(guard); // the connection is done
//! }));
//!
//! let drained = drain.start();
//! ebbtide_async_std::within(drained, Duration::from_secs(10)).await.expect("nothing was cut");
//! server.await?;
//! # Ok(())
//! # }) }
//! ```
//!
//! | what | is async-std's |
//! |---|---|
//! | [`within`] | clock: a deadline for the drain |
//! | [`spawn`] | tasks: the drain waits for the task, and a forced close drops it |
//! | [`serve`] | listeners: an accept loop that loses no connection |
//!
//! A protocol of your own reads by [`grace`](ebbtide::Watcher::grace), whose clock is `async_std::task::sleep`: so what a
//! client had sent before the drain is still answered.
//!
//! For HTTP use `ebbtide-async-h1`, with [`HalfClose`] around the streams.
//!
//! # Tasks of other kinds
//!
//! Move a guard to where the work is. For a blocking task, move it into the closure. Nothing can cut such a task: after a
//! forced close it runs on, and [`Guard::state`] tells it. For a task of another executor, wrap the future by
//! [`Guard::during`]: then a forced close drops it.
//!
//! ```
//! # async_std::task::block_on(async {
//! # let drain = ebbtide::Drain::new();
//! # let (guard, hash) = (drain.guard().expect("running"), || 7);
//! let hashed = async_std::task::spawn_blocking(move || {
//!     let _guard = guard; // until here is left, by a panic too
//!     hash()
//! });
//! # drain.start().await.expect("nothing is cut");
//! # assert_eq!(hashed.await, 7);
//! # });
//! ```

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod bind;
mod detach;
mod half_close;
#[cfg(feature = "service")]
mod service;

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_std::net::{TcpListener, TcpStream};
#[cfg(unix)]
use async_std::os::unix::net::{UnixListener, UnixStream};
use async_std::task::JoinHandle;
pub use bind::bind;
pub use detach::Detach;
use ebbtide::{Deadline, Drained, Guard};
use ebbtide_accept::{Ended, Listener, Runtime, Spawn};
pub use ebbtide_accept::{Failure, Peer};
#[cfg(feature = "tracing")]
pub use ebbtide_service::trace_drain;
#[cfg(feature = "service")]
pub use ebbtide_service::{
    Event, Obstacle, Outcome, Part, PartError, PartStatus, Readiness, StageStatus, StartError, Status,
};
pub use half_close::{End, HalfClose};
#[cfg(feature = "service")]
pub use service::{Service, run};

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
    drained.deadline(async_std::task::sleep(time))
}

/// Spawns a task that the drain waits for. A forced close drops it, and its output is `None`; a return, a panic and a
/// cancellation release the guard alike.
///
/// # Examples
///
/// ```
/// # async_std::task::block_on(async {
/// let drain = ebbtide::Drain::new();
/// let guard = drain.guard().expect("running");
/// let task = ebbtide_async_std::spawn(guard, async { 7 });
/// drain.start().await.expect("the task ends by itself");
/// assert_eq!(task.await, Some(7));
/// # });
/// ```
pub fn spawn<F>(guard: Guard, future: F) -> JoinHandle<Option<F::Output>>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    async_std::task::spawn(guard.during(future))
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
pub fn serve<L, S, F, Fut>(listener: L, guard: Guard, connection: F) -> Serve<Accepting<L, S>, F>
where
    Accepting<L, S>: Listener<AsyncStd, Stream = S>,
    F: FnMut(S, Guard) -> Fut,
    Fut: Future<Output: Ended> + Send + 'static,
{
    Serve::new(Accepting::new(listener), guard, connection)
}

/// The future of [`serve`].
pub type Serve<L, F> = ebbtide_accept::Serve<AsyncStd, L, F>;

/// The runtime, as a type parameter of the accept loop.
#[derive(Clone, Copy, Debug)]
pub enum AsyncStd {}

impl Runtime for AsyncStd {
    type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

    fn sleep(time: Duration) -> Self::Sleep {
        Box::pin(async_std::task::sleep(time))
    }
}

impl<T: Future<Output: Send> + Send + 'static> Spawn<T> for AsyncStd {
    fn spawn(task: T) {
        async_std::task::spawn(task);
    }
}

/// A listener with its pending `accept`, which async-std has as a future only.
pub struct Accepting<L, S> {
    listener: Arc<L>,
    accept: Option<Pin<Box<dyn Future<Output = io::Result<S>> + Send>>>,
}

impl<L, S> Accepting<L, S> {
    fn new(listener: L) -> Self {
        Self { listener: Arc::new(listener), accept: None }
    }

    fn poll<F>(&mut self, cx: &mut Context<'_>, accept: impl FnOnce(Arc<L>) -> F) -> Poll<io::Result<S>>
    where
        F: Future<Output = io::Result<S>> + Send + 'static,
    {
        let under_way = self.accept.get_or_insert_with(|| Box::pin(accept(self.listener.clone())));
        let accepted = ready!(under_way.as_mut().poll(cx));
        self.accept = None;
        Poll::Ready(accepted)
    }

    fn into_listener(self) -> io::Result<L> {
        drop(self.accept);
        Arc::into_inner(self.listener).ok_or_else(|| io::Error::other("its accept is still under way"))
    }
}

impl<L: fmt::Debug, S> fmt::Debug for Accepting<L, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accepting").field("listener", &self.listener).finish_non_exhaustive()
    }
}

impl Listener<AsyncStd> for Accepting<TcpListener, TcpStream> {
    type Stream = TcpStream;
    type Socket = std::net::TcpListener;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        self.poll(cx, |it| async move { it.accept().await.map(|(stream, _)| at_once(stream)) })
    }

    fn into_socket(self) -> io::Result<std::net::TcpListener> {
        let socket: Self::Socket = self.into_listener()?.try_into()?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    }

    fn address(&self) -> Option<String> {
        self.listener.local_addr().ok().map(|it| it.to_string())
    }

    fn peer(stream: &TcpStream) -> Peer {
        Peer::tcp(stream.local_addr(), stream.peer_addr())
    }

    fn adopt(stream: std::net::TcpStream) -> io::Result<TcpStream> {
        Ok(at_once(stream.into()))
    }
}

/// Sets `TCP_NODELAY`, so that small writes are sent at once. If it cannot be set the connection is closed, which its first
/// read shows.
fn at_once(stream: TcpStream) -> TcpStream {
    drop(stream.set_nodelay(true));
    stream
}

#[cfg(unix)]
impl Listener<AsyncStd> for Accepting<UnixListener, UnixStream> {
    type Stream = UnixStream;
    type Socket = std::os::unix::net::UnixListener;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<UnixStream>> {
        self.poll(cx, |it| async move { it.accept().await.map(|(stream, _)| stream) })
    }

    fn into_socket(self) -> io::Result<std::os::unix::net::UnixListener> {
        let socket: Self::Socket = self.into_listener()?.try_into()?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    }

    fn address(&self) -> Option<String> {
        self.listener.local_addr().ok()?.as_pathname().map(|it| it.display().to_string())
    }

    fn peer(_: &UnixStream) -> Peer {
        Peer::named("local")
    }

    fn adopt(stream: std::os::unix::net::UnixStream) -> io::Result<UnixStream> {
        Ok(stream.into())
    }
}
