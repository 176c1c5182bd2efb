//! What a panic does, on each pair: it ends its connection, and nothing else.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake};
use std::thread;
use std::time::Instant;

use ebbtide::{Drain, Guard, State};
use ebbtide_async_h1::Connections;
use ebbtide_testkit::PATIENCE;
use ebbtide_testkit::client::Client;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use smol_hyper::rt::{FuturesIo, SmolTimer};

type Run = fn(TcpListener, Guard, &Connections, Answer) -> io::Result<()>;

/// The handler: of a path.
type Answer = Arc<dyn Fn(&str) -> String + Send + Sync>;

/// `/panic` does so.
fn answer(path: &str) -> String {
    assert_ne!(path, "/panic", "as it was asked to");
    path.into()
}

type HyperAnswer = Result<hyper::Response<Full<Bytes>>, Infallible>;

fn hyper_answer(answer: Answer) -> impl Fn(hyper::Request<Incoming>) -> Ready<HyperAnswer> + Clone {
    move |request| ready(Ok(hyper::Response::new(Full::from(answer(request.uri().path())))))
}

type H1Answer = http_types::Result<http_types::Response>;

fn h1_answer(answer: Answer) -> impl Fn(http_types::Request) -> Ready<H1Answer> + Clone {
    move |request| ready(Ok(answer(request.url().path()).into()))
}

fn tokio_hyper(listener: TcpListener, guard: Guard, connections: &Connections, answer: Answer) -> io::Result<()> {
    let closed = guard.watcher().closed();
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        listener.set_nonblocking(true)?;
        let http = ebbtide_hyper::Http::new(TokioExecutor::new(), TokioTimer::new()).connections(connections);
        let served = ebbtide_tokio::serve(tokio::net::TcpListener::from_std(listener)?, guard, move |stream, guard| {
            let served = http.serve(TokioIo::new(stream), service_fn(hyper_answer(answer.clone())), guard);
            async { drop(served.await) }
        });
        served.await?;
        closed.await;
        Ok(())
    })
}

fn smol_hyper(listener: TcpListener, guard: Guard, connections: &Connections, answer: Answer) -> io::Result<()> {
    let closed = guard.watcher().closed();
    smol::block_on(async {
        let http = ebbtide_hyper::Http::new(ebbtide_smol::Executor, SmolTimer::new()).connections(connections);
        let served = ebbtide_smol::serve(smol::net::TcpListener::try_from(listener)?, guard, move |stream, guard| {
            let served = http.serve(FuturesIo::new(stream), service_fn(hyper_answer(answer.clone())), guard);
            async { drop(served.await) }
        });
        served.await?;
        closed.await;
        Ok(())
    })
}

fn smol_h1(listener: TcpListener, guard: Guard, connections: &Connections, answer: Answer) -> io::Result<()> {
    let closed = guard.watcher().closed();
    smol::block_on(async {
        let http = ebbtide_async_h1::Http::new(smol::Timer::after).connections(connections);
        let served = ebbtide_smol::serve(smol::net::TcpListener::try_from(listener)?, guard, move |stream, guard| {
            let served = http.serve(stream, h1_answer(answer.clone()), guard);
            async { drop(served.await) }
        });
        served.await?;
        closed.await;
        Ok(())
    })
}

fn async_std_h1(listener: TcpListener, guard: Guard, connections: &Connections, answer: Answer) -> io::Result<()> {
    let closed = guard.watcher().closed();
    async_std::task::block_on(async {
        let http = ebbtide_async_h1::Http::new(async_std::task::sleep).connections(connections);
        let served =
            ebbtide_async_std::serve(async_std::net::TcpListener::from(listener), guard, move |stream, guard| {
                let served = http.serve(ebbtide_async_std::HalfClose(stream), h1_answer(answer.clone()), guard);
                async { drop(served.await) }
            });
        served.await?;
        closed.await;
        Ok(())
    })
}

const ALL: [(&str, Run); 4] = [
    ("tokio + hyper", tokio_hyper),
    ("smol + hyper", smol_hyper),
    ("smol + async-h1", smol_h1),
    ("async-std + async-h1", async_std_h1),
];

/// A server, what it is asked, and its drain, which cuts nothing.
fn serve(run: Run, connections: &Connections, ask: impl FnOnce(SocketAddr)) {
    serve_until(run, connections, &Drain::new(), Arc::new(answer), ask);
}

/// As [`serve`], with a drain and a handler of one's own.
fn serve_until(run: Run, connections: &Connections, drain: &Drain, answer: Answer, ask: impl FnOnce(SocketAddr)) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let guard = drain.guard().expect("it runs");
    let connections = connections.clone();
    let server = thread::spawn(move || run(listener, guard, &connections, answer));
    ask(addr);
    let deadline = async {
        smol::Timer::after(PATIENCE).await;
    };
    smol::block_on(drain.start().deadline(deadline)).expect("nothing is cut");
    server.join().expect("the server does not panic").expect("it serves to its end");
}

/// A waker that panics, and tells how often it was woken.
#[derive(Default)]
struct Panics(AtomicUsize);

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
        panic!("the waker's");
    }
}

/// Leaves the waker with a future, which is not ready yet.
fn leave(panics: &Arc<Panics>, future: &mut (impl Future + Unpin)) {
    let waker = panics.clone().into();
    assert!(Pin::new(future).poll(&mut Context::from_waker(&waker)).is_pending());
}

fn connect(addr: SocketAddr, sent: &str) -> TcpStream {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(sent.as_bytes()).unwrap();
    stream
}

/// A connection between two requests.
fn idle(addr: SocketAddr) -> Client {
    let mut client = Client::connect(addr);
    client.get("/idle");
    assert_eq!(client.response().text(), "/idle");
    client
}

/// All that it says to the end, which a reset may be.
fn rest(mut stream: TcpStream) -> String {
    let mut answered = Vec::new();
    drop(stream.read_to_end(&mut answered));
    String::from_utf8(answered).unwrap()
}

#[test]
fn a_panic_of_a_handler_ends_its_connection_and_nothing_else() {
    for (pair, run) in ALL {
        let connections = Connections::new();
        serve(run, &connections, |addr| {
            let mut before = Client::connect(addr);
            before.get("/before");
            assert_eq!(before.response().text(), "/before", "{pair}");

            assert_eq!(rest(connect(addr, "GET /panic HTTP/1.1\r\nhost: test\r\n\r\n")), "", "{pair}");

            before.get("/behind");
            assert_eq!(before.response().text(), "/behind", "{pair}");
            let mut after = Client::connect(addr);
            after.get("/after");
            assert_eq!(after.response().text(), "/after", "{pair}");
        });
        let counts = connections.counts();
        assert_eq!((counts.new, counts.active, counts.idle), (0, 0, 0), "{pair}");
    }
}

#[test]
fn a_panic_of_a_hook_ends_nothing() {
    for (pair, run) in ALL {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = calls.clone();
        let connections = Connections::new().on_change(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            panic!("the hook's");
        });
        serve(run, &connections, |addr| {
            let mut client = Client::connect(addr);
            client.get("/one");
            assert_eq!(client.response().text(), "/one", "{pair}");
            client.get("/two");
            assert_eq!(client.response().text(), "/two", "{pair}");
            // A handler's panic, with the hook's on its way out.
            let mut panics = Client::connect(addr);
            panics.get("/panic");
            assert!(panics.answer().is_err(), "{pair}");
        });
        assert!(calls.load(Ordering::Relaxed) > 6, "{pair}");
    }
}

#[test]
fn a_panic_of_a_waker_as_the_drain_starts_is_one_of_who_starts_it_and_all_others_are_told() {
    for (pair, run) in ALL {
        let (connections, drain, panics) = (Connections::new(), Drain::new(), Arc::new(Panics::default()));
        // Two, with those of the server between them.
        let (mut first, mut last) = (drain.watcher(), drain.watcher());
        leave(&panics, &mut first);
        let starts = drain.clone();
        let answer = move |path: &str| {
            if path == "/start" {
                drop(starts.start());
            }
            answer(path)
        };
        serve_until(run, &connections, &drain, Arc::new(answer), |addr| {
            let mut kept = idle(addr);
            let mut half = connect(addr, "GET /half HTTP/1.1\r\n");
            // Whoever answers this has accepted those before.
            drop(idle(addr));
            leave(&panics, &mut last);

            assert_eq!(rest(connect(addr, "GET /start HTTP/1.1\r\nhost: test\r\n\r\n")), "", "{pair}");
            assert_eq!((drain.state(), panics.0.load(Ordering::Relaxed)), (State::Draining, 2), "{pair}");
            // The accept loop was told, an idle connection was, and what is under way goes on.
            half.write_all(b"host: test\r\n\r\n").unwrap();
            assert!(rest(half).ends_with("/half"), "{pair}");
            assert!(kept.answer().is_err(), "{pair}: it was closed and not answered");
        });
        let counts = connections.counts();
        assert_eq!((counts.new, counts.active, counts.idle), (0, 0, 0), "{pair}");
    }
}

#[test]
fn a_panic_of_a_waker_as_the_drain_closes_comes_behind_the_last_response_and_all_others_are_told() {
    for (pair, run) in ALL {
        let (connections, drain, panics) = (Connections::new(), Drain::new(), Arc::new(Panics::default()));
        let (mut first, mut last) = (drain.watcher().closed(), drain.watcher().closed());
        leave(&panics, &mut first);
        serve_until(run, &connections, &drain, Arc::new(answer), |addr| {
            let mut half = connect(addr, "GET /half HTTP/1.1\r\n");
            drop(idle(addr));
            leave(&panics, &mut last);
            drop(drain.start());
            // The accept loop has let go of its guard, so the last is the connection's.
            while drain.guards() > 1 {
                thread::yield_now();
            }
            half.write_all(b"host: test\r\n\r\n").unwrap();
            assert!(rest(half).ends_with("/half"), "{pair}");
        });
        // Whoever looks sees the close before its task has woken them all.
        let begun = Instant::now();
        while panics.0.load(Ordering::Relaxed) < 2 {
            assert!(begun.elapsed() < PATIENCE, "{pair}: one is not woken");
            thread::yield_now();
        }
        let counts = connections.counts();
        assert_eq!((counts.new, counts.active, counts.idle), (0, 0, 0), "{pair}");
    }
}
