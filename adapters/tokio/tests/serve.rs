//! The accept loop on real sockets.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use ebbtide::{Drain, Guard, State};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Echoes one byte, and is done.
async fn echo(mut stream: TcpStream, guard: Guard) {
    let mut byte = [0];
    if stream.read_exact(&mut byte).await.is_ok() {
        let _ = stream.write_all(&byte).await;
    }
    drop(guard);
}

fn guard(drain: &Drain) -> Guard {
    drain.watcher().guard().expect("running")
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    (listener, address)
}

async fn serve(drain: &Drain, with: impl FnOnce(Echo) -> Echo) -> (SocketAddr, JoinHandle<std::io::Result<()>>) {
    let (listener, address) = listen().await;
    let served: Echo = ebbtide_tokio::serve(listener, guard(drain), boxed);
    (address, tokio::spawn(with(served)))
}

type Echo = ebbtide_tokio::Serve<TcpListener, fn(TcpStream, Guard) -> Boxed>;
type Boxed = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

fn boxed(stream: TcpStream, guard: Guard) -> Boxed {
    Box::pin(echo(stream, guard))
}

async fn echoed(stream: &mut TcpStream) -> bool {
    stream.write_all(b"x").await.is_ok() && matches!(stream.read(&mut [0]).await, Ok(1))
}

#[tokio::test]
async fn what_is_in_the_queue_is_served_and_then_the_port_refuses() {
    let drain = Drain::new();
    let (listener, address) = listen().await;
    let mut queued = Vec::new();
    for _ in 0..20 {
        queued.push(TcpStream::connect(address).await.expect("queued"));
    }
    let guard = guard(&drain);
    let drained = drain.start();
    ebbtide_tokio::serve(listener, guard, boxed as fn(_, _) -> _).await.expect("it ends well");
    let refused = TcpStream::connect(address).await.expect_err("closed");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    for stream in &mut queued {
        assert!(echoed(stream).await, "it was reset");
    }
    drained.await.expect("nothing was cut");
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_in_the_queue_also_while_draining() {
    let drain = Drain::new();
    let (address, server) = serve(&drain, |it| it.max_connections(1)).await;
    let mut first = TcpStream::connect(address).await.expect("open");
    let mut second = TcpStream::connect(address).await.expect("queued");
    while drain.held().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(drain.held()[0].to_string(), first.local_addr().expect("open").to_string());

    let drained = drain.start();
    second.write_all(b"x").await.expect("queued");
    assert!(echoed(&mut first).await);
    assert!(matches!(second.read(&mut [0]).await, Ok(1)), "it was lost");
    server.await.expect("no panic").expect("it ends well");
    drained.await.expect("nothing was cut");
}

#[tokio::test]
async fn a_lame_duck_goes_on_accepting() {
    let drain = Drain::new();
    let (address, server) = serve(&drain, |it| it.lame_duck(Duration::from_secs(600))).await;
    drop(drain.start());
    let mut late = TcpStream::connect(address).await.expect("still open");
    assert!(echoed(&mut late).await);
    assert_eq!(drain.state(), State::Draining);

    drain.close();
    server.await.expect("no panic").expect("a forced close is no error of the listener");
    assert!(TcpStream::connect(address).await.is_err(), "it listens on");
}

#[tokio::test]
async fn a_forced_close_drops_the_connections() {
    let drain = Drain::new();
    let (address, server) = serve(&drain, Echo::named).await;
    let mut open = TcpStream::connect(address).await.expect("open");
    while drain.held().is_empty() {
        tokio::task::yield_now().await;
    }
    drain.close();
    assert_eq!(open.read(&mut [0]).await.expect("a clean end"), 0);
    server.await.expect("no panic").expect("it ends well");
}

#[tokio::test]
async fn a_task_that_panics_releases_its_guard() {
    let drain = Drain::new();
    let task = ebbtide_tokio::spawn(guard(&drain), async { panic!("as told") });
    assert!(task.await.is_err());
    drain.start().await.expect("nothing is held");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_closes_by_force() {
    let drain = Drain::new();
    let held = guard(&drain);
    let overdue = ebbtide_tokio::within(drain.start(), Duration::from_secs(10)).await.expect_err("held");
    assert_eq!(overdue.guards(), 1);
    drop(held);
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket_is_served_alike() {
    let path = std::env::temp_dir().join(format!("ebbtide-{}", std::process::id()));
    let listener = tokio::net::UnixListener::bind(&path).expect("a path");
    let mut client = tokio::net::UnixStream::connect(&path).await.expect("queued");
    std::fs::remove_file(&path).expect("bound");
    let drain = Drain::new();
    let guard = guard(&drain);
    let drained = drain.start();
    let goodbye = |mut stream: tokio::net::UnixStream, guard: Guard| async move {
        let _ = stream.write_all(b"bye").await;
        drop(guard);
    };
    ebbtide_tokio::serve(listener, guard, goodbye).named().await.expect("it ends well");
    drained.await.expect("nothing was cut");
    let mut said = String::new();
    client.read_to_string(&mut said).await.expect("a clean end");
    assert_eq!(said, "bye");
}
