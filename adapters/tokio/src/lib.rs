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
//! | [`spawn`] | tasks: one that the drain waits for, and that a forced close drops |
//! | [`serve`] | listeners: the accept loop, which loses no connection |
//!
//! A protocol of your own reads by [`grace`](ebbtide::Watcher::grace), whose clock is `tokio::time::sleep`: so what a
//! client had sent before the drain is answered.
//!
//! HTTP on top of it is `ebbtide-hyper`.
//!
//! # Tasks of other kinds
//!
//! A guard goes wherever the work goes. Into the closure of a blocking task, which nothing can cut: after a forced close it
//! runs on, and [`Guard::state`] tells it so.
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
//! Around the future of a local task, a task of a `JoinSet`, or whatever else has a spawn of its own: a forced close drops
//! the future then.
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
//! A runtime that is dropped, as `#[tokio::main]` does behind `main`, waits for every `spawn_blocking` and for every task
//! that blocks its thread: without a bound, and also after a forced close. Once the drain has closed there is nothing
//! left to wait for, so a process that is to end in time says so:
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
#[cfg(feature = "service")]
mod service;

use std::future::Future;
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use ebbtide::{Deadline, Drained, Guard};
use ebbtide_accept::{Ended, Listener, Runtime, Spawn};
pub use bind::bind;
pub use ebbtide_accept::{Failure, Peer};
#[cfg(feature = "service")]
pub use ebbtide_service::{Event, Obstacle, Outcome, Part, PartError, Readiness, StartError};
#[cfg(feature = "service")]
pub use service::{Service, run};
use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;
use tokio::time::Sleep;

/// Waits for the end of the drain, but no longer than `time`: then it closes by force.
///
/// The clock is tokio's, and stands still while tasks block all of its worker threads. Closing the drain from elsewhere,
/// such as by the second signal of `ebbtide-signal`, works all the same.
///
/// # Errors
///
/// [`Overdue`](ebbtide::Overdue): what was still held when time was up.
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

/// Spawns a task that the drain waits for. A forced close drops it, and its output is `None`; a return, a panic and an
/// abort release the guard alike.
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
    L: Listener<Tokio>,
    F: FnMut(L::Stream, Guard) -> Fut,
    Fut: Future<Output: Ended> + Send + 'static,
{
    Serve::new(listener, guard, connection)
}

/// The future of [`serve`].
pub type Serve<L, F> = ebbtide_accept::Serve<Tokio, L, F>;

/// The runtime, to the accept loop.
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

/// Has small writes sent when they are made, such as the last words of a connection. Where it cannot be set the
/// connection is gone, which its first read tells.
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
