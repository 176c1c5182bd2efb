//! What the streams of HTTP/2 run on.

use std::cell::RefCell;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ebbtide_connection::Tracker;
use hyper::rt::Executor;
use pin_project_lite::pin_project;

/// An executor that runs the streams of HTTP/2 on yours, and sees an upgraded one end.
///
/// hyper tells nobody when such a stream (RFC 9113, section 8.5, and RFC 8441) is over: its handler may have given it to
/// any task. But what it writes is copied by a task of hyper's own, which ends with it, and goes through here.
// That task is begun in the poll of the stream whose response it follows, which is a task of ours too.
#[derive(Clone, Debug)]
pub struct Tasks<E>(E);

thread_local! {
    /// On this thread.
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

/// The stream that is being polled is about to be upgraded, if it is a stream: in HTTP/1 it is the connection, and that
/// is not polled as one of our tasks.
pub(crate) fn upgraded(tracker: &Arc<Tracker>) {
    POLLED.with_borrow_mut(|polled| {
        if let Polling::Task(tunnel @ None) = polled {
            *tunnel = Some(Tunnel(tracker.clone()));
        }
    });
}

/// While it is there, a task of ours is being polled.
struct Polled(Polling);

impl Polled {
    fn new() -> Self {
        // Polled inside another one it is by a waker that runs what it wakes.
        Self(POLLED.replace(Polling::Task(None)))
    }
}

impl Drop for Polled {
    fn drop(&mut self) {
        let left = POLLED.replace(std::mem::replace(&mut self.0, Polling::Nothing));
        // The stream ended before it had its task.
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
    /// A task of hyper's, such as a stream of HTTP/2.
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
