//! Graceful shutdown on tokio: the runtime's clock, tasks and listeners for ebbtide.
//!
//! ```
//! use std::time::Duration;
//! use ebbtide::Drain;
//! use tokio::io::AsyncWriteExt;
//! use tokio::net::TcpListener;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let drain = Drain::new();
//! let guard = drain.guard().expect("running");
//! let listener = TcpListener::bind("127.0.0.1:0").await?;
//!
//! let server = tokio::spawn(ebbtide_tokio::serve(listener, guard, |mut stream, guard| async move {
//!     let _ = stream.write_all(b"hello\n").await;
//!     drop(guard); // the connection is done
//! }));
//!
//! let drained = drain.start();
//! ebbtide_tokio::within(drained, Duration::from_secs(10)).await.expect("nothing was cut");
//! server.await??;
//! # Ok(())
//! # }
//! ```
//!
//! | what | is tokio's |
//! |---|---|
//! | [`within`] | clock: a deadline for the drain |
//! | [`spawn`] | tasks: the drain waits for the task, and a forced close drops it |
//! | [`serve`] | listeners: an accept loop that loses no connection |
//!
//! A protocol of your own reads by [`grace`](ebbtide::Watcher::grace), whose clock is `tokio::time::sleep`: so what a
//! client had sent before the drain is still answered.
//!
//! HTTP on top of it is `ebbtide-hyper`.
//!
//! # Tasks of other kinds
//!
//! Move a guard to where the work is. For a blocking task, move it into the closure. Nothing can cut such a task: after a
//! forced close it runs on, and [`Guard::state`] tells it.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! # let drain = ebbtide::Drain::new();
//! # let (guard, hash) = (drain.guard().expect("running"), || 7);
//! let hashed = tokio::task::spawn_blocking(move || {
//!     let _guard = guard; // until here is left, by a panic too
//!     hash()
//! });
//! # drain.start().await.expect("nothing is cut");
//! # assert_eq!(hashed.await.unwrap(), 7);
//! # }
//! ```
//!
//! For a local task, a task of a `JoinSet`, or anything else that has a spawn function of its own, wrap the future by
//! [`Guard::during`]. Then a forced close drops it.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! # let drain = ebbtide::Drain::new();
//! # let (guard, another) = (drain.guard().expect("running"), drain.guard().expect("running"));
//! # let count = std::rc::Rc::new(7);
//! # let (here, there) = (count.clone(), async { 7 });
//! let (local, mut set) = (tokio::task::LocalSet::new(), tokio::task::JoinSet::new());
//! local.spawn_local(guard.during(async move { *here }));
//! set.spawn(another.during(there));
//! # let drained = drain.start();
//! # local.await;
//! # assert_eq!(set.join_next().await.unwrap().unwrap(), Some(7));
//! # drained.await.expect("nothing is cut");
//! # }
//! ```
//!
//! # The end of the process
//!
//! A runtime that is dropped, as by `#[tokio::main]` after `main`, waits for every `spawn_blocking` and for every task that
//! blocks its thread. It does so without a bound, and also after a forced close. If the process must end in time, shut the
//! runtime down without waiting:
//!
//! ```
//! # async fn serve_and_drain() -> Result<(), ebbtide::Overdue> { Ok(()) }
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let runtime = tokio::runtime::Runtime::new()?;
//! let ended = runtime.block_on(serve_and_drain());
//! runtime.shutdown_background();
//! # Ok(ended?)
//! # }
//! ```

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod bind;
mod detach;
#[cfg(feature = "service")]
mod service;

use std::future::Future;
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

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
#[cfg(feature = "service")]
pub use service::{Service, run};
use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;
use tokio::time::Sleep;

/// Sets a deadline for the drain: waits for its end, and closes it by force after `time`.
///
/// The clock is tokio's, and stands still while tasks block all of its worker threads. Closing the drain from elsewhere,
/// such as by the second signal of `ebbtide-signal`, works all the same.
///
/// # Errors
///
/// [`Overdue`](ebbtide::Overdue): what was cut, if the drain did not end in time.
///
/// # Cancel safety
///
/// Dropping it closes nothing: the drain goes on, without this deadline.
///
/// # Panics
///
/// Outside a tokio runtime with its timer enabled.
pub fn within(drained: Drained, time: Duration) -> Deadline<Sleep> {
    drained.deadline(tokio::time::sleep(time))
}

/// Spawns a task that the drain waits for. A forced close drops it, and its output is `None`.
///
/// The guard is dropped when the task returns, panics or is aborted.
///
/// # Cancel safety
///
/// Dropping the `JoinHandle` detaches the task: it runs on.
///
/// # Panics
///
/// Outside a tokio runtime.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let drain = ebbtide::Drain::new();
/// let guard = drain.guard().expect("running");
/// let task = ebbtide_tokio::spawn(guard, async { 7 });
/// drain.start().await.expect("the task ends by itself");
/// assert_eq!(task.await.unwrap(), Some(7));
/// # }
/// ```
pub fn spawn<F>(guard: Guard, future: F) -> JoinHandle<Option<F::Output>>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(guard.during(future))
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
    L: Listener<Tokio>,
    F: FnMut(L::Stream, Guard) -> Fut,
    Fut: Future<Output: Ended> + Send + 'static,
{
    Serve::new(listener, guard, connection)
}

/// The future of [`serve`].
pub type Serve<L, F> = ebbtide_accept::Serve<Tokio, L, F>;

/// The runtime, as a type parameter of the accept loop.
#[derive(Clone, Copy, Debug)]
pub enum Tokio {}

impl Runtime for Tokio {
    type Sleep = Sleep;

    fn sleep(time: Duration) -> Sleep {
        tokio::time::sleep(time)
    }
}

impl<T: Future<Output: Send> + Send + 'static> Spawn<T> for Tokio {
    fn spawn(task: T) {
        tokio::spawn(task);
    }
}

impl Listener<Tokio> for TcpListener {
    type Stream = TcpStream;
    type Socket = std::net::TcpListener;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        TcpListener::poll_accept(self, cx).map_ok(|(stream, _)| at_once(stream))
    }

    fn into_socket(self) -> io::Result<std::net::TcpListener> {
        self.into_std()
    }

    fn address(&self) -> Option<String> {
        self.local_addr().ok().map(|it| it.to_string())
    }

    fn peer(stream: &TcpStream) -> Peer {
        Peer::tcp(stream.local_addr(), stream.peer_addr())
    }

    fn adopt(stream: std::net::TcpStream) -> io::Result<TcpStream> {
        stream.set_nonblocking(true)?;
        TcpStream::from_std(stream).map(at_once)
    }
}

/// Sets `TCP_NODELAY`, so that small writes are sent at once. If it cannot be set the connection is closed, which its first
/// read shows.
fn at_once(stream: TcpStream) -> TcpStream {
    drop(stream.set_nodelay(true));
    stream
}

#[cfg(unix)]
impl Listener<Tokio> for UnixListener {
    type Stream = UnixStream;
    type Socket = std::os::unix::net::UnixListener;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<UnixStream>> {
        UnixListener::poll_accept(self, cx).map_ok(|(stream, _)| stream)
    }

    fn into_socket(self) -> io::Result<std::os::unix::net::UnixListener> {
        self.into_std()
    }

    fn address(&self) -> Option<String> {
        self.local_addr().ok()?.as_pathname().map(|it| it.display().to_string())
    }

    fn peer(stream: &UnixStream) -> Peer {
        let process = stream.peer_cred().ok().and_then(|it| it.pid());
        Peer::named(process.map_or_else(|| "local".into(), |pid| format!("process {pid}")))
    }

    fn adopt(stream: std::os::unix::net::UnixStream) -> io::Result<UnixStream> {
        stream.set_nonblocking(true)?;
        UnixStream::from_std(stream)
    }
}
