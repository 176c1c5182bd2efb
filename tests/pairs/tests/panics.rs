//! What a panic does, on each pair: it ends its connection, and nothing else.

use std::convert::Infallible;
use std::io::{self, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use ebbtide::{Drain, Guard};
use ebbtide_async_h1::Connections;
use ebbtide_testkit::PATIENCE;
use ebbtide_testkit::client::Client;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use smol_hyper::rt::{FuturesIo, SmolTimer};

type Run = fn(TcpListener, Guard, &Connections) -> io::Result<()>;

/// `/panic` does so.
fn answer(path: &str) -> String {
    assert_ne!(path, "/panic", "as it was asked to");
    path.into()
}

async fn hyper_answer(request: hyper::Request<Incoming>) -> Result<hyper::Response<Full<Bytes>>, Infallible> {
    Ok(hyper::Response::new(Full::from(answer(request.uri().path()))))
}

async fn h1_answer(request: http_types::Request) -> http_types::Result<http_types::Response> {
    Ok(answer(request.url().path()).into())
}

fn tokio_hyper(listener: TcpListener, guard: Guard, connections: &Connections) -> io::Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        listener.set_nonblocking(true)?;
        let http = ebbtide_hyper::Http::new(TokioExecutor::new(), TokioTimer::new()).connections(connections);
        let served = ebbtide_tokio::serve(tokio::net::TcpListener::from_std(listener)?, guard, move |stream, guard| {
            let served = http.serve(TokioIo::new(stream), service_fn(hyper_answer), guard);
            async { drop(served.await) }
        });
        served.await
    })
}

fn smol_hyper(listener: TcpListener, guard: Guard, connections: &Connections) -> io::Result<()> {
    smol::block_on(async {
        let http = ebbtide_hyper::Http::new(ebbtide_smol::Executor, SmolTimer::new()).connections(connections);
        let served = ebbtide_smol::serve(smol::net::TcpListener::try_from(listener)?, guard, move |stream, guard| {
            let served = http.serve(FuturesIo::new(stream), service_fn(hyper_answer), guard);
            async { drop(served.await) }
        });
        served.await
    })
}

fn smol_h1(listener: TcpListener, guard: Guard, connections: &Connections) -> io::Result<()> {
    smol::block_on(async {
        let http = ebbtide_async_h1::Http::new(smol::Timer::after).connections(connections);
        let served = ebbtide_smol::serve(smol::net::TcpListener::try_from(listener)?, guard, move |stream, guard| {
            let served = http.serve(stream, h1_answer, guard);
            async { drop(served.await) }
        });
        served.await
    })
}

fn async_std_h1(listener: TcpListener, guard: Guard, connections: &Connections) -> io::Result<()> {
    async_std::task::block_on(async {
        let http = ebbtide_async_h1::Http::new(async_std::task::sleep).connections(connections);
        let served =
            ebbtide_async_std::serve(async_std::net::TcpListener::from(listener), guard, move |stream, guard| {
                let served = http.serve(ebbtide_async_std::HalfClose(stream), h1_answer, guard);
                async { drop(served.await) }
            });
        served.await
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
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (addr, drain) = (listener.local_addr().unwrap(), Drain::new());
    let guard = drain.watcher().guard().expect("it runs");
    let connections = connections.clone();
    let server = thread::spawn(move || run(listener, guard, &connections));
    ask(addr);
    let deadline = async {
        smol::Timer::after(PATIENCE).await;
    };
    smol::block_on(drain.start().deadline(deadline)).expect("nothing is cut");
    server.join().expect("the server does not panic").expect("it serves to its end");
}

#[test]
fn a_panic_of_a_handler_ends_its_connection_and_nothing_else() {
    for (pair, run) in ALL {
        let connections = Connections::new();
        serve(run, &connections, |addr| {
            let mut before = Client::connect(addr);
            before.get("/before");
            assert_eq!(before.response().text(), "/before", "{pair}");

            let mut panics = TcpStream::connect(addr).unwrap();
            panics.set_read_timeout(Some(PATIENCE)).unwrap();
            io::Write::write_all(&mut panics, b"GET /panic HTTP/1.1\r\nhost: test\r\n\r\n").unwrap();
            let mut answered = Vec::new();
            drop(panics.read_to_end(&mut answered));
            assert_eq!(answered, b"", "{pair}");

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
