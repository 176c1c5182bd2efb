//! The accept loop on real sockets.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use ebbtide::{Drain, Guard, LameDuck, State};
use ebbtide_accept::{AcceptErrorKind, Failure, Listener, Peer};
use ebbtide_tokio::Tokio;
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
    drain.guard().expect("running")
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
async fn newcomers_are_refused_while_those_who_are_queued_wait_for_the_limit() {
    let drain = Drain::new();
    let (address, server) = serve(&drain, |it| it.max_connections(1)).await;
    let mut first = TcpStream::connect(address).await.expect("open");
    while drain.held().is_empty() {
        tokio::task::yield_now().await;
    }
    let mut queued = Vec::new();
    for _ in 0..5 {
        queued.push(TcpStream::connect(address).await.expect("queued"));
    }
    let drained = drain.start();
    let refused = async {
        loop {
            if let Err(error) = TcpStream::connect(address).await {
                return error.kind();
            }
        }
    };
    // Longer than the second after which a SYN that was dropped comes again.
    let refused = tokio::time::timeout(Duration::from_secs(5), refused).await;
    assert_eq!(refused.expect("they wait for an answer"), ErrorKind::ConnectionRefused);
    for stream in std::iter::once(&mut first).chain(&mut queued) {
        assert!(echoed(stream).await, "it was lost");
    }
    server.await.expect("no panic").expect("it ends well");
    drained.await.expect("nothing was cut");
}

#[tokio::test]
#[should_panic = "a limit of 0 connections would serve nobody"]
async fn a_limit_of_no_connections_is_refused() {
    let _ = serve(&Drain::new(), |it| it.max_connections(0)).await;
}

#[tokio::test]
async fn other_owners_of_a_listener_accept_on_whether_it_drained_or_was_dropped() {
    let (listener, address) = listen().await;
    let owner = listener.into_std().expect("a socket");
    let clone = || TcpListener::from_std(owner.try_clone().expect("a descriptor")).expect("a socket");
    for is_shared in [false, true] {
        let drain = Drain::new();
        let mut server = ebbtide_tokio::serve(clone(), guard(&drain), boxed as fn(_, _) -> _);
        if is_shared {
            server = server.shared();
        }
        let drained = drain.start();
        server.await.expect("it ends well");
        drained.await.expect("nothing was cut");
        // Less than the second after which a SYN that was dropped comes again.
        let newcomer = tokio::time::timeout(Duration::from_millis(900), TcpStream::connect(address));
        newcomer.await.expect("at once").expect("it is open");
        owner.accept().expect("it is there");
    }
}

#[tokio::test]
async fn a_shared_listener_leaves_its_queue_to_its_other_owners() {
    let drain = Drain::new();
    let (listener, address) = listen().await;
    let owner = listener.into_std().expect("a socket");
    let listener = TcpListener::from_std(owner.try_clone().expect("a descriptor")).expect("a socket");
    let guard = guard(&drain);
    let queued = TcpStream::connect(address).await.expect("queued");
    let drained = drain.start();
    ebbtide_tokio::serve(listener, guard, boxed as fn(_, _) -> _).shared().await.expect("it ends well");
    drained.await.expect("nothing was cut");
    assert_eq!(owner.accept().expect("it is there").1, queued.local_addr().expect("open"));
}

/// A listener that fails in these ways, and then in no more.
struct Failing(TcpListener, Vec<std::io::ErrorKind>);

impl Listener<Tokio> for Failing {
    type Stream = TcpStream;
    type Socket = std::net::TcpListener;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<TcpStream>> {
        let Some(kind) = self.1.pop() else { return Listener::poll_accept(&mut self.0, cx) };
        Poll::Ready(Err(kind.into()))
    }

    fn into_socket(self) -> std::io::Result<std::net::TcpListener> {
        self.0.into_std()
    }

    fn peer(stream: &TcpStream) -> Peer {
        TcpListener::peer(stream)
    }

    fn adopt(stream: std::net::TcpStream) -> std::io::Result<TcpStream> {
        TcpListener::adopt(stream)
    }
}

#[tokio::test]
async fn every_error_of_accepting_is_told_with_what_is_done_about_it() {
    let drain = Drain::new();
    let (listener, _) = listen().await;
    let failing =
        Failing(listener, vec![ErrorKind::InvalidInput, ErrorKind::OutOfMemory, ErrorKind::ConnectionAborted]);
    let (told, heard) = std::sync::mpsc::channel();
    let served = ebbtide_tokio::serve(failing, guard(&drain), boxed as fn(_, _) -> _)
        .on_error(move |failure| match failure {
            Failure::Accept { kind, error } => told.send((*kind, error.kind())).expect("it is heard"),
            other => panic!("{other}"),
        })
        .await;
    assert_eq!(served.expect_err("the listener's").kind(), ErrorKind::InvalidInput);
    let expected = [
        (AcceptErrorKind::Connection, ErrorKind::ConnectionAborted),
        (AcceptErrorKind::Exhaustion, ErrorKind::OutOfMemory),
        (AcceptErrorKind::Listener, ErrorKind::InvalidInput),
    ];
    assert_eq!(heard.iter().collect::<Vec<_>>(), expected);
    assert_eq!(drain.state(), State::Running, "the drain is its owner's");
}

#[tokio::test]
async fn the_error_of_a_connection_is_told_with_its_peer_and_ends_nothing() {
    let drain = Drain::new();
    let (listener, address) = listen().await;
    let (told, heard) = std::sync::mpsc::channel();
    // The first connection fails, the next one does not.
    let mut fails = true;
    let connection = move |stream, guard| {
        let fails = std::mem::take(&mut fails);
        async move {
            echo(stream, guard).await;
            if fails { Err(std::io::Error::from(ErrorKind::InvalidData)) } else { Ok(()) }
        }
    };
    let served = ebbtide_tokio::serve(listener, guard(&drain), connection)
        .on_error(move |failure| told.send(failure.to_string()).expect("it is heard"));
    let served = tokio::spawn(served);
    let mut peers = Vec::new();
    for _ in 0..2 {
        let mut client = TcpStream::connect(address).await.expect("it listens");
        peers.push(client.local_addr().expect("connected"));
        assert!(echoed(&mut client).await);
    }
    drain.start().await.expect("nothing was cut");
    served.await.expect("no panic").expect("the listener is in order");
    let error = std::io::Error::from(ErrorKind::InvalidData);
    assert_eq!(heard.iter().collect::<Vec<_>>(), [format!("{}: {error}", peers[0])]);
}

#[tokio::test]
async fn in_a_lame_duck_time_it_goes_on_accepting() {
    let drain = Drain::new();
    let (address, server) = serve(&drain, |it| it).await;
    let passing = tokio::spawn(LameDuck::new(&drain, Duration::from_secs(600)).pass(tokio::time::sleep));
    let mut late = TcpStream::connect(address).await.expect("still open");
    assert!(echoed(&mut late).await);
    assert_eq!(drain.state(), State::Running);

    drain.close();
    passing.await.expect("it is over with the drain's start");
    server.await.expect("no panic").expect("a forced close is no error of the listener");
    assert!(TcpStream::connect(address).await.is_err(), "it listens on");
}

#[tokio::test]
async fn a_forced_close_drops_the_connections() {
    let drain = Drain::new();
    let (address, server) = serve(&drain, |it| it).await;
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
    ebbtide_tokio::serve(listener, guard, goodbye).await.expect("it ends well");
    drained.await.expect("nothing was cut");
    let mut said = String::new();
    client.read_to_string(&mut said).await.expect("a clean end");
    assert_eq!(said, "bye");
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_unix_listener_under_load_closes_at_once_and_loses_nobody() {
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    let path = std::env::temp_dir().join(format!("ebbtide-load-{}", std::process::id()));
    for _ in 0..20 {
        let listener = tokio::net::UnixListener::bind(&path).expect("a path");
        let drain = Drain::new();
        let hello = |mut stream: tokio::net::UnixStream, guard: Guard| async move {
            let _ = stream.write_all(b"x").await;
            drop(guard);
        };
        let server = tokio::spawn(ebbtide_tokio::serve(listener, guard(&drain), hello));
        let (answer, answers) = std::sync::mpsc::channel();
        for _ in 0..8 {
            let (answer, path) = (answer.clone(), path.clone());
            // On threads of their own, until they are refused.
            std::thread::spawn(move || {
                while let Ok(mut stream) = UnixStream::connect(&path) {
                    answer.send(stream.read(&mut [0; 2]).is_ok_and(|read| read == 1)).expect("it is heard");
                }
            });
        }
        drop(answer);
        while drain.guards() < 2 {
            tokio::task::yield_now().await;
        }
        let drained = drain.start();
        let begun = std::time::Instant::now();
        server.await.expect("no panic").expect("it ends well");
        // The clients go on until they are refused; a queue that they fill is never empty.
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
        drained.await.expect("nothing was cut");
        std::fs::remove_file(&path).expect("nobody else does");
        let lost = tokio::task::spawn_blocking(move || answers.iter().filter(|is_answered| !is_answered).count());
        assert_eq!(lost.await.expect("no panic"), 0, "connected, and not answered");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket_file_outlives_its_listener_and_is_replaced_by_the_next_one() {
    use tokio::net::{UnixListener, UnixStream};

    let path = std::env::temp_dir().join(format!("ebbtide-restart-{}", std::process::id()));
    let next = path.with_extension("next");
    let goodbye = |mut stream: UnixStream, guard: Guard| async move {
        let _ = stream.write_all(b"bye").await;
        drop(guard);
    };
    for _ in 0..3 {
        // Moved over what a predecessor has left: whoever connects meets one of the two.
        let listener = UnixListener::bind(&next).expect("a path");
        std::fs::rename(&next, &path).expect("one file system");
        let drain = Drain::new();
        let server = tokio::spawn(ebbtide_tokio::serve(listener, guard(&drain), goodbye));
        let mut said = String::new();
        let mut client = UnixStream::connect(&path).await.expect("it listens");
        client.read_to_string(&mut said).await.expect("a clean end");
        assert_eq!(said, "bye");
        drain.start().await.expect("nothing was cut");
        server.await.expect("no panic").expect("it ends well");
        assert_eq!(UnixStream::connect(&path).await.expect_err("closed").kind(), ErrorKind::ConnectionRefused);
        assert_eq!(UnixListener::bind(&path).expect_err("the file is there").kind(), ErrorKind::AddrInUse);
    }
    std::fs::remove_file(&path).expect("nobody else does");
}
