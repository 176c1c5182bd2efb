//! A client of HTTP/2, frame by frame (RFC 9113).

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::wire::{End, Wire};

/// What every connection begins with (RFC 9113, section 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// An HTTP/2 client with some streams.
#[derive(Debug)]
pub struct Client<S = TcpStream> {
    wire: Wire<S>,
    next: u32,
    answers_pings: bool,
    /// The PINGs that came, answered or not.
    pub pings: Vec<Vec<u8>>,
    /// The GOAWAYs that came.
    pub goaways: Vec<Goaway>,
    streams: Vec<Stream>,
}

/// The server's news that it will take no more streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Goaway {
    /// The last stream that it has taken, or will.
    pub last: u32,
    /// Why: 0 is no error.
    pub code: u32,
}

/// The last stream of a GOAWAY that only warns (RFC 9113, section 6.8).
pub const EVERY_STREAM: u32 = 0x7fff_ffff;

#[derive(Debug)]
struct Stream {
    id: u32,
    ok: bool,
    body: Vec<u8>,
    ended: bool,
    reset: Option<u32>,
}

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;

const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

impl Client {
    /// Connects, with the preface and settings that change nothing.
    #[must_use]
    pub fn connect(addr: SocketAddr) -> Self {
        Self::begin(Wire::connect(addr).expect("it listens"), PREFACE)
    }
}

impl<S: Read + Write> Client<S> {
    /// Sends what is missing of the preface, and settings that change nothing.
    pub fn begin(mut wire: Wire<S>, preface: &[u8]) -> Self {
        wire.send(preface);
        let (pings, goaways, streams) = (Vec::new(), Vec::new(), Vec::new());
        let mut client = Self { wire, next: 1, answers_pings: true, pings, goaways, streams };
        client.send(SETTINGS, 0, 0, &[]);
        client
    }

    /// Leaves PINGs unanswered from now on.
    pub fn ignore_pings(&mut self) {
        self.answers_pings = false;
    }

    /// Answers the PINGs that came.
    pub fn answer_pings(&mut self) {
        self.answers_pings = true;
        for ping in std::mem::take(&mut self.pings) {
            self.send(PING, ACK, 0, &ping);
        }
    }

    /// Opens a stream that asks for this path. Returns its number.
    pub fn get(&mut self, path: &str) -> u32 {
        // Indices of the static table: RFC 7541, appendix A.
        self.open(&[0x82], path, END_STREAM)
    }

    /// The same, if the server still reads.
    ///
    /// # Errors
    ///
    /// Those of `write`.
    pub fn offer_get(&mut self, path: &str) -> io::Result<u32> {
        self.offer_open(&[0x82], path, END_STREAM)
    }

    /// Opens a stream that begins an upload. Returns its number.
    pub fn begin_upload(&mut self) -> u32 {
        self.open(&[0x83], "/upload", 0)
    }

    /// Opens a stream that asks for a tunnel (RFC 9113, section 8.5). Returns its number.
    pub fn tunnel(&mut self) -> u32 {
        let id = self.next;
        self.next += 2;
        self.send(HEADERS, END_HEADERS, id, b"\x02\x07CONNECT\x01\x04test");
        id
    }

    /// Sends the last bytes of an upload.
    pub fn end_upload(&mut self, stream: u32, bytes: &[u8]) {
        self.send(DATA, END_STREAM, stream, bytes);
    }

    /// Gives a stream up.
    pub fn reset(&mut self, stream: u32) {
        // CANCEL: RFC 9113, section 7.
        self.send(RST_STREAM, 0, stream, &8_u32.to_be_bytes());
    }

    /// The body of a stream's response, once that has ended.
    #[track_caller]
    pub fn response(&mut self, id: u32) -> String {
        self.answer(id).unwrap_or_else(|end| panic!("{end} before the response of stream {id}"))
    }

    /// The body of a stream's response, if it comes to its end.
    ///
    /// # Errors
    ///
    /// The connection's end that came before it.
    #[track_caller]
    pub fn answer(&mut self, id: u32) -> Result<String, End> {
        loop {
            if let Some(at) = self.streams.iter().position(|it| it.id == id && it.ended) {
                let stream = self.streams.swap_remove(at);
                assert!(stream.ok, "stream {id} is not answered by 200 and its end");
                return Ok(String::from_utf8(stream.body).expect("text"));
            }
            self.frame()?;
        }
    }

    /// Reads on until so many GOAWAYs have come.
    pub fn until_goaways(&mut self, count: usize) {
        while self.goaways.len() < count {
            self.frame().unwrap_or_else(|end| panic!("{end} after {} of {count} GOAWAYs", self.goaways.len()));
        }
    }

    /// Reads on until the server has answered our settings, and so has the connection.
    pub fn until_settled(&mut self) {
        while self.frame().expect("settings") != (SETTINGS, ACK) {}
    }

    /// The connection's end, whatever comes before it, which is to be in order.
    #[track_caller]
    pub fn expect_fin(&mut self) {
        let end = self.end();
        assert!(end == End::Fin, "{end} where it was to end in order");
    }

    /// The connection's end, whatever comes before it.
    pub fn end(&mut self) -> End {
        loop {
            if let Err(end) = self.frame() {
                return end;
            }
        }
    }

    /// Whether a stream was heard of: a byte of its response, or its reset.
    #[must_use]
    pub fn knows(&self, id: u32) -> bool {
        self.streams.iter().any(|it| it.id == id)
    }

    /// The code that the server has reset a stream with: 7 is `REFUSED_STREAM` (RFC 9113, section 7).
    #[must_use]
    pub fn reset_code(&self, id: u32) -> Option<u32> {
        self.streams.iter().find(|it| it.id == id)?.reset
    }

    fn open(&mut self, method: &[u8], path: &str, flags: u8) -> u32 {
        self.offer_open(method, path, flags).expect("the server still reads")
    }

    fn offer_open(&mut self, method: &[u8], path: &str, flags: u8) -> io::Result<u32> {
        let id = self.next;
        self.next += 2;
        let length = u8::try_from(path.len()).expect("a short path");
        assert!(length < 127, "which takes one byte");
        // The method; the scheme http; the path and the authority as literals.
        let head = [method, &[0x86, 0x04, length], path.as_bytes(), &[0x01, 4], b"test"].concat();
        self.offer(HEADERS, END_HEADERS | flags, id, &head)?;
        Ok(id)
    }

    fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.offer(kind, flags, stream, payload).expect("the server still reads");
    }

    fn offer(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> io::Result<()> {
        let length = u32::try_from(payload.len()).expect("a frame's length").to_be_bytes();
        self.wire.offer([&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat())
    }

    /// Reads a frame and does what is to be done about it. Returns its type and flags.
    fn frame(&mut self) -> Result<(u8, u8), End> {
        let head = self.wire.take(9)?;
        let number = |bytes: &[u8]| bytes.iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
        let payload = self.wire.take(number(&head[..3]) as usize)?;
        let frame = Frame { kind: head[3], flags: head[4], stream: number(&head[5..]), payload };
        let seen = (frame.kind, frame.flags);
        match seen {
            // The server may have gone meanwhile, which the next read tells.
            (SETTINGS, 0) => drop(self.offer(SETTINGS, ACK, 0, &[])),
            (PING, 0) if self.answers_pings => drop(self.offer(PING, ACK, 0, &frame.payload)),
            (PING, 0) => self.pings.push(frame.payload),
            (GOAWAY, _) => {
                let (last, code) = (number(&frame.payload[..4]), number(&frame.payload[4..8]));
                self.goaways.push(Goaway { last, code });
            }
            (HEADERS | DATA | RST_STREAM, _) => self.stream(frame.stream).take(&frame),
            _ => {}
        }
        Ok(seen)
    }

    fn stream(&mut self, id: u32) -> &mut Stream {
        let at = self.streams.iter().position(|it| it.id == id).unwrap_or_else(|| {
            self.streams.push(Stream { id, ok: false, body: Vec::new(), ended: false, reset: None });
            self.streams.len() - 1
        });
        &mut self.streams[at]
    }
}

impl Stream {
    fn take(&mut self, frame: &Frame) {
        match frame.kind {
            // `:status: 200` is the static table's 8th.
            HEADERS => self.ok = frame.payload.first() == Some(&0x88),
            DATA => self.body.extend_from_slice(&frame.payload),
            _ => {
                self.ok = false;
                self.reset = frame.payload.first_chunk().map(|code| u32::from_be_bytes(*code));
            }
        }
        self.ended |= frame.kind == RST_STREAM || frame.flags & END_STREAM != 0;
    }
}
