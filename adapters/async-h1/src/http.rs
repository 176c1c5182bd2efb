//! `Http`: serves connections, with a clock and time limits.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use ebbtide::Guard;
use ebbtide_connection::Bounds;
use ebbtide_connection::{Accepted, Connections, Drive, Error, Tracker};
use futures_io::{AsyncRead, AsyncWrite};
use futures_lite::FutureExt;
use http_types::{Request, Response};

use crate::exchange::exchanges;
use crate::io::Connection;

/// A server of HTTP/1 connections, with upgrades and graceful shutdown.
///
/// Make one, and call [`serve`](Self::serve) for every connection.
#[derive(Clone)]
pub struct Http {
    clock: Clock,
    bounds: Bounds,
    connections: Option<Connections>,
    extends: bool,
}

type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;
type Clock = Arc<dyn Fn(Duration) -> Sleep + Send + Sync>;

impl Http {
    /// HTTP/1 with this clock and the defaults of [`Bounds`]. The clock is `smol::Timer::after`, `async_std::task::sleep` or the
    /// like.
    pub fn new<F: Future + Send + 'static>(sleep: impl Fn(Duration) -> F + Send + Sync + 'static) -> Self {
        let clock = move |time| -> Sleep {
            let sleep = sleep(time);
            Box::pin(async {
                sleep.await;
            })
        };
        Self { clock: Arc::new(clock), bounds: Bounds::default(), connections: None, extends: false }
    }

    /// Sets the time limits of connections.
    pub fn bounds(mut self, bounds: Bounds) -> Self {
        self.bounds = bounds;
        self
    }

    /// Lists every connection in `connections`, to count them, to show them, or to observe their states.
    pub fn connections(mut self, connections: &Connections) -> Self {
        self.connections = Some(connections.clone());
        self
    }

    /// Puts a [`Watcher`](ebbtide::Watcher) and a [`Guard`] into the extensions of every request, and not only of those that
    /// may upgrade.
    ///
    /// Use it for long responses, such as server-sent events or long polls, and for work that goes on after the response.
    pub fn extend_every_request(mut self) -> Self {
        self.extends = true;
        self
    }

    /// Serves one connection until it ends or is upgraded, and shuts it down gracefully once the drain begins.
    ///
    /// The guard goes into the I/O object, so the drain waits until the connection is dropped. Pass the guard alone, or with the
    /// handshake that precedes HTTP: see `ebbtide-rustls`. A request that may upgrade has a [`Watcher`](ebbtide::Watcher) and a
    /// [`Guard`] in its extensions; so has [every other](Self::extend_every_request), if that is set.
    ///
    /// The `poll_close` of `io` must close our direction only, and leave it readable. Sockets of smol do so, and those of
    /// async-std in `ebbtide_async_std::HalfClose`.
    ///
    /// # Errors
    ///
    /// [`Error::Engine`] if the connection fails or the endpoint panics. [`Error::Forced`] if the drain was closed by force.
    /// [`Error::Bound`] if a time limit cut a request or response. A panic ends its connection only; with `panic = "abort"` it
    /// ends the process.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connection, with any request in flight.
    pub fn serve<I, F, Fut, G>(
        &self,
        io: I,
        endpoint: F,
        guard: G,
    ) -> impl Future<Output = Result<(), Error>> + use<I, F, Fut, G>
    where
        I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
        F: Fn(Request) -> Fut,
        Fut: Future<Output = http_types::Result<Response>>,
        G: Into<Accepted>,
    {
        let tracker = Tracker::new(guard, self.bounds, self.connections.as_ref());
        let (clock, extends) = (self.clock.clone(), self.extends);
        async move {
            let connection = Connection::new(io, tracker.clone());
            let mut drive = Drive::new(tracker.clone());
            let mut engine = pin!(contained(exchanges(&connection, &tracker, endpoint, extends)));
            let finish = |_: Pin<&mut _>| connection.finish();
            poll_fn(|cx| drive.poll(engine.as_mut(), cx, finish, |time| clock(time))).await
        }
    }

    /// What a listener does with each of its connections: [`serve`](Self::serve), with a clone of `endpoint`. `io` makes the
    /// stream one that can be served: `ebbtide_async_std::HalfClose`, or `std::convert::identity` on smol.
    ///
    /// It is for the `serve` of a runtime adapter or of a whole service.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use std::convert::identity;
    /// # use http_types::{Request, Response, Result};
    /// # async fn hello(_: Request) -> Result<Response> { unimplemented!() }
    /// # async fn run(http: ebbtide_async_h1::Http, stream: futures_lite::io::Cursor<Vec<u8>>, guard: ebbtide::Guard) {
    /// let mut connection = http.service(identity, hello); // for `serve(listener, guard, connection)`
    /// let served = connection(stream, guard);
    /// # let _ = served.await;
    /// # }
    /// ```
    pub fn service<T, I, F, Fut>(
        self,
        mut io: impl FnMut(T) -> I,
        endpoint: F,
    ) -> impl FnMut(T, Guard) -> Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>
    where
        I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
        F: Fn(Request) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = http_types::Result<Response>> + Send + 'static,
    {
        move |stream, guard| Box::pin(self.serve(io(stream), endpoint.clone(), guard))
    }
}

/// Runs the engine, and makes its panic, or that of an endpoint, an error of the connection.
async fn contained(engine: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    AssertUnwindSafe(engine).catch_unwind().await.unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
        Err(io::Error::other(format!("the connection's task panicked: {}", said.unwrap_or("without a word"))))
    })
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("bounds", &self.bounds).finish_non_exhaustive()
    }
}
