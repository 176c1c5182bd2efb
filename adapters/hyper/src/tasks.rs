//! `Tasks`: the executor for the streams of HTTP/2.

use std::cell::RefCell;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ebbtide_connection::Tracker;
use hyper::rt::Executor;
use pin_project_lite::pin_project;

/// An executor that spawns the streams of HTTP/2 on yours, and notices when an upgraded stream ends.
///
/// hyper does not report the end of an upgraded stream (RFC 9113, section 8.5, and RFC 8441). Its handler may have moved it to
/// any task. But a task of hyper's own copies what is written to it. That task ends with the stream, and is spawned here.
// It is spawned in the poll of the stream whose response it follows, which is a task of ours, too.
#[derive(Clone, Debug)]
pub struct Tasks<E>(E);

thread_local! {
    /// Which task of ours is being polled on this thread.
    static POLLED: RefCell<Polling> = const { RefCell::new(Polling::Nothing) };
}

enum Polling {
    Nothing,
    /// A task of ours, and the stream that it has upgraded.
    Task(Option<Tunnel>),
}

/// An upgraded stream.
#[derive(Debug)]
struct Tunnel(Arc<Tracker>);

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.0.tunnel_ended();
    }
}

/// Notes that the stream which is being polled is about to be upgraded. On HTTP/1 it does nothing: there the connection is
/// polled, which is not one of our tasks.
pub(crate) fn upgraded(tracker: &Arc<Tracker>) {
    POLLED.with_borrow_mut(|polled| {
        if let Polling::Task(tunnel @ None) = polled {
            *tunnel = Some(Tunnel(tracker.clone()));
        }
    });
}

/// Marks that a task of ours is being polled, until it is dropped.
struct Polled(Polling);

impl Polled {
    fn new() -> Self {
        // Inside the poll of another task, if a waker polls inline.
        Self(POLLED.replace(Polling::Task(None)))
    }
}

impl Drop for Polled {
    fn drop(&mut self) {
        let left = POLLED.replace(std::mem::replace(&mut self.0, Polling::Nothing));
        // If a tunnel is left, the stream ended before its task was spawned.
        drop(left);
    }
}

impl<E> Tasks<E> {
    pub(crate) fn new(inner: E) -> Self {
        Self(inner)
    }
}

impl<E, F> Executor<F> for Tasks<E>
where
    E: Executor<Task<F>>,
{
    fn execute(&self, future: F) {
        let tunnel = POLLED.with_borrow_mut(|polled| match polled {
            Polling::Task(tunnel) => tunnel.take(),
            Polling::Nothing => None,
        });
        self.0.execute(Task { future, tunnel });
    }
}

pin_project! {
    /// A task that hyper spawns, such as a stream of HTTP/2.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Task<F> {
        #[pin]
        future: F,
        tunnel: Option<Tunnel>,
    }
}

impl<F: Future> Future for Task<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let polled = {
            let _polled = Polled::new();
            this.future.poll(cx)
        };
        if polled.is_ready() {
            *this.tunnel = None;
        }
        polled
    }
}
