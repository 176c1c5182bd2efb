//! Graceful shutdown on a runtime of one's own: its clock, tasks and listeners for ebbtide.
//!
//! The [runtime](toy) is small enough to be read. The rest of this crate is what an author of an adapter writes, in the
//! shape that every adapter has.
//!
//! ```
//! use std::time::Duration;
//! use ebbtide::Drain;
//! use ebbtide_toy::toy::{self, net::TcpListener};
//! use futures_lite::AsyncWriteExt;
//!
//! # fn main() -> std::io::Result<()> { toy::block_on(async {
//! let drain = Drain::new();
//! let guard = drain.guard().expect("running");
//! let listener = TcpListener::bind("127.0.0.1:0")?;
//!
//! let server = toy::spawn(ebbtide_toy::serve(listener, guard, |mut stream, guard| async move {
//!     let _ = stream.write_all(b"hello\n").await;
//!     drop(guard); // the connection is done
//! }));
//!
//! let drained = drain.start();
//! ebbtide_toy::within(drained, Duration::from_secs(10)).await.expect("nothing was cut");
//! server.await.expect("it does not panic")?;
//! # Ok(())
//! # }) }
//! ```
//!
//! | what | is the toy's |
//! |---|---|
//! | [`within`] | clock: a deadline for the drain |
//! | [`spawn`] | tasks: one that the drain waits for, and that a forced close drops |
//! | [`serve`] | listeners: the accept loop, which loses no connection |
//!
//! HTTP on top of it is `ebbtide-hyper`, with [`Executor`] and [`Timer`]: the streams are hyper's I/O as they are. Or
//! `ebbtide-async-h1`, for they are that of `futures-io` too.

mod hyper;
pub mod toy;

use std::future::Future;
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use ebbtide::{Deadline, Drained, Guard};
use ebbtide_accept::{Ended, Listener, Runtime, Spawn};
pub use ebbtide_accept::{Failure, Peer};
pub use hyper::{Executor, Timer};
use toy::net::{TcpListener, TcpStream};
use toy::{JoinHandle, Sleep};

/// Waits for the end of the drain, but no longer than `time`: then it closes by force.
///
/// # Errors
///
/// [`Overdue`](ebbtide::Overdue): what was still held when time was up.
///
/// # Cancel safety
///
/// Dropping it closes nothing: the drain goes on, without this deadline.
pub fn within(drained: Drained, time: Duration) -> Deadline<Sleep> {
    drained.deadline(toy::sleep(time))
}

/// Spawns a task that the drain waits for. A forced close drops it, and its output is `None`; a return and a panic
/// release the guard alike.
///
/// # Panics
///
/// Outside [`toy::block_on`].
///
/// # Examples
///
/// ```
/// # ebbtide_toy::toy::block_on(async {
/// let drain = ebbtide::Drain::new();
/// let guard = drain.guard().expect("running");
/// let task = ebbtide_toy::spawn(guard, async { 7 });
/// drain.start().await.expect("the task ends by itself");
/// assert_eq!(task.await, Ok(Some(7)));
/// # });
/// ```
pub fn spawn<F>(guard: Guard, future: F) -> JoinHandle<Option<F::Output>>
where
    F: Future + 'static,
    F::Output: 'static,
{
    toy::spawn(guard.during(future))
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
    L: Listener<Toy>,
    F: FnMut(L::Stream, Guard) -> Fut,
    Fut: Future<Output: Ended> + 'static,
{
    Serve::new(listener, guard, connection)
}

/// The future of [`serve`].
pub type Serve<L, F> = ebbtide_accept::Serve<Toy, L, F>;

/// The runtime, to the accept loop.
#[derive(Clone, Copy, Debug)]
pub enum Toy {}

impl Runtime for Toy {
    type Sleep = Sleep;

    fn sleep(time: Duration) -> Sleep {
        toy::sleep(time)
    }
}

impl<T: Future<Output: 'static> + 'static> Spawn<T> for Toy {
    fn spawn(task: T) {
        drop(toy::spawn(task));
    }
}

impl Listener<Toy> for TcpListener {
    type Stream = TcpStream;
    type Socket = std::net::TcpListener;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        TcpListener::poll_accept(self, cx).map_ok(at_once)
    }

    fn into_socket(self) -> io::Result<std::net::TcpListener> {
        Ok(self.into_std())
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
