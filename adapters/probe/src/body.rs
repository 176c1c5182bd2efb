//! The body of an answer.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures_io::{AsyncBufRead, AsyncRead};
use http_body::{Frame, SizeHint};

use crate::events::Events;

/// The body of an answer: a text, or a stream of events. It is a body of `http-body`, for hyper and axum, and a reader of
/// futures-io, for async-h1.
///
/// # Cancel safety
///
/// Dropping it loses nothing.
#[must_use = "a body does nothing unless it is read"]
pub struct Body {
    /// What has been made and not been read.
    ready: Bytes,
    events: Option<Box<Events>>,
}

impl Body {
    pub(crate) fn of(text: impl Into<Bytes>) -> Self {
        Self { ready: text.into(), events: None }
    }

    pub(crate) fn events(events: Events) -> Self {
        Self { ready: Bytes::new(), events: Some(Box::new(events)) }
    }

    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if !self.ready.is_empty() {
            return Poll::Ready(Some(std::mem::take(&mut self.ready)));
        }
        let Some(events) = &mut self.events else { return Poll::Ready(None) };
        let next = ready!(events.poll_next(cx));
        if next.is_none() {
            // So that its place is free before the body is dropped.
            self.events = None;
        }
        Poll::Ready(next)
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.poll_bytes(cx).map(|it| it.map(|it| Ok(Frame::data(it))))
    }

    fn is_end_stream(&self) -> bool {
        self.ready.is_empty() && self.events.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        if self.events.is_some() { SizeHint::default() } else { SizeHint::with_exact(self.ready.len() as u64) }
    }
}

impl AsyncBufRead for Body {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        if this.ready.is_empty() {
            if let Some(bytes) = ready!(this.poll_bytes(cx)) {
                this.ready = bytes;
            }
        }
        Poll::Ready(Ok(&this.ready))
    }

    fn consume(mut self: Pin<&mut Self>, amount: usize) {
        self.ready.advance(amount);
    }
}

impl AsyncRead for Body {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let bytes = ready!(self.as_mut().poll_fill_buf(cx))?;
        let length = bytes.len().min(buf.len());
        buf[..length].copy_from_slice(&bytes[..length]);
        self.consume(length);
        Poll::Ready(Ok(length))
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("ready", &self.ready.len()).field("is_stream", &self.events.is_some()).finish()
    }
}
