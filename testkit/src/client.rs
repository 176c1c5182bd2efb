//! A client of HTTP/1 that shows what was said to it, word for word.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::{Deref, DerefMut};

use crate::wire::{End, Wire};

/// An HTTP/1 client. What is not HTTP is its [`Wire`]'s.
#[derive(Debug)]
pub struct Client<S = TcpStream> {
    wire: Wire<S>,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Response {
    /// Of the status line.
    pub status: u16,
    /// The status line and the fields, as they came.
    pub head: String,
    /// Without its chunks' framing.
    pub body: Vec<u8>,
}

impl Client {
    /// Connects.
    #[must_use]
    pub fn connect(addr: SocketAddr) -> Self {
        Self::reach(addr).expect("it listens")
    }

    /// Connects to what may listen no more.
    ///
    /// # Errors
    ///
    /// Those of `connect`.
    pub fn reach(addr: SocketAddr) -> io::Result<Self> {
        Ok(Self { wire: Wire::connect(addr)? })
    }

    /// An idle connection: one request is answered, the next may come.
    #[must_use]
    pub fn idle(addr: SocketAddr) -> Self {
        let mut client = Self::connect(addr);
        client.get("/hello");
        assert_eq!(client.response().text(), "hello");
        client
    }

    /// The connection for a protocol of its own.
    #[must_use]
    pub fn into_stream(self) -> TcpStream {
        self.wire.into_stream()
    }
}

impl<S: Read + Write> Client<S> {
    /// A client of a connection that is already there.
    pub fn over(stream: S) -> Self {
        Self::on(Wire::over(stream))
    }

    /// A client of a connection on which something was said before.
    pub fn on(wire: Wire<S>) -> Self {
        Self { wire }
    }

    /// Asks, and leaves the connection open.
    pub fn get(&mut self, path: &str) {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"));
    }

    /// Begins an upload of so many bytes: it is in flight until they are sent.
    pub fn begin_upload(&mut self, length: usize) {
        self.send(format!("POST /upload HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n"));
    }

    /// The next response.
    #[track_caller]
    pub fn response(&mut self) -> Response {
        self.answer().unwrap_or_else(|end| panic!("{end} before a complete response"))
    }

    /// The next response, which is to be a success with this body.
    #[track_caller]
    pub fn expect(&mut self, body: &str) -> Response {
        let response = self.response();
        assert_eq!((response.status, response.text()), (200, body));
        response
    }

    /// The end of a request that was cut by force: none of its response, or in place of it a 503 that says close.
    #[track_caller]
    pub fn expect_cut(&mut self) {
        if let Ok(response) = self.answer() {
            assert!(response.is_unavailable(), "an answer though the drain is closed: {:?}", response.head);
            assert!(self.answer().is_err(), "another answer behind the last one");
        }
    }

    /// The next response, which is to be a success with this body, to say close, and to be followed by the end.
    #[track_caller]
    pub fn expect_last(mut self, body: &str) {
        let response = self.expect(body);
        assert!(response.says_close(), "no `Connection: close` with the last response: {:?}", response.head);
        self.expect_fin();
    }

    /// The next response, if it comes: a final one, whatever came before it.
    ///
    /// # Errors
    ///
    /// The end that came before it was complete.
    pub fn answer(&mut self) -> Result<Response, End> {
        let mut response = self.head()?;
        while response.is_interim() {
            response = self.head()?;
        }
        response.body = match (response.header("content-length"), response.header("transfer-encoding")) {
            (Some(length), _) => self.take(length.parse().expect("a number"))?,
            (None, Some(_)) => self.chunks()?,
            (None, None) if response.status == 200 => self.rest(),
            (None, None) => Vec::new(),
        };
        Ok(response)
    }

    /// The next response to a HEAD request, or an interim one: it has no body, whatever it says.
    ///
    /// # Errors
    ///
    /// The end that came before it was complete.
    pub fn head(&mut self) -> Result<Response, End> {
        let head = String::from_utf8(self.take_until("\r\n\r\n")?).expect("ASCII");
        let status = head.strip_prefix("HTTP/1.").and_then(|it| it.get(2..5)).and_then(|it| it.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status line: {head:?}"));
        Ok(Response { status, head, body: Vec::new() })
    }

    fn chunks(&mut self) -> Result<Vec<u8>, End> {
        let mut body = Vec::new();
        loop {
            let line = String::from_utf8(self.take_until("\r\n")?).expect("ASCII");
            let length = usize::from_str_radix(line.trim_end(), 16).expect("a chunk's length");
            body.extend(self.take(length)?);
            assert_eq!(self.take(2)?, b"\r\n", "behind a chunk");
            if length == 0 {
                return Ok(body);
            }
        }
    }

    /// A body that only the connection's end delimits, as in HTTP/1.0.
    fn rest(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        while let Ok(byte) = self.take(1) {
            body.extend(byte);
        }
        body
    }
}

impl<S> Deref for Client<S> {
    type Target = Wire<S>;

    fn deref(&self) -> &Wire<S> {
        &self.wire
    }
}

impl<S> DerefMut for Client<S> {
    fn deref_mut(&mut self) -> &mut Wire<S> {
        &mut self.wire
    }
}

impl Response {
    /// A field's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Whether its head says where the body ends. If not, the body ends with the connection.
    pub(crate) fn is_delimited(&self) -> bool {
        self.status != 200 || self.header("content-length").or(self.header("transfer-encoding")).is_some()
    }

    /// Whether the connection ends with it.
    #[must_use]
    pub fn says_close(&self) -> bool {
        self.header("connection").is_some_and(|it| it.eq_ignore_ascii_case("close"))
    }

    /// Whether it is an interim one that another follows.
    fn is_interim(&self) -> bool {
        (100..200).contains(&self.status) && self.status != 101
    }

    /// Whether it says that the server is about to be gone, and that its client may try again.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        self.status == 503 && self.says_close() && self.header("retry-after").is_some()
    }

    /// The body.
    #[must_use]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8")
    }
}
