//! The heap of an idle kept-alive connection, with ebbtide and with hyper-util's `GracefulShutdown`: `memory`. Every allocation
//! is counted, so the figures repeat exactly. The exit code is 1 if ebbtide's is larger than is pinned here.
//!
//! A block counts 16 bytes more than was asked for, which is what malloc adds on 64 bits.

use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::thread;

use allocation_counter::AllocationInfo;
use ebbtide::Drain;
use ebbtide_hyper::Http;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// How many bytes ebbtide's connection may take more than hyper-util's.
const PINNED: i64 = 100;

/// What malloc adds to a block.
const BLOCK: i64 = 16;

/// Two counts of connections, whose difference has no share of what is allocated once.
const CONNECTIONS: [usize; 2] = [256, 512];

fn main() -> ExitCode {
    let [peer, ours] = [hyper_util as fn(TcpListener), ebbtide].map(each);
    println!("memory of an idle connection: hyper-util {peer} bytes, ebbtide {ours} bytes, {} more", ours - peer);
    if ours - peer > PINNED {
        println!("memory: FAILED: at most {PINNED} more");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn each(serve: fn(TcpListener)) -> i64 {
    let [few, many] = CONNECTIONS.map(|connections| with_open(connections, serve));
    let [few, many] = [few, many].map(|it| it.bytes_current + BLOCK * it.count_current);
    (many - few) / i64::try_from(CONNECTIONS[1] - CONNECTIONS[0]).expect("few")
}

/// What is allocated while so many connections are open, by the only thread of the server.
fn with_open(connections: usize, serve: fn(TcpListener)) -> AllocationInfo {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
    let addr = listener.local_addr().expect("bound");
    let (all_idle, idle) = oneshot::channel();
    let (over, end) = std::sync::mpsc::channel::<()>();
    let clients = thread::spawn(move || {
        let clients: Vec<_> = (0..connections).map(|_| client(addr)).collect();
        all_idle.send(()).expect("it is waited for");
        let _ = end.recv();
        drop(clients);
    });
    let counted = allocation_counter::measure(|| {
        runtime.block_on(async {
            serve(listener);
            idle.await.expect("the clients are well");
        });
    });
    drop(runtime);
    drop(over);
    clients.join().expect("the clients are well");
    counted
}

/// A client that has its response, and stays.
fn client(addr: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(addr).expect("it listens");
    stream.write_all(b"GET /hello HTTP/1.1\r\nHost: memory\r\n\r\n").expect("open");
    let mut response = [0; 1024];
    let mut length = 0;
    while !response[..length].ends_with(b"hello") {
        length += stream.read(&mut response[length..]).expect("a response");
    }
    stream
}

async fn answer(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::from("hello")))
}

fn ebbtide(listener: TcpListener) {
    let drain = Drain::new();
    let guard = drain.guard().expect("running");
    let http = Http::new(TokioExecutor::new(), TokioTimer::new());
    let served = ebbtide_tokio::serve(listener, guard, move |stream, guard| {
        http.serve(TokioIo::new(stream), service_fn(answer), guard)
    });
    tokio::spawn(async move {
        let _running = drain;
        drop(served.await);
    });
}

fn hyper_util(listener: TcpListener) {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new());
    builder.http2().timer(TokioTimer::new());
    tokio::spawn(async move {
        let graceful = GracefulShutdown::new();
        while let Ok((stream, _)) = listener.accept().await {
            let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service_fn(answer));
            tokio::spawn(graceful.watch(connection.into_owned()));
        }
    });
}
