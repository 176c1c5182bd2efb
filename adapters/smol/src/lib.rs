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
//! | [`spawn`] | tasks: one that the drain waits for, and that a forced close drops |
//! | [`serve`] | listeners: the accept loop, which loses no connection |
//!
//! A protocol of your own reads by [`grace`](ebbtide::Watcher::grace), whose clock is `smol::Timer::after`: so what a
//! client had sent before the drain is answered.
//!
//! HTTP on top of it is `ebbtide-hyper`, with `smol-hyper`'s I/O and timer and, for the feature `hyper`, the executor of
//! this crate; or `ebbtide-async-h1`. Tasks go where [`smol::spawn`] puts them.
//!
//! # Tasks of other kinds
//!
//! A guard goes wherever the work goes. Into the closure of a blocking task, which nothing can cut: after a forced close it
//! runs on, and [`Guard::state`] tells it so. Around the future of a task of an executor of your own, which a forced close
//! drops.
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
use ebbtide::{Deadline, Drained, Guard};
use ebbtide_accept::{Ended, Listener, Runtime, Socket, Spawn};
pub use bind::bind;
pub use ebbtide_accept::{Failure, Peer};
#[cfg(feature = "service")]
pub use ebbtide_service::{Event, Obstacle, Outcome, Part, PartError, Readiness, StartError};
#[cfg(feature = "service")]
pub use service::{Service, run};
#[cfg(feature = "hyper")]
pub use hyper::Executor;
use smol::Task;

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

/// The runtime, to the accept loop.
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

/// Has small writes sent when they are made, such as the last words of a connection. Where it cannot be set the
/// connection is gone, which its first read tells.
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
