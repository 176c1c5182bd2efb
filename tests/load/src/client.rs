//! One HTTP/1.1 connection of a client that knows what it has written and what it has read.

use std::io::{self, ErrorKind};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection.
#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    read: Vec<u8>,
}

/// A whole response.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Response {
    /// Its status.
    pub(crate) status: u16,
    /// Whether it said `Connection: close`.
    pub(crate) close: bool,
}

/// An answer that takes longer counts as none.
const PATIENCE: Duration = Duration::from_secs(10);

impl Client {
    /// On a stream.
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, read: Vec::new() }
    }

    /// Connects.
    pub(crate) async fn connect(addr: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        Ok(Self::new(stream))
    }

    /// Whether the server's end, FIN or reset, is here already. Asked of the kernel, which knows before the reactor does.
    pub(crate) fn is_over(&self) -> bool {
        let peeked = SockRef::from(&self.stream).peek(&mut [MaybeUninit::uninit()]);
        !matches!(peeked, Err(error) if error.kind() == ErrorKind::WouldBlock)
    }

    /// Writes bytes.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Reads a whole response; an end before its last byte is an error.
    pub(crate) async fn response(&mut self) -> io::Result<Response> {
        let response = async {
            loop {
                if let Some((response, length)) = parse(&self.read)? {
                    self.read.drain(..length);
                    return Ok(response);
                }
                if self.stream.read_buf(&mut self.read).await? == 0 {
                    return Err(ErrorKind::UnexpectedEof.into());
                }
            }
        };
        tokio::time::timeout(PATIENCE, response).await?
    }

    /// Reads so many bytes.
    pub(crate) async fn bytes<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        while self.read.len() < N {
            if self.stream.read_buf(&mut self.read).await? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        let mut bytes = [0; N];
        bytes.copy_from_slice(&self.read[..N]);
        self.read.drain(..N);
        Ok(bytes)
    }

    /// Reads to the end; a FIN is one, a reset is an error.
    pub(crate) async fn end(&mut self) -> io::Result<()> {
        let mut space = [0; 4096];
        while self.stream.read(&mut space).await? > 0 {}
        Ok(())
    }
}

/// A request without a body.
pub(crate) fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: load\r\n\r\n").into_bytes()
}

/// The first response and its length. All that is asked for here has a `Content-Length` or no body.
fn parse(bytes: &[u8]) -> io::Result<Option<(Response, usize)>> {
    let Some(head) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let text = std::str::from_utf8(&bytes[..head]).map_err(|_| ErrorKind::InvalidData)?;
    let status = text.get(9..12).and_then(|status| status.parse().ok()).ok_or(ErrorKind::InvalidData)?;
    let (mut body, mut close) = (0, false);
    for (name, value) in text.lines().filter_map(|line| line.split_once(": ")) {
        if name.eq_ignore_ascii_case("content-length") {
            body = value.parse().map_err(|_| ErrorKind::InvalidData)?;
        } else if name.eq_ignore_ascii_case("connection") {
            close = value.eq_ignore_ascii_case("close");
        }
    }
    let length = head + 4 + body;
    Ok((bytes.len() >= length).then_some((Response { status, close }, length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_whole_with_its_last_byte() {
        let bytes = b"HTTP/1.1 200 OK\r\nConnection: close\r\ncontent-length: 5\r\n\r\nhello";
        let (response, length) = parse(bytes).unwrap().unwrap();
        assert_eq!((response.status, response.close, length), (200, true, bytes.len()));
        assert!(parse(&bytes[..bytes.len() - 1]).unwrap().is_none());
    }
}
