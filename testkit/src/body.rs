//! A response's body, for whatever asks for it.

use std::future::Future;
use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_io::{AsyncBufRead, AsyncRead};

use crate::application::Exchange;

/// The body of a [`Reply`](crate::Reply), with the exchange in it: a stream of its pieces, or a reader.
#[derive(Debug)]
pub struct Body {
    /// The next one last.
    pieces: Vec<Piece>,
    exchange: Exchange,
    /// What a reader has not taken yet of a piece.
    piece: io::Cursor<Vec<u8>>,
}

#[derive(Debug)]
pub(crate) enum Piece {
    Text(String),
    Repeated(u64),
    Gate,
}

/// What is sent at a time of a body that is long.
const LONG: usize = 64 * 1024;

impl Piece {
    /// `None` if it should not be known.
    pub(crate) fn length(&self) -> Option<u64> {
        match self {
            Self::Text(text) => Some(text.len() as u64),
            Self::Repeated(length) => Some(*length),
            Self::Gate => None,
        }
    }
}

impl Body {
    pub(crate) fn new(pieces: Vec<Piece>, exchange: Exchange) -> Self {
        Self { pieces, exchange, piece: io::Cursor::default() }
    }
}

impl Stream for Body {
    type Item = Vec<u8>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Vec<u8>>> {
        loop {
            match self.pieces.pop() {
                Some(Piece::Text(text)) => return Poll::Ready(Some(text.into_bytes())),
                Some(Piece::Repeated(0)) => {}
                Some(Piece::Repeated(length)) => {
                    let piece = usize::try_from(length).unwrap_or(LONG).min(LONG);
                    self.pieces.push(Piece::Repeated(length - piece as u64));
                    return Poll::Ready(Some(vec![b'x'; piece]));
                }
                Some(Piece::Gate) => {
                    if Pin::new(&mut self.exchange.gate).poll(cx).is_pending() {
                        self.pieces.push(Piece::Gate);
                        return Poll::Pending;
                    }
                }
                None => {
                    // Its last byte is on its way: nothing is in flight from here.
                    self.exchange.guard = None;
                    return Poll::Ready(None);
                }
            }
        }
    }
}

impl AsyncBufRead for Body {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        let at = usize::try_from(this.piece.position()).unwrap_or(usize::MAX);
        if at >= this.piece.get_ref().len() {
            let next = ready!(Pin::new(&mut *this).poll_next(cx));
            this.piece = io::Cursor::new(next.unwrap_or_default());
        }
        let at = usize::try_from(this.piece.position()).unwrap_or(usize::MAX);
        Poll::Ready(Ok(&this.piece.get_ref()[at..]))
    }

    fn consume(mut self: Pin<&mut Self>, amount: usize) {
        let at = self.piece.position() + amount as u64;
        self.piece.set_position(at);
    }
}

impl AsyncRead for Body {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        ready!(self.as_mut().poll_fill_buf(cx))?;
        Poll::Ready(self.piece.read(buf))
    }
}

#[cfg(test)]
mod tests {
    use futures_lite::{AsyncReadExt, StreamExt, future::block_on};

    use crate::application::Application;

    #[test]
    fn a_body_reads_as_it_streams_and_nothing_is_in_flight_behind_it() {
        let application = Application::new();
        application.release();
        for (path, length) in [("/hello", 5), ("/stream", 10), ("/big", Application::BIG)] {
            let body = || block_on(application.request("GET", path).reply()).body;
            let (mut streamed, mut read, mut reader) = (Vec::new(), Vec::new(), body());
            block_on(body().for_each(|piece| streamed.extend(piece)));
            block_on(reader.read_to_end(&mut read)).unwrap();
            assert!(read == streamed && read.len() as u64 == length, "{path}: {} and {}", read.len(), streamed.len());
            assert_eq!(application.in_flight(), 0, "{path}");
        }
    }
}
