//! A client that sends without a pause, on a socket of every pair: the others are served all the same, and the drain ends.
//!
//! A socket runs dry now and then, however much is written to it. That a turn ends where it never does is shown by the tests
//! of the adapters, which poll by hand.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use ebbtide::Drain;
use ebbtide_connection::Bounds;
use ebbtide_pairs::hostile::Engine;
use ebbtide_pairs::server::{ALL, Application, BUFFER, Pair, Setup};
use ebbtide_testkit::PATIENCE;
use http_body_util::{BodyExt, Full};
use socket2::SockRef;

/// What it sends once, and what it goes on with.
#[derive(Clone, Copy)]
struct Flood {
    begins: &'static [u8],
    goes_on: &'static [u8],
    /// It keeps a request in flight that only a deadline ends.
    lasts: bool,
}

const UPLOAD: &[u8] = b"POST /upload HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n";
const EXTENDED: &[u8] = b"POST /upload HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n1;";
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// With a stream that is an upload.
const STREAM: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\
                        \0\0\x11\x01\x04\0\0\0\x01\x83\x86\x04\x07/upload\x01\x04test";

/// Empty lines, an extension of a chunk, small chunks.
const FLOODS: [Flood; 3] = [
    Flood { begins: b"", goes_on: b"\r\n", lasts: false },
    Flood { begins: EXTENDED, goes_on: b"x", lasts: false },
    Flood { begins: UPLOAD, goes_on: b"1\r\nx\r\n", lasts: true },
];
/// Zeros before a size, which are too many some time.
const FLOODS_OF_H1: [Flood; 1] = [Flood { begins: UPLOAD, goes_on: b"0", lasts: false }];
/// Zeros before a size, which hyper reads for as long as they come. Of HTTP/2: PING, SETTINGS, a frame that nobody knows; DATA
/// without any, which are too many some time.
const FLOODS_OF_HYPER: [Flood; 5] = [
    Flood { begins: UPLOAD, goes_on: b"0", lasts: true },
    Flood { begins: PREFACE, goes_on: b"\0\0\x08\x06\0\0\0\0\0ebbtide!", lasts: false },
    Flood { begins: PREFACE, goes_on: b"\0\0\0\x04\0\0\0\0\0", lasts: false },
    Flood { begins: PREFACE, goes_on: b"\0\0\0\x20\0\0\0\0\0", lasts: false },
    Flood { begins: STREAM, goes_on: b"\0\0\0\0\0\0\0\0\x01", lasts: false },
];

/// One that comes again when it was ended, and takes what it is sent.
struct Client {
    addr: SocketAddr,
    flood: Flood,
    stream: Option<TcpStream>,
    /// How much of what it goes on with is written.
    at: usize,
    repeated: Vec<u8>,
}

impl Client {
    fn new(addr: SocketAddr, flood: Flood) -> Self {
        Self { addr, flood, stream: None, at: 0, repeated: flood.goes_on.repeat(64 * 1024 / flood.goes_on.len()) }
    }

    /// Writes what there is room for, some pieces at most. Returns how much that was.
    fn pump(&mut self) -> usize {
        let Some(stream) = &mut self.stream else { return self.connect() };
        let mut space = [0; 16 * 1024];
        let is_open = loop {
            match stream.read(&mut space) {
                Ok(0) => break false,
                Ok(_) => {}
                Err(error) => break error.kind() == ErrorKind::WouldBlock,
            }
        };
        let written = stream.write(&self.repeated[self.at..]);
        let is_blocked = written.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
        if !is_open || (written.is_err() && !is_blocked) {
            self.stream = None;
        }
        let written = written.unwrap_or(0);
        self.at = (self.at + written) % self.repeated.len();
        written
    }

    fn connect(&mut self) -> usize {
        let Ok(mut stream) = TcpStream::connect(self.addr) else { return 0 };
        SockRef::from(&stream).set_send_buffer_size(BUFFER).expect("a size");
        stream.write_all(self.flood.begins).expect("there is room");
        stream.set_nonblocking(true).unwrap();
        (self.stream, self.at) = (Some(stream), 0);
        self.flood.begins.len()
    }
}

/// Reads uploads to their end, and says hello else.
fn application() -> Application {
    Application::new(
        |request| async move {
            let mut body = request.into_body();
            while let Some(Ok(_)) = body.frame().await {}
            hyper::Response::new(Full::from("hello").boxed())
        },
        |mut request| async move {
            futures_lite::io::copy(&mut request, &mut futures_lite::io::sink()).await?;
            Ok("hello".into())
        },
    )
}

fn floods(pair: Pair) -> impl Iterator<Item = Flood> {
    let of_engine = if pair.engine == Engine::Hyper { &FLOODS_OF_HYPER[..] } else { &FLOODS_OF_H1[..] };
    FLOODS.into_iter().chain(of_engine.iter().copied())
}

/// As many of them as keep a server busy, each with all that there is room for on the way.
fn flooding(addr: SocketAddr, flood: Flood) -> Vec<Client> {
    let mut clients: Vec<_> = (0..2).map(|_| Client::new(addr, flood)).collect();
    for client in &mut clients {
        while client.pump() > 0 {}
    }
    clients
}

/// What a server may take of a flood before it answers somebody else: what lies in the buffers of two sockets already, and
/// all the turns between two looks of the runtime at who else has something to say.
const MOST: usize = 32 << 20;

#[test]
fn others_are_served_while_a_client_sends_without_a_pause() {
    for pair in ALL {
        for flood in floods(pair) {
            let name = flood.goes_on.escape_ascii();
            pair.serve(Setup::new(application()), |addr| {
                let mut honest = TcpStream::connect(addr).unwrap();
                honest.set_nonblocking(true).unwrap();
                let mut clients = flooding(addr, flood);
                for _ in 0..10 {
                    honest.write_all(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n").unwrap();
                    let (mut fed, mut answer) = (0, Vec::new());
                    // The flood is made here and nowhere else, so it counts however slow anybody is.
                    while !answer.ends_with(b"hello") {
                        fed += clients.iter_mut().map(Client::pump).sum::<usize>();
                        assert!(fed < MOST, "{pair:?}: {name}: no answer after {fed} B of it");
                        let mut space = [0; 1024];
                        match honest.read(&mut space) {
                            Ok(read) => answer.extend_from_slice(&space[..read]),
                            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{pair:?}: {name}"),
                        }
                    }
                }
            });
        }
    }
}

/// Bounds that a test can wait for.
fn short() -> Bounds {
    let time = Duration::from_millis(50);
    Bounds::default().silent(time).idle(time).head(time).preface(time).goaway(time).stall(time).linger(time)
}

#[test]
fn a_drain_ends_by_its_bounds_or_its_deadline_while_a_client_sends_without_a_pause() {
    for pair in ALL {
        for flood in floods(pair) {
            let name = flood.goes_on.escape_ascii();
            let drain = Drain::new();
            let server = pair.start(&drain, Setup { bounds: short(), ..Setup::new(application()) });
            let mut clients = flooding(server.addr, flood);
            let over = Arc::new(AtomicBool::new(false));
            let is_over = over.clone();
            let flood_on = thread::spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    for client in &mut clients {
                        client.pump();
                    }
                }
            });
            // Of an upload that goes on and on only a deadline tells when it is enough.
            let time = if flood.lasts { Duration::from_millis(100) } else { PATIENCE };
            let deadline = async {
                smol::Timer::after(time).await;
            };
            let drained = smol::block_on(drain.start().deadline(deadline));
            assert_eq!(drained.is_err(), flood.lasts, "{pair:?}: {name}: {drained:?}");
            server.join();
            over.store(true, Ordering::Relaxed);
            flood_on.join().unwrap();
        }
    }
}
