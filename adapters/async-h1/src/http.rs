//! How connections are served: a clock, and the bounds of the drain.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

#[cfg(doc)]
use ebbtide::Guard;
use ebbtide_connection::Bounds;
use ebbtide_connection::{Accepted, Connections, Drive, Error, Tracker};
use futures_io::{AsyncRead, AsyncWrite};
use futures_lite::FutureExt;
use http_types::{Request, Response};

use crate::exchange::exchanges;
use crate::io::Connection;

/// Serves HTTP/1 connections that end well, upgrades included.
///
/// Make one, keep it, and call [`serve`](Self::serve) for every connection.
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
    /// HTTP/1 by this clock, with the defaults of [`Bounds`]: `smol::Timer::after` is one, and `async_std::task::sleep`.
    pub fn new<F: Future + Send + 'static>(sleep: impl Fn(Duration) -> F + Send + Sync + 'static) -> Self {
        let clock = move |time| -> Sleep {
            let sleep = sleep(time);
            Box::pin(async {
                sleep.await;
            })
        };
        Self { clock: Arc::new(clock), bounds: Bounds::default(), connections: None, extends: false }
    }

    /// The same, with other bounds.
    pub fn bounds(mut self, bounds: Bounds) -> Self {
        self.bounds = bounds;
        self
    }

    /// The same, with every connection kept in `connections`: for whoever wants to count them, list them, or hear how
    /// they change.
    pub fn connections(mut self, connections: &Connections) -> Self {
        self.connections = Some(connections.clone());
        self
    }

    /// The same, with a [`Watcher`](ebbtide::Watcher) and a [`Guard`] in the extensions of every request, and not only of
    /// those that may upgrade: for endpoints that answer for long, such as with server-sent events or long polls, or work
    /// on after the response.
    pub fn extend_every_request(mut self) -> Self {
        self.extends = true;
        self
    }

    /// Serves one connection until it ends or is upgraded, and ends it well once the drain begins.
    ///
    /// The guard of the connection goes into the I/O object: the drain waits until nobody has the connection any more. It
    /// comes alone, or with the handshake that precedes HTTP: see `ebbtide-rustls`. A
    /// request that may upgrade finds a [`Watcher`](ebbtide::Watcher) and a [`Guard`] in its extensions, and so does
    /// [every other](Self::extend_every_request), if that is asked for.
    ///
    /// `io` is to write its end when it is closed, and to be readable still: sockets of smol do so, and those of
    /// async-std in `ebbtide_async_std::HalfClose`.
    ///
    /// # Errors
    ///
    /// What went wrong with the connection, or that the drain was closed by force meanwhile. A panic of the endpoint or of
    /// async-h1 is an error, too, with what it said: it ends its connection and nothing else. (With `panic = "abort"` it
    /// ends the process, and no drain is of any help.)
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
}

/// A panic of the engine or of an endpoint ends its connection, and is the connection's error.
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
