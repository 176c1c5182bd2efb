//! What goes out, in as few pieces as it comes in.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::Poll;

use futures_io::{AsyncRead, AsyncWrite};
use futures_lite::AsyncWriteExt;

/// How much is collected at most.
const PIECE: usize = 8 * 1024;

/// Writes all there is to be read.
///
/// async-h1 hands out a response's head and its body one after the other. Written so, they would be two packets, and the
/// client would be woken for the first. What waits for its source keeps nothing back.
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
                // Half of it is room enough for the next read: async-h1 panics in a few bytes.
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

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::*;

    /// Hands out one after the other, and a pause for each that is empty.
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

    /// Remembers each write.
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
    fn a_head_and_its_body_go_out_together() {
        assert_eq!(sent(&[b"head", b"body"]), [b"headbody"]);
    }

    #[test]
    fn what_is_there_does_not_wait_for_what_is_not() {
        assert_eq!(sent(&[b"head", b"", b"", b"body"]), [b"head", b"body"]);
    }

    #[test]
    fn a_read_has_room() {
        const MOST: &[u8] = &[b'x'; PIECE / 2];
        let lengths = sent(&[b"head", MOST, MOST, b"end"]).iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(lengths, [4 + MOST.len(), MOST.len() + 3]);
    }
}
