//! The connections of a listener, for tonic's own server.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ebbtide::Guard;
use ebbtide_accept::{Accept, Failure, Listener};
use ebbtide_hyper::Bounds;
use ebbtide_tokio::Tokio;
use futures_core::Stream;

use crate::guarded::Guarded;

/// The connections of a listener, each with a guard of the drain, for those who stay with `tonic::transport::Server`: a stream
/// for its `serve_with_incoming_shutdown`.
///
/// It ends when the drain has begun and its queue is empty; that ends the server. So the server needs no signal of its own:
/// [`pending`](std::future::pending) is one, and with another it would reset who is queued.
///
/// ```no_run
/// use std::{future::pending, time::Duration};
/// use ebbtide::Drain;
/// use ebbtide_signal::{Signals, escalate};
/// use ebbtide_tonic::Incoming;
/// use tonic::transport::Server;
///
/// # async fn run(
/// #     listener: tokio::net::TcpListener, routes: tonic::service::Routes,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// let drain = Drain::new();
/// let incoming = Incoming::new(listener, drain.guard().expect("nothing has started it yet"));
/// escalate(drain.clone(), Signals::new()?);
///
/// let server = Server::builder().add_routes(routes).serve_with_incoming_shutdown(incoming, pending());
/// let ending = async {
///     drain.watcher().await; // a signal
///     ebbtide_tokio::within(drain.start(), Duration::from_secs(30)).await // Err says how many were cut
/// };
/// let (served, ended) = tokio::join!(server, ending);
/// served?;
/// Ok(ended?)
/// # }
/// ```
///
/// # What is promised this way
///
/// - Every connection is waited for, and has its peer's address for a label: [`Drain::held`](ebbtide::Drain::held).
/// - Connections in the kernel's queue are served, and newcomers are refused, as by `ebbtide_tokio::serve`.
/// - A forced close ends every connection: its reads and writes fail.
/// - In a drain, a client that does not send the first 24 bytes of its connection (HTTP/2's preface) is cut. That is after
///   [`Bounds::silent`] if it has sent nothing, and else after [`Bounds::preface`]. (hyperium/hyper#4170.)
///
/// # What is not
///
/// All else is tonic's server's. [`serve`](crate::serve()) has what is missing:
///
/// - Bounds for a client that does not answer the PING between the two GOAWAYs, does not read, or stops in a TLS handshake. Each
///   holds the drain until its deadline, or until tonic's `http2_keepalive_interval` finds it gone.
/// - A lame duck time in which connections are told one by one. (One for all is a `sleep` before `drain.start()`.)
/// - News of the drain in requests: give your services a [`Watcher`](ebbtide::Watcher), or put one into the extensions by an
///   interceptor, for [`RequestExt::draining`](crate::RequestExt::draining) to find.
/// - Calls that are told with their paths when they are cut: what is told here is connections.
/// - HTTP/1 (`accept_http1`): an idle connection is closed at once, with a request that is on its way.
///
/// With `serve_with_incoming`, which has no signal, connections are not even told by GOAWAY: each stays until its client
/// goes, or until the deadline.
#[must_use = "a server is to be given it"]
pub struct Incoming<L: Listener<Tokio>> {
    accept: Accept<Tokio, L>,
    bounds: Bounds,
}

impl<L: Listener<Tokio>> Incoming<L> {
    /// The connections of tokio's `TcpListener` or `UnixListener`, until the drain of `guard` begins.
    pub fn new(listener: L, guard: Guard) -> Self {
        Self { accept: Accept::new(listener, guard), bounds: crate::bounds() }
    }

    /// Waits for the preface no longer than these say, by [`silent`](Bounds::silent) and [`preface`](Bounds::preface). The others
    /// are not used.
    pub fn bounds(mut self, bounds: Bounds) -> Self {
        self.bounds = bounds;
        self
    }

    /// Has no more than so many connections at a time. More of them wait in the kernel's queue.
    ///
    /// # Panics
    ///
    /// If `most` is 0.
    #[track_caller]
    pub fn max_connections(mut self, most: usize) -> Self {
        self.accept.max_connections(most);
        self
    }

    /// Leaves the listening socket, and who waits in its queue, to its other owners when the drain begins.
    pub fn shared(mut self) -> Self {
        self.accept.shared();
        self
    }

    /// Tells of errors of accepting. Default: nobody is told but by tonic's own `tracing`.
    pub fn on_error(mut self, told: impl Fn(&Failure<'_>) + Send + Sync + 'static) -> Self {
        self.accept.on_error(told);
        self
    }
}

// Nothing in it is pinned where it lies.
impl<L: Listener<Tokio>> Unpin for Incoming<L> {}

impl<L: Listener<Tokio>> Stream for Incoming<L> {
    type Item = io::Result<Guarded<L::Stream>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let accepted = ready!(self.accept.poll_next(cx)).transpose();
        Poll::Ready(accepted.map(|accepted| accepted.map(|(io, guard)| Guarded::new(io, guard, self.bounds))))
    }
}

impl<L: Listener<Tokio>> fmt::Debug for Incoming<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").field("accept", &self.accept).finish_non_exhaustive()
    }
}
