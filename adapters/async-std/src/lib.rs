//! **async-std is discontinued** (RUSTSEC-2025-0052). This crate is for services that run on it still: it lets them stop
//! without loss today, and move to `ebbtide-smol`, which has the same names, by a change of `use`.
//!
//! Graceful shutdown on async-std: the runtime's clock, tasks and listeners for ebbtide.
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
//! | [`spawn`] | tasks: one that the drain waits for, and that a forced close drops |
//! | [`serve`] | listeners: the accept loop, which loses no connection |
//!
//! A protocol of your own reads by [`grace`](ebbtide::Watcher::grace), whose clock is `async_std::task::sleep`: so what a
//! client had sent before the drain is answered.
//!
//! HTTP on top of it is `ebbtide-async-h1`, with [`HalfClose`] around the streams.
//!
//! # Tasks of other kinds
//!
//! A guard goes wherever the work goes. Into the closure of a blocking task, which nothing can cut: after a forced close it
//! runs on, and [`Guard::state`] tells it so. Around the future of a task of another executor, by
//! [`Guard::during`], which a forced close drops.
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
use ebbtide::{Deadline, Drained, Guard};
use ebbtide_accept::{Ended, Listener, Runtime, Spawn};
pub use bind::bind;
pub use ebbtide_accept::{Failure, Peer};
#[cfg(feature = "service")]
pub use ebbtide_service::{Event, Obstacle, Outcome, Part, PartError, Readiness, StartError};
pub use half_close::{End, HalfClose};
#[cfg(feature = "service")]
pub use service::{Service, run};

/// Waits for the end of the drain, but no longer than `time`: then it closes by force.
///
/// # Errors
///
/// [`Overdue`](ebbtide::Overdue): what was still held when time was up.
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

/// Accepts connections and spawns `connection` for each, until the drain has begun and the listener's queue is empty.
///
/// It is over when the drain has begun and the port is closed, and not when the connections are. So wait for
/// [`Drain::start`](ebbtide::Drain::start) behind it: a program that returns here cuts what is in flight, and nobody is told.
///
/// Every connection comes with a guard of its own, taken before the connection can be lost, whose label says who is at the
/// other end: [`Peer::of`](ebbtide_accept::Peer::of). Keep it until the connection is done. If `connection` drops it before
/// it returns, as `|stream, _: Guard|` does, the task is waited for instead; if the future drops it, the rest of the future is
/// not waited for. TCP connections have `TCP_NODELAY` set. A connection whose task is still there when the drain closes is
/// dropped. Errors of single connections are skipped, and a lack of descriptors or memory is waited out;
/// [`on_error`](ebbtide_accept::Serve::on_error) tells of them,
/// and of a connection whose future ends with an error or a panic: it may end with nothing, or with a `Result`.
///
/// At the drain a TCP listener of Linux closes when the handshakes that are under way are over, or after 500 ms; newcomers are
/// refused. If others own the listening socket too, say [`shared`](ebbtide_accept::Serve::shared): then the queue is left
/// to them.
///
/// The file of a Unix socket is left where it is, as by the runtime itself: while this drains, a successor may listen under
/// the same name already, and its file would be the one removed. Clients are refused until then. A successor binds a
/// name of its own and renames it to the one that clients know, over what it finds there: so they always meet a listener.
///
/// # Errors
///
/// That of a listener which can accept no more. The drain does not start by itself then: start it, and wait for it, before
/// you return the error, or what is in flight is cut. Or that the last [`Drain`](ebbtide::Drain) had been dropped before
/// this was polled, so that nobody was served but who was queued.
///
/// # Cancel safety
///
/// It ends by itself: await it, in a task of its own if need be. In a `select!` or in
/// [`until_draining`](ebbtide::Watcher::until_draining) it is dropped as the drain begins. That closes the listener and
/// resets what is in its queue, and the outcome of the drain says so. The connections go on.
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

/// The runtime, to the accept loop.
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

/// A listener with its `accept` if that is under way: async-std has it as a future only.
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

/// Has small writes sent when they are made, such as the last words of a connection. Where it cannot be set the
/// connection is gone, which its first read tells.
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
