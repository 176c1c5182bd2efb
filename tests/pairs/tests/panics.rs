//! What a panic does, on each pair: it ends its connection, and nothing else.

use std::future::{Future, ready};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake};
use std::thread;
use std::time::Instant;

use ebbtide::{Drain, Guard, State, Watcher};
use ebbtide_hyper::Connections;
use ebbtide_pairs::hostile::Engine;
use ebbtide_pairs::server::{ALL, Application, Setup};
use ebbtide_testkit::PATIENCE;
use ebbtide_testkit::client::Client;
use ebbtide_testkit::http2;
use futures_lite::AsyncRead;
use futures_util::stream;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame};

/// `/panic` does so.
fn answer(path: &str) -> String {
    assert_ne!(path, "/panic", "as it was asked to");
    path.into()
}

/// A server of that, whose errors are sent on.
fn setup() -> (Setup, mpsc::Receiver<String>) {
    let (sender, told) = mpsc::channel();
    let mut setup = Setup::new(Application::by_path(answer));
    setup.told = Arc::new(move |failure| drop(sender.send(failure.to_string())));
    (setup, told)
}

/// That none is left.
#[track_caller]
fn expect_none(connections: &Connections) {
    let counts = connections.counts();
    assert_eq!((counts.new, counts.active, counts.idle), (0, 0, 0));
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

/// One that tells how often it was woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
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
fn a_panic_of_a_handler_ends_its_connection_and_nothing_else_and_is_told() {
    for pair in ALL {
        let (setup, told) = setup();
        let connections = setup.connections.clone();
        let mut peer = None;
        pair.serve(setup, |addr| {
            let mut before = idle(addr);
            let panics = connect(addr, "GET /panic HTTP/1.1\r\nhost: test\r\n\r\n");
            peer = Some(panics.local_addr().unwrap());
            assert_eq!(rest(panics), "", "{pair:?}");
            before.get("/behind");
            assert_eq!(before.response().text(), "/behind", "{pair:?}");
            drop(idle(addr));
        });
        expect_none(&connections);
        let told = told.iter().collect::<Vec<_>>();
        let [told] = &told[..] else { panic!("{pair:?}: {told:?}") };
        assert!(
            told.starts_with(&peer.unwrap().to_string()) && told.contains("as it was asked to"),
            "{pair:?}: {told}"
        );
    }
}

/// Begins, and panics.
struct Panicking(bool);

impl Panicking {
    fn next(&mut self) -> &'static [u8] {
        assert!(!self.0, "the body's");
        self.0 = true;
        b"begun"
    }
}

impl AsyncRead for Panicking {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let next = self.next();
        buf[..next.len()].copy_from_slice(next);
        Poll::Ready(Ok(next.len()))
    }
}

#[test]
fn a_panic_inside_the_engine_ends_its_connection_and_nothing_else_and_is_told() {
    for pair in ALL {
        let (mut setup, told) = setup();
        setup.application = Application::new(
            |request| {
                let mut body = Panicking(false);
                let frames = stream::poll_fn(move |_| Poll::Ready(Some(Ok(Frame::data(Bytes::from(body.next()))))));
                let panics = request.uri().path() == "/panic";
                let body = if panics { BodyExt::boxed(StreamBody::new(frames)) } else { Full::from("fine").boxed() };
                ready(hyper::Response::new(body))
            },
            |request| {
                let body = futures_lite::io::BufReader::new(Panicking(false));
                let panics = request.url().path() == "/panic";
                ready(Ok(if panics { http_types::Body::from_reader(body, None).into() } else { "fine".into() }))
            },
        );
        let connections = setup.connections.clone();
        pair.serve(setup, |addr| {
            let panics = rest(connect(addr, "GET /panic HTTP/1.1\r\nhost: test\r\n\r\n"));
            assert!(!panics.ends_with("0\r\n\r\n"), "{pair:?}: a whole response: {panics}");
            let mut after = Client::connect(addr);
            after.get("/after");
            assert_eq!(after.response().text(), "fine", "{pair:?}");
        });
        expect_none(&connections);
        let told = told.iter().collect::<Vec<_>>();
        assert!(matches!(&told[..], [told] if told.contains("the body's")), "{pair:?}: {told:?}");
    }
}

#[test]
fn a_panic_of_a_handler_of_http2_ends_its_stream_and_nothing_else() {
    for pair in ALL.iter().filter(|it| it.engine == Engine::Hyper) {
        let (setup, _) = setup();
        let connections = setup.connections.clone();
        pair.serve(setup, |addr| {
            let mut client = http2::Client::connect(addr);
            let panics = client.get("/panic");
            let behind = client.get("/behind");
            assert_eq!(client.response(behind), "/behind", "{pair:?}");
            while client.reset_code(panics).is_none() {
                let after = client.get("/after");
                assert_eq!(client.response(after), "/after", "{pair:?}");
            }
        });
        expect_none(&connections);
    }
}

#[test]
fn a_panic_of_a_hook_ends_nothing() {
    for pair in ALL {
        let calls = Arc::new(AtomicUsize::new(0));
        let mut setup = Setup::new(Application::by_path(answer));
        let counted = calls.clone();
        setup.connections = setup.connections.on_change(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            panic!("the hook's");
        });
        let told = Arc::new(AtomicUsize::new(0));
        let counted = told.clone();
        setup.told = Arc::new(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            panic!("the other hook's");
        });
        let connections = setup.connections.clone();
        pair.serve(setup, |addr| {
            let mut client = Client::connect(addr);
            client.get("/one");
            assert_eq!(client.response().text(), "/one", "{pair:?}");
            client.get("/two");
            assert_eq!(client.response().text(), "/two", "{pair:?}");
            // A handler's panic, with those of the hooks on its way out; and a client that leaves in mid-request.
            let mut panics = Client::connect(addr);
            panics.get("/panic");
            assert!(panics.answer().is_err(), "{pair:?}");
            let mut malformed = connect(addr, "nonsense\r\n\r\n");
            drop(malformed.read_to_end(&mut Vec::new()));
            drop(idle(addr));
        });
        assert!(calls.load(Ordering::Relaxed) > 6, "{pair:?}");
        assert!(told.load(Ordering::Relaxed) > 0, "{pair:?}");
        expect_none(&connections);
    }
}

#[test]
fn a_panic_of_a_waker_as_the_drain_starts_is_one_of_who_starts_it_and_all_others_are_told() {
    for pair in ALL {
        let (drain, panics) = (Drain::new(), Arc::new(Panics::default()));
        // Two, with those of the server between them.
        let (mut first, mut last) = (drain.watcher(), drain.watcher());
        leave(&panics, &mut first);
        let starts = drain.clone();
        let setup = Setup::new(Application::by_path(move |path| {
            if path == "/start" {
                drop(starts.start());
            }
            answer(path)
        }));
        let connections = setup.connections.clone();
        pair.serve_until(&drain, setup, |addr| {
            let mut kept = idle(addr);
            let mut half = connect(addr, "GET /half HTTP/1.1\r\n");
            // Whoever answers this has accepted those before.
            drop(idle(addr));
            leave(&panics, &mut last);

            assert_eq!(rest(connect(addr, "GET /start HTTP/1.1\r\nhost: test\r\n\r\n")), "", "{pair:?}");
            assert_eq!((drain.state(), panics.0.load(Ordering::Relaxed)), (State::Draining, 2), "{pair:?}");
            // The accept loop was told, an idle connection was, and what is under way goes on.
            half.write_all(b"host: test\r\n\r\n").unwrap();
            assert!(rest(half).ends_with("/half"), "{pair:?}");
            assert!(kept.answer().is_err(), "{pair:?}: it was closed and not answered");
        });
        expect_none(&connections);
    }
}

#[test]
fn a_panic_of_a_waker_as_the_drain_closes_comes_behind_the_last_response_and_all_others_are_told() {
    for pair in ALL {
        let (drain, panics) = (Drain::new(), Arc::new(Panics::default()));
        let (mut first, mut last) = (drain.watcher().closed(), drain.watcher().closed());
        leave(&panics, &mut first);
        let setup = Setup::new(Application::by_path(answer));
        let connections = setup.connections.clone();
        pair.serve_until(&drain, setup, |addr| {
            let mut half = connect(addr, "GET /half HTTP/1.1\r\n");
            drop(idle(addr));
            leave(&panics, &mut last);
            drop(drain.start());
            // The accept loop has let go of its guard, so the last is the connection's.
            while drain.guards() > 1 {
                thread::yield_now();
            }
            half.write_all(b"host: test\r\n\r\n").unwrap();
            assert!(rest(half).ends_with("/half"), "{pair:?}");
        });
        // Whoever looks sees the close before its task has woken them all.
        let begun = Instant::now();
        while panics.0.load(Ordering::Relaxed) < 2 {
            assert!(begun.elapsed() < PATIENCE, "{pair:?}: one is not woken");
            thread::yield_now();
        }
        expect_none(&connections);
    }
}

/// Starts the drain of an accept loop whose waker panics.
async fn start_under(mut accepting: impl Future<Output = io::Result<()>> + Unpin, drain: Drain, mut behind: Watcher) {
    let panics = Arc::new(Panics::default());
    leave(&panics, &mut accepting);
    let woken = Arc::new(Woken::default());
    assert!(Pin::new(&mut behind).poll(&mut Context::from_waker(&woken.clone().into())).is_pending());
    assert!(catch_unwind(AssertUnwindSafe(|| drain.start())).is_err(), "it is one of who starts it");
    assert_eq!((panics.0.load(Ordering::Relaxed), woken.0.load(Ordering::Relaxed)), (1, 1));
    assert_eq!(drain.state(), State::Draining);
    accepting.await.expect("it ends as ever");
    assert_eq!(drain.state(), State::Closed);
}

#[test]
fn a_panic_of_the_waker_of_an_accept_loop_ends_neither_the_loop_nor_the_drain() {
    async fn ends(_: impl Sized, _: Guard) {}
    let drain = || {
        let drain = Drain::new();
        let (guard, behind) = (drain.watcher().guard().expect("it runs"), drain.watcher());
        (drain, guard, behind)
    };
    let listener = || TcpListener::bind("127.0.0.1:0").unwrap();

    let (started, guard, behind) = drain();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        start_under(ebbtide_tokio::serve(listener, guard, ends), started, behind).await;
    });

    let (started, guard, behind) = drain();
    let listening = smol::net::TcpListener::try_from(listener()).unwrap();
    smol::block_on(start_under(ebbtide_smol::serve(listening, guard, ends), started, behind));

    let (started, guard, behind) = drain();
    let listening = async_std::net::TcpListener::from(listener());
    async_std::task::block_on(start_under(ebbtide_async_std::serve(listening, guard, ends), started, behind));
}
