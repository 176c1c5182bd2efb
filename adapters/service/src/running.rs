//! A service that is awaited, or no longer.

use std::future::Future;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ebbtide::Drain;

use crate::life::Life;
use crate::outcome::Outcome;
use crate::runtime::Runtime;

/// A service that runs, in the task that awaits it: on some runtimes, parts that block can keep spawned tasks from running.
pub(crate) struct Running<R: Runtime> {
    life: Option<Pin<Box<dyn Future<Output = Outcome> + Send>>>,
    drain: Drain,
    runtime: PhantomData<fn() -> R>,
}

impl<R: Runtime> Running<R> {
    pub(crate) fn new(life: Life, drain: Drain) -> Self {
        Self { life: Some(Box::pin(life.live::<R>())), drain, runtime: PhantomData }
    }
}

impl<R: Runtime> Future for Running<R> {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let Some(life) = &mut self.life else { return Poll::Pending };
        let outcome = ready!(life.as_mut().poll(cx));
        self.life = None;
        Poll::Ready(outcome)
    }
}

impl<R: Runtime> Drop for Running<R> {
    fn drop(&mut self) {
        let Some(life) = self.life.take() else { return };
        drop(self.drain.start_because("nobody runs the service any more"));
        // Without its runtime there is no background to go on in: tokio panics then.
        drop(catch_unwind(AssertUnwindSafe(|| R::spawn(Box::pin(async { drop(life.await) })))));
    }
}
