//! Connections that leave one server for the next while their clients write at random instants: nothing is lost or answered
//! twice, and no client sees that it has another server.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::thread;
use std::time::Duration;

use ebbtide::{Drain, Guard};
use ebbtide_async_std::{Detach as _, HalfClose};
use ebbtide_connection::{Bounds, Departures, Exit};
use ebbtide_smol::Detach as UnderSmol;
use ebbtide_tokio::Detach as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use smol_hyper::rt::{FuturesIo, SmolTimer};
use tokio::runtime::Runtime;

static TOKIO: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));

/// Longer than any of this takes, so that it does not matter how slow the machine is.
const PATIENT: Bounds = Bounds::NONE.idle(PATIENCE).silent(PATIENCE).head(PATIENCE);
const PATIENCE: Duration = Duration::from_secs(60);

/// How often each request was begun, by its path, on all servers.
#[derive(Default)]
struct Begun(Mutex<HashMap<String, usize>>);

impl Begun {
    fn note(&self, path: &str) {
        *self.0.lock().expect("no panic").entry(path.to_owned()).or_default() += 1;
    }
}

/// What a server answers to a request with this body.
fn answer(path: &str, body: &[u8]) -> String {
    format!("{path} and {}", String::from_utf8_lossy(body))
}

async fn hyper_answer(begun: Arc<Begun>, request: Request<Incoming>) -> Result<Response<String>, Infallible> {
    begun.note(request.uri().path());
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await.expect("all of it").to_bytes();
    Ok(Response::new(answer(&path, &body)))
}

async fn h1_answer(begun: Arc<Begun>, mut request: http_types::Request) -> http_types::Result<http_types::Response> {
    begun.note(request.url().path());
    let body = request.body_bytes().await?;
    Ok(answer(request.url().path(), &body).into())
}

/// One server of a chain.
trait Server: Send + Sync {
    /// Serves a connection.
    fn adopt(&self, socket: TcpStream);

    /// Drains, and gives what leaves to the next. Returns how many have left.
    fn leave(&self, next: Arc<dyn Server>) -> Pin<Box<dyn Future<Output = usize> + '_>>;
}

struct Chained<I> {
    drain: Drain,
    /// `None` once it drains.
    departures: Mutex<Option<(Departures<I>, Exit<I>)>>,
    attach: fn(TcpStream) -> I,
    detach: fn(I) -> io::Result<TcpStream>,
    serve: Box<Serve<I>>,
}

type Serve<I> = dyn Fn(I, Guard, &Exit<I>) + Send + Sync;

/// Makes one server of a kind.
type Kind = fn(&Arc<Begun>) -> Arc<dyn Server>;

impl<I: Send + 'static> Server for Chained<I> {
    fn adopt(&self, socket: TcpStream) {
        socket.set_nonblocking(true).expect("a socket");
        let departures = self.departures.lock().expect("no panic");
        let (_, exit) = departures.as_ref().expect("running");
        (self.serve)((self.attach)(socket), self.drain.guard().expect("running"), exit);
    }

    fn leave(&self, next: Arc<dyn Server>) -> Pin<Box<dyn Future<Output = usize> + '_>> {
        let (mut departures, exit) = self.departures.lock().expect("no panic").take().expect("running");
        drop(exit);
        departures.begin();
        let drained = self.drain.start();
        Box::pin(async move {
            let mut left = 0;
            while let Some(departed) = departures.next().await {
                let departed = departed.try_map(self.detach).expect("detached");
                let (socket, guard) = departed.into_parts();
                next.adopt(socket);
                drop(guard);
                left += 1;
            }
            drained.await.expect("nothing was cut");
            left
        })
    }
}

fn chained<I: Send + 'static>(
    attach: fn(TcpStream) -> I,
    detach: fn(I) -> io::Result<TcpStream>,
    serve: impl Fn(I, Guard, &Exit<I>) + Send + Sync + 'static,
) -> Arc<dyn Server> {
    // Few at a time, so that most must wait for their turn.
    let departures = Departures::new(4);
    let (drain, exit) = (Drain::new(), departures.exit());
    let departures = Mutex::new(Some((departures, exit)));
    Arc::new(Chained { drain, departures, attach, detach, serve: Box::new(serve) })
}

fn tokio_hyper(begun: &Arc<Begun>) -> Arc<dyn Server> {
    let (http, begun) =
        (ebbtide_hyper::Http::new(TokioExecutor::new(), TokioTimer::new()).bounds(PATIENT), begun.clone());
    let attach = |socket| {
        let _entered = TOKIO.enter();
        TokioIo::new(tokio::net::TcpStream::from_std(socket).expect("attached"))
    };
    chained(
        attach,
        |io| io.into_inner().detach(),
        move |io, guard, exit| {
            let (io, guard) = ebbtide_hyper::Leaving::new(io, guard, exit);
            let begun = begun.clone();
            let served = http.serve(io, service_fn(move |it| hyper_answer(begun.clone(), it)), guard);
            TOKIO.spawn(async { served.await.expect("served") });
        },
    )
}

fn smol_hyper(begun: &Arc<Begun>) -> Arc<dyn Server> {
    let (http, begun) =
        (ebbtide_hyper::Http::new(ebbtide_smol::Executor::new(), SmolTimer::new()).bounds(PATIENT), begun.clone());
    let attach = |socket| FuturesIo::new(smol::net::TcpStream::try_from(socket).expect("attached"));
    chained(
        attach,
        |io| io.into_inner().detach(),
        move |io, guard, exit| {
            let (io, guard) = ebbtide_hyper::Leaving::new(io, guard, exit);
            let begun = begun.clone();
            let served = http.serve(io, service_fn(move |it| hyper_answer(begun.clone(), it)), guard);
            smol::spawn(async { served.await.expect("served") }).detach();
        },
    )
}

fn smol_h1(begun: &Arc<Begun>) -> Arc<dyn Server> {
    let (http, begun) = (ebbtide_async_h1::Http::new(smol::Timer::after).bounds(PATIENT), begun.clone());
    let attach = |socket| smol::net::TcpStream::try_from(socket).expect("attached");
    chained(attach, UnderSmol::detach, move |io, guard, exit| {
        let (io, guard) = ebbtide_async_h1::Leaving::new(io, guard, exit);
        let begun = begun.clone();
        let served = http.serve(io, move |it| h1_answer(begun.clone(), it), guard);
        smol::spawn(async { served.await.expect("served") }).detach();
    })
}

fn async_std_h1(begun: &Arc<Begun>) -> Arc<dyn Server> {
    let (http, begun) = (ebbtide_async_h1::Http::new(async_std::task::sleep).bounds(PATIENT), begun.clone());
    let attach = |socket| HalfClose(async_std::net::TcpStream::from(socket));
    chained(
        attach,
        |io| io.0.detach(),
        move |io, guard, exit| {
            let (io, guard) = ebbtide_async_h1::Leaving::new(io, guard, exit);
            let begun = begun.clone();
            let served = http.serve(io, move |it| h1_answer(begun.clone(), it), guard);
            async_std::task::spawn(async { served.await.expect("served") });
        },
    )
}

/// Numbers that look random, the same for the same seed (Marsaglia's xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).expect("below a usize")
    }

    /// Most are short, since what is tried is an instant between two steps of a server; some are longer than its idle moments.
    fn pause(&mut self) {
        let most = [1, 50, 500, 3000][self.below(4)];
        // A real sleep: the client's instants are what is random here.
        thread::sleep(Duration::from_micros(self.below(most) as u64));
    }
}

struct Client {
    number: usize,
    socket: BufReader<TcpStream>,
    random: Random,
    sent: usize,
}

impl Client {
    fn new(number: usize, socket: TcpStream) -> Self {
        socket.set_nodelay(true).expect("a socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
        Self { number, socket: BufReader::new(socket), random: Random(number as u64 + 0x9E37_79B9_7F4A_7C15), sent: 0 }
    }

    /// The next request, and what answers it.
    fn request(&mut self) -> (String, String) {
        let path = format!("/{}/{}", self.number, self.sent);
        self.sent += 1;
        if self.random.below(3) > 0 {
            return (format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n"), answer(&path, b""));
        }
        // Some look like the end of a head.
        let body = ["x", "1234\r\n\r\n", "GET / HTTP/1.1\r\n\r\n"][self.sent % 3].repeat(1 + self.sent % 100);
        let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", body.len());
        (head + &body, answer(&path, body.as_bytes()))
    }

    /// Sends up to three requests in any pieces, and reads the answers.
    fn exchanges(&mut self) -> io::Result<()> {
        let requests = 1 + self.random.below(20).saturating_sub(17);
        self.exchange(requests)
    }

    fn exchange(&mut self, requests: usize) -> io::Result<()> {
        let requests: Vec<_> = (0..requests).map(|_| self.request()).collect();
        let mut bytes = requests.iter().map(|it| it.0.as_str()).collect::<String>().into_bytes();
        while !bytes.is_empty() {
            let all = self.random.below(3) > 0;
            let piece = if all { bytes.len() } else { 1 + self.random.below(bytes.len()) };
            self.socket.get_mut().write_all(&bytes[..piece])?;
            bytes.drain(..piece);
            if !bytes.is_empty() {
                self.random.pause();
            }
        }
        for (_, expected) in requests {
            assert_eq!(self.response()?, expected);
        }
        Ok(())
    }

    fn response(&mut self) -> io::Result<String> {
        let (mut length, mut line) = (0, String::new());
        loop {
            line.clear();
            if self.socket.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let lower = line.trim_end().to_ascii_lowercase();
            assert!(!(lower.starts_with("connection:") && lower.contains("close")), "{lower}");
            if let Some(value) = lower.strip_prefix("content-length: ") {
                length = value.parse().expect("a length");
            }
            if lower.is_empty() && length > 0 {
                break;
            }
        }
        let mut body = vec![0; length];
        self.socket.read_exact(&mut body)?;
        Ok(String::from_utf8(body).expect("text"))
    }
}

/// Both ends of a connection.
fn connected() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let client = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
    (client, listener.accept().expect("accepted").0)
}

/// Some clients write at random instants, while their connections go from server to server.
fn migrate(kinds: &[Kind], clients: usize, servers: usize) {
    let begun = Arc::new(Begun::default());
    let mut server = kinds[0](&begun);
    let (is_over, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let mut left = 0;
    thread::scope(|scope| {
        for number in 1..=clients {
            let (client, socket) = connected();
            server.adopt(socket);
            let (is_over, answered) = (&is_over, &answered);
            scope.spawn(move || {
                let mut client = Client::new(number, client);
                while !is_over.load(Ordering::SeqCst) {
                    client.exchanges().unwrap_or_else(|error| panic!("client {number}: {error}"));
                    client.random.pause();
                }
                answered.fetch_add(client.sent, Ordering::SeqCst);
            });
        }
        for next in (1..).take(servers) {
            let next = kinds[next % kinds.len()](&begun);
            left += smol::block_on(server.leave(next.clone()));
            server = next;
        }
        is_over.store(true, Ordering::SeqCst);
    });
    let begun = begun.0.lock().expect("no panic");
    let answered = answered.load(Ordering::SeqCst);
    assert!(begun.values().all(|times| *times == 1), "some were begun twice");
    assert_eq!((begun.len(), left), (answered, clients * servers));
    println!("{answered} requests on {clients} connections, which left {left} times");
}

#[test]
fn from_hyper_on_tokio_to_async_h1_on_smol_and_back() {
    migrate(&[tokio_hyper, smol_h1], 32, 100);
}

#[test]
fn from_hyper_on_tokio_to_hyper_on_smol_and_back() {
    migrate(&[tokio_hyper, smol_hyper], 32, 100);
}

#[test]
fn over_every_pair_of_a_runtime_and_an_engine() {
    migrate(&[async_std_h1, smol_hyper, smol_h1, tokio_hyper], 32, 100);
}

#[test]
fn idle_connections_go_from_server_to_server_and_each_is_answered_by_the_last() {
    let servers = [tokio_hyper, smol_h1, smol_hyper, async_std_h1, tokio_hyper];
    let begun = [(); 5].map(|()| Arc::new(Begun::default()));
    let mut chain = servers.iter().zip(&begun).map(|(server, begun)| server(begun));
    let mut server = chain.next().expect("the first");
    let mut clients = Vec::new();
    for number in 0..250 {
        let (client, socket) = connected();
        server.adopt(socket);
        clients.push(Client::new(number, client));
    }
    let answered = |clients: &mut [Client]| clients.iter_mut().for_each(|it| it.exchange(1).expect("answered"));
    answered(&mut clients);
    for next in chain {
        assert_eq!(smol::block_on(server.leave(next.clone())), clients.len());
        server = next;
    }
    answered(&mut clients);
    let counts = begun.map(|it| it.0.lock().expect("no panic").len());
    assert_eq!(counts[1..4], [0; 3], "nothing was asked meanwhile");
    let sent: usize = clients.iter().map(|it| it.sent).sum();
    assert_eq!(counts[0] + counts[4], sent);
}
