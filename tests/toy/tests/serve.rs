//! What the accept loop and HTTP have of the toy.

use std::cell::Cell;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::rc::Rc;

use ebbtide::{Drain, Guard, Watcher};
use ebbtide_hyper::Http;
use ebbtide_toy::toy::net::{TcpListener, TcpStream};
use ebbtide_toy::toy::{self, block_on};
use ebbtide_toy::{Executor, Timer};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};

fn listen(drain: &Drain) -> (TcpListener, SocketAddr, Guard) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    (listener, address, drain.guard().expect("running"))
}

/// Loopback's kernel takes a connection and its bytes without the server, so this one may block.
fn connect(address: SocketAddr) -> TcpStream {
    std::net::TcpStream::connect(address).expect("it listens").try_into().expect("a reactor")
}

async fn hello(mut stream: TcpStream, guard: Guard) {
    let _ = stream.write_all(b"hello").await;
    drop(guard);
}

async fn heard(mut stream: TcpStream) -> String {
    let mut said = String::new();
    stream.read_to_string(&mut said).await.expect("it was reset");
    said
}

#[test]
fn connections_are_served_before_and_at_the_drain_and_then_the_port_refuses() {
    block_on(async {
        let drain = Drain::new();
        let (listener, address, guard) = listen(&drain);
        let server = toy::spawn(ebbtide_toy::serve(listener, guard, hello));
        assert_eq!(heard(connect(address)).await, "hello");
        let queued: Vec<_> = (0..20).map(|_| connect(address)).collect();
        let drained = drain.start();
        server.await.expect("no panic").expect("it ends well");
        assert!(std::net::TcpStream::connect(address).is_err(), "it listens on");
        for queued in queued {
            assert_eq!(heard(queued).await, "hello");
        }
        drained.await.expect("nothing was cut");
    });
}

#[test]
fn a_forced_close_drops_what_is_still_there() {
    block_on(async {
        let drain = Drain::new();
        let (listener, address, guard) = listen(&drain);
        let server = toy::spawn(ebbtide_toy::serve(listener, guard, |mut stream: TcpStream, guard| async move {
            stream.write_all(b"hello").await.expect("it is open");
            std::future::pending::<()>().await;
            drop(guard);
        }));
        let mut client = connect(address);
        client.read_exact(&mut [0; 5]).await.expect("hello");
        let drained = drain.start();
        server.await.expect("no panic").expect("it ends well");
        let overdue = ebbtide_toy::within(drained, std::time::Duration::ZERO).await;
        assert_eq!(overdue.expect_err("it is held").guards(), 1);
        assert_eq!(heard(client).await, "");
    });
}

#[test]
fn a_request_in_flight_completes_and_its_response_says_close() {
    block_on(async {
        let drain = Drain::new();
        let (listener, address, guard) = listen(&drain);
        let begun = Drain::new();
        let news = begun.watcher();
        // The service need not be `Send`: its connection stays on the thread that accepted it.
        let answered = Rc::new(Cell::new(0));
        let count = answered.clone();
        let answer = service_fn(move |request: Request<Incoming>| {
            drop(begun.start());
            let watcher = request.extensions().get::<Watcher>().expect("put there by ebbtide").clone();
            let count = count.clone();
            async move {
                watcher.await;
                count.set(count.get() + 1);
                Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("hello")))
            }
        });
        let http = Http::new(Executor, Timer).extend_every_request();
        let server = toy::spawn(ebbtide_toy::serve(listener, guard, move |stream, guard| {
            let served = http.serve(stream, answer.clone(), guard);
            async { served.await.expect("it ends well") }
        }));
        let mut client = connect(address);
        client.write_all(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n").await.expect("it is open");
        news.await;
        let drained = drain.start();
        let response = heard(client).await;
        assert!(response.contains("connection: close") && response.ends_with("hello"), "{response}");
        assert_eq!(answered.get(), 1);
        drained.await.expect("nothing was cut");
        server.await.expect("no panic").expect("it ends well");
    });
}
