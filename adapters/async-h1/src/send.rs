//! Writes a response, head and body in one piece where possible.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncBufRead, AsyncRead, AsyncWrite};
use futures_lite::AsyncWriteExt;
use http_types::headers::CONTENT_TYPE;
use http_types::{Body, Response};

/// The size of the buffer.
const PIECE: usize = 8 * 1024;

/// Copies `from` to `to`, in as few writes as possible.
///
/// async-h1 yields the head and the body of a response one after the other. Written like that, they would be two packets, and
/// the client would be woken for the first. If the source is pending, what has come is written at once.
pub(crate) async fn send<R, W>(mut from: R, to: &mut W) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut piece = vec![0; PIECE];
    loop {
        let (filled, end) = poll_fn(|cx| {
            let mut filled = 0;
            loop {
                // Half of the buffer stays free for a read, since async-h1 panics if there are only a few bytes.
                if filled > PIECE / 2 {
                    return Poll::Ready((filled, None));
                }
                match Pin::new(&mut from).poll_read(cx, &mut piece[filled..]) {
                    Poll::Ready(Ok(0)) => return Poll::Ready((filled, Some(Ok(())))),
                    Poll::Ready(Ok(more)) => filled += more,
                    Poll::Ready(Err(error)) => return Poll::Ready((filled, Some(Err(error)))),
                    Poll::Pending if filled > 0 => return Poll::Ready((filled, None)),
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await;
        to.write_all(&piece[..filled]).await?;
        let Some(end) = end else { continue };
        to.flush().await?;
        return end;
    }
}

/// A body that fails if it ends before its length. The client would read the next response as the rest of it.
#[derive(Debug)]
pub(crate) struct Whole {
    body: Body,
    left: usize,
}

impl Whole {
    /// The response, with such a body if it has a length. http-types truncates a body that is longer.
    pub(crate) fn of(mut response: Response) -> Response {
        let Some(length @ 1..) = response.len() else { return response };
        let has_type = response.header(CONTENT_TYPE).is_some();
        let body = response.take_body();
        response.set_body(Body::from_reader(Self { body, left: length }, Some(length)));
        if !has_type {
            // http-types sets the content type of each body that is put into a response.
            response.remove_header(CONTENT_TYPE);
        }
        response
    }
}

impl AsyncRead for Whole {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let read = ready!(Pin::new(&mut self.body).poll_read(cx, buf))?;
        if read == 0 && self.left > 0 && !buf.is_empty() {
            let error = io::Error::new(io::ErrorKind::UnexpectedEof, "the response's body ended before its length");
            return Poll::Ready(Err(error));
        }
        self.left -= read;
        Poll::Ready(Ok(read))
    }
}

// Not used, but `Body::from_reader` requires it.
impl AsyncBufRead for Whole {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        Pin::new(&mut self.get_mut().body).poll_fill_buf(cx)
    }

    fn consume(mut self: Pin<&mut Self>, bytes: usize) {
        self.left = self.left.saturating_sub(bytes);
        Pin::new(&mut self.body).consume(bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    /// A reader of these pieces, which is pending once for each empty one.
    struct Pieces(Vec<&'static [u8]>);

    impl AsyncRead for Pieces {
        fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
            if self.0.is_empty() {
                return Poll::Ready(Ok(0));
            }
            let piece = self.0.remove(0);
            if piece.is_empty() {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            buf[..piece.len()].copy_from_slice(piece);
            Poll::Ready(Ok(piece.len()))
        }
    }

    /// A writer that keeps each write.
    #[derive(Default)]
    struct Written(Vec<Vec<u8>>);

    impl AsyncWrite for Written {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            self.0.push(buf.into());
            Poll::Ready(Ok(buf.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn sent(pieces: &[&'static [u8]]) -> Vec<Vec<u8>> {
        let mut written = Written::default();
        let mut send = Box::pin(send(Pieces(pieces.into()), &mut written));
        let mut cx = Context::from_waker(Waker::noop());
        while send.as_mut().poll(&mut cx).is_pending() {}
        drop(send);
        written.0
    }

    #[test]
    fn a_head_and_its_body_are_written_together() {
        assert_eq!(sent(&[b"head", b"body"]), [b"headbody"]);
    }

    #[test]
    fn bytes_that_have_come_do_not_wait_for_more() {
        assert_eq!(sent(&[b"head", b"", b"", b"body"]), [b"head", b"body"]);
    }

    #[test]
    fn a_read_has_half_of_the_buffer() {
        const MOST: &[u8] = &[b'x'; PIECE / 2];
        let lengths = sent(&[b"head", MOST, MOST, b"end"]).iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(lengths, [4 + MOST.len(), MOST.len() + 3]);
    }
}
