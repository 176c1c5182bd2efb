//! Clients of several kinds at once, until they are stopped.

use std::cell::RefCell;
use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures_util::stream;
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::body::{Bytes, Frame};
use hyper::header::{CONNECTION, CONTENT_LENGTH, HOST};
use hyper::{Method, Request, Version};
use tokio::task::JoinHandle;

use crate::grpc::{self, Call};
use crate::http::{Body, Connection};
use crate::setup::Setup;
use crate::tally::Tally;
use crate::{Error, websocket};

/// What takes longer has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// Random numbers that are the same in every run.
#[derive(Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    /// Less than `below`.
    pub(crate) fn roll(&mut self, below: u64) -> u64 {
        // Marsaglia's xorshift.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

/// Clients of one kind.
#[derive(Debug)]
struct Kind {
    name: &'static str,
    /// What they must have noted, or a drain has told them nothing.
    must_note: Option<&'static str>,
    tally: Rc<RefCell<Tally>>,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Load {
    kinds: Vec<Kind>,
    tasks: Vec<JoinHandle<()>>,
}

impl Load {
    /// Lets them run, against a proxy.
    pub(crate) fn start(proxy: SocketAddr, setup: Setup) -> Result<Self, Error> {
        let mut load = Self { kinds: Vec::new(), tasks: Vec::new() };
        if setup == Setup::HaproxyGrpc {
            let channel = grpc::channel(proxy)?;
            let calls = [
                ("say", Call::Say, None, 12),
                ("count", Call::Count, Some(grpc::TOLD), 6),
                ("sum", Call::Sum, None, 6),
                ("echo", Call::Echo, None, 6),
            ];
            for (name, call, must_note, clients) in calls {
                load.kind(name, must_note, clients, |_, tally| {
                    let channel = channel.clone();
                    async move { grpc::client(channel, call, &tally).await }
                });
            }
            return Ok(load);
        }
        let open = move |version| Connection::new(proxy, version);
        load.kind("GET, kept alive", None, 8, |dice, tally| kept(open(Version::HTTP_11), dice, tally));
        if setup.is_haproxy() {
            load.kind("GET, HTTP/2", None, 4, |dice, tally| kept(open(Version::HTTP_2), dice, tally));
        }
        load.kind("GET, new connection", None, 4, |dice, tally| new(open(Version::HTTP_11), dice, tally));
        load.kind("POST, upload", None, 8, |dice, tally| uploads(open(Version::HTTP_11), dice, tally));
        load.kind("GET, slow", None, 12, |dice, tally| slow(open(Version::HTTP_11), dice, tally));
        load.kind("GET, stream", None, 8, |dice, tally| streams(open(Version::HTTP_11), dice, tally));
        load.kind("GET, endless stream", None, 6, |_, tally| events(open(Version::HTTP_11), tally));
        load.kind("WebSocket", Some(websocket::GOODBYE), 8, |dice, tally| async move {
            websocket::client(proxy, dice, &tally).await;
        });
        Ok(load)
    }

    fn kind<F: Future<Output = ()> + 'static>(
        &mut self,
        name: &'static str,
        must_note: Option<&'static str>,
        clients: u64,
        client: impl Fn(Dice, Rc<RefCell<Tally>>) -> F,
    ) {
        let tally = Rc::new(RefCell::new(Tally::default()));
        for at in 0..clients {
            let seed = 0x9E37_79B9_7F4A_7C15 ^ ((self.kinds.len() as u64) << 32 | (at + 1));
            self.tasks.push(tokio::task::spawn_local(client(Dice(seed), tally.clone())));
        }
        self.kinds.push(Kind { name, must_note, tally });
    }

    pub(crate) fn failures(&self) -> u64 {
        self.kinds.iter().map(|kind| kind.tally.borrow().failures()).sum()
    }

    pub(crate) fn answers(&self) -> usize {
        self.kinds.iter().map(|kind| kind.tally.borrow().answers()).sum()
    }

    /// What should not have been, or was not though it should.
    pub(crate) fn wrong(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.failures() > 0 {
            wrong.push(format!("{} requests failed", self.failures()));
        }
        for Kind { name, must_note, tally } in &self.kinds {
            let tally = tally.borrow();
            if tally.answers() == 0 {
                wrong.push(format!("{name}: nothing was answered"));
            }
            if let Some(what) = must_note.filter(|what| tally.notes(what) == 0) {
                wrong.push(format!("{name}: there were no {what}"));
            }
        }
        wrong
    }

    /// Stops them. What is under way counts for nothing. Fails if a client has panicked.
    pub(crate) async fn end(&mut self) -> Result<(), Error> {
        for task in self.tasks.drain(..) {
            task.abort();
            match task.await {
                Err(error) if error.is_panic() => return Err(format!("a client broke: {error}").into()),
                _ => {}
            }
        }
        Ok(())
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "| client | answered | failed | 99.9 % | worst | failed by | noted |\n|---|---|---|---|---|---|---|",
        )?;
        self.kinds.iter().try_for_each(|kind| write!(f, "\n| {} | {} |", kind.name, kind.tally.borrow()))
    }
}

fn get(path: &str) -> Request<Body> {
    let request = Request::get(path).header(HOST, "rolling");
    request.body(Empty::new().boxed_unsync()).expect("all of it is valid")
}

/// Asks once, and judges what comes.
async fn ask(connection: &mut Connection, request: Request<Body>, expected: &[u8], tally: &RefCell<Tally>) {
    let begun = Instant::now();
    let exchanged = tokio::time::timeout(PATIENCE, connection.exchange(request)).await;
    let why = match exchanged {
        Ok(Ok(body)) if body == expected => return tally.borrow_mut().answered(begun.elapsed()),
        Ok(Ok(_)) => "another body".into(),
        Ok(Err(why)) => why,
        Err(_) => "not in time".into(),
    };
    tally.borrow_mut().failed(why);
    connection.close();
    tokio::time::sleep(Duration::from_millis(20)).await;
}

async fn kept(mut connection: Connection, mut dice: Dice, tally: Rc<RefCell<Tally>>) {
    // HTTP/2 has its authority in the URI.
    let path = if connection.is_http2() { "http://rolling/hello" } else { "/hello" };
    loop {
        ask(&mut connection, get(path), b"hello", &tally).await;
        pause(&mut dice, &[0, 0, 1, 10, 50]).await;
    }
}

async fn new(mut connection: Connection, mut dice: Dice, tally: Rc<RefCell<Tally>>) {
    loop {
        let mut request = get("/hello");
        request.headers_mut().insert(CONNECTION, "close".parse().expect("a header"));
        ask(&mut connection, request, b"hello", &tally).await;
        connection.close();
        pause(&mut dice, &[0, 1, 5]).await;
    }
}

/// Not idempotent, so no proxy sends it twice. Of all sizes, some slowly.
async fn uploads(mut connection: Connection, mut dice: Dice, tally: Rc<RefCell<Tally>>) {
    const SIZES: [usize; 5] = [0, 10, 1000, 20_000, 200_000];
    const PIECE: usize = 16_384;
    loop {
        let size = SIZES[usize::try_from(dice.roll(5)).expect("small")];
        let wait = if dice.roll(3) == 0 { Duration::from_millis(30) } else { Duration::ZERO };
        let pieces = stream::unfold(size, move |left| async move {
            if left == 0 {
                return None;
            }
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
            let piece = left.min(PIECE);
            Some((Ok::<_, Infallible>(Frame::data(Bytes::from(vec![b'x'; piece]))), left - piece))
        });
        let request = Request::builder().method(Method::POST).uri("/upload").header(HOST, "rolling");
        let request = request.header(CONTENT_LENGTH, size).body(StreamBody::new(pieces).boxed_unsync());
        let request = request.expect("all of it is valid");
        ask(&mut connection, request, size.to_string().as_bytes(), &tally).await;
        pause(&mut dice, &[0, 2, 10]).await;
    }
}

async fn slow(mut connection: Connection, mut dice: Dice, tally: Rc<RefCell<Tally>>) {
    loop {
        let time = 200 + dice.roll(800);
        ask(&mut connection, get(&format!("/slow?ms={time}")), format!("slow {time}").as_bytes(), &tally).await;
    }
}

async fn streams(mut connection: Connection, mut dice: Dice, tally: Rc<RefCell<Tally>>) {
    loop {
        let (chunks, ms) = (2 + dice.roll(9), 5 + dice.roll(75));
        let expected = (0..chunks).map(|at| format!("chunk {at}\n")).collect::<Vec<_>>().concat();
        ask(&mut connection, get(&format!("/stream?chunks={chunks}&ms={ms}")), expected.as_bytes(), &tally).await;
    }
}

/// Reads until the server says that it drains, which must be the end.
async fn events(mut connection: Connection, tally: Rc<RefCell<Tally>>) {
    loop {
        let begun = Instant::now();
        match to_the_end(&mut connection).await {
            Ok(()) => tally.borrow_mut().answered(begun.elapsed()),
            Err(why) => {
                tally.borrow_mut().failed(why);
                connection.close();
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

async fn to_the_end(connection: &mut Connection) -> Result<(), String> {
    let sent = tokio::time::timeout(PATIENCE, connection.send(get("/events"))).await;
    let response = sent.map_err(|_| "not in time")??;
    if response.status() != 200 {
        return Err(format!("status {}", response.status().as_u16()));
    }
    let (mut body, mut last) = (response.into_body(), Bytes::new());
    loop {
        let frame = tokio::time::timeout(PATIENCE, body.frame()).await.map_err(|_| "no event in time")?;
        match frame {
            Some(Ok(frame)) => last = frame.into_data().unwrap_or_default(),
            Some(Err(error)) => return Err(format!("truncated: {error}")),
            None if last.ends_with(b"bye\n") => return Ok(()),
            None => return Err("ended without a word".into()),
        }
    }
}

/// One of these, in milliseconds.
async fn pause(dice: &mut Dice, times: &[u64]) {
    let time = times[usize::try_from(dice.roll(times.len() as u64)).expect("small")];
    tokio::time::sleep(Duration::from_millis(time)).await;
}
