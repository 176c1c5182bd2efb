//! Connections that go to the successor.

use std::fmt;
use std::future::Future;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;

/// A connection without the process that serves it: a socket, and what the next process has to know of it.
#[derive(Debug)]
pub struct Connection {
    /// The socket. Nothing that belongs to a message may have been read of it.
    pub socket: OwnedFd,
    /// The client, for people. At most 255 bytes are kept.
    pub peer: String,
    /// What the protocol has to remember. It is empty for HTTP/1 between two requests. At most 32 KiB.
    pub state: Vec<u8>,
}

/// The longest [`Connection::state`].
pub(crate) const MOST_STATE: usize = 32 * 1024;

/// The future of [`Giver::give`](crate::Giver::give): whether the successor serves the connection.
///
/// # Errors
///
/// The connection itself, if it stays: there is no successor, the successor has ended, or does not take it.
///
/// # Cancel safety
///
/// If it is dropped, the connection goes on its way all the same. One that would have come back is closed.
#[must_use = "a connection that stays comes back by it"]
pub struct Given(Arc<Slot>);

/// Where the answer arrives.
#[derive(Default)]
pub(crate) struct Slot(Mutex<Answer>);

#[derive(Default)]
enum Answer {
    #[default]
    Unpolled,
    Waiting(Waker),
    There(Result<(), Connection>),
    /// It was returned.
    Gone,
}

impl Given {
    pub(crate) fn new() -> (Self, Arc<Slot>) {
        let slot = Arc::new(Slot::default());
        (Self(slot.clone()), slot)
    }
}

impl Slot {
    pub(crate) fn answer(&self, answer: Result<(), Connection>) {
        let before = std::mem::replace(&mut *self.lock(), Answer::There(answer));
        // Outside the lock: a waker is foreign code.
        if let Answer::Waiting(waker) = before {
            waker.wake();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Answer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Future for Given {
    type Output = Result<(), Connection>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let waker = cx.waker().clone();
        let mut answer = self.0.lock();
        match std::mem::replace(&mut *answer, Answer::Gone) {
            Answer::There(result) => Poll::Ready(result),
            // It was taken, as far as this future can still tell.
            Answer::Gone => Poll::Ready(Ok(())),
            before @ (Answer::Unpolled | Answer::Waiting(_)) => {
                *answer = Answer::Waiting(waker);
                drop(answer);
                drop(before);
                Poll::Pending
            }
        }
    }
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Given").finish_non_exhaustive()
    }
}

/// The connections that come from the predecessor for one listener, as a stream. It ends with the predecessor, or when this
/// process is superseded itself.
///
/// While it exists, the predecessor is told that they are served. So serve all that it yields.
#[must_use = "the connections in it are served by nobody"]
pub struct Adopted(Pin<Box<async_channel::Receiver<Connection>>>);

impl Adopted {
    pub(crate) fn new(connections: async_channel::Receiver<Connection>) -> Self {
        Self(Box::pin(connections))
    }
}

impl Stream for Adopted {
    type Item = Connection;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Connection>> {
        self.0.as_mut().poll_next(cx)
    }
}

impl fmt::Debug for Adopted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Adopted").field("waiting", &self.0.len()).finish()
    }
}
