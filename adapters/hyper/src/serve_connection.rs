//! `ServeConnection`: the future of one connection.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use ebbtide_connection::{Drive, Error, Tracker};
use hyper::rt::Sleep;
use pin_project_lite::pin_project;

use crate::engine::Engine;

pub(crate) type Clock = Arc<dyn hyper::rt::Timer + Send + Sync>;

pin_project! {
    /// The future of [`Http::serve`](crate::Http::serve): one connection, from its first byte to its end or its upgrade.
    ///
    /// # Cancel safety
    ///
    /// Dropping it closes the connection, with any request in flight.
    #[must_use = "futures do nothing unless polled"]
    pub struct ServeConnection<C> {
        // Dropped first, and the I/O with it.
        #[pin]
        engine: Option<C>,
        // None once the connection is over, so that its guard is dropped then, and not with this future.
        drive: Option<(Drive<Pin<Box<dyn Sleep>>>, Clock)>,
    }
}

impl<C> ServeConnection<C> {
    pub(crate) fn new(engine: C, tracker: Arc<Tracker>, clock: Clock) -> Self {
        Self { engine: Some(engine), drive: Some((Drive::new(tracker), clock)) }
    }
}

impl<C: Engine> Future for ServeConnection<C> {
    type Output = Result<(), Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let (Some(engine), Some((drive, clock))) = (this.engine.as_mut().as_pin_mut(), this.drive.as_mut()) else {
            return Poll::Ready(Ok(()));
        };
        let end = ready!(drive.poll(engine, cx, Engine::finish, |time| clock.sleep(time)));
        this.engine.set(None);
        *this.drive = None;
        Poll::Ready(end)
    }
}

impl<C> fmt::Debug for ServeConnection<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServeConnection").finish_non_exhaustive()
    }
}
