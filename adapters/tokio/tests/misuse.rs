//! Programs around `serve` that compile and are wrong: what becomes of them. `docs/misuse.md` lists them.

use std::future::pending;
use std::io;
use std::net::SocketAddr;

use ebbtide::{Drain, Guard, State};
use ebbtide_accept::Peer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    (listener, address)
}

/// Answers a byte with a byte.
async fn echo(mut stream: TcpStream, guard: Guard) -> io::Result<()> {
    let mut byte = [0];
    stream.read_exact(&mut byte).await?;
    stream.write_all(&byte).await?;
    drop(guard);
    Ok(())
}

const LOST: &str = "closed, but not well: 1 guard was given up (an accept loop that was dropped with its queue; \
                    await it instead, it ends by itself)";

#[tokio::test]
async fn an_accept_loop_that_is_dropped_at_the_drain_spoils_its_outcome() {
    let drain = Drain::new();
    let (listener, _) = listen().await;
    let served = ebbtide_tokio::serve(listener, drain.guard().expect("running"), echo);
    let watcher = drain.watcher();
    // As a service does that is told of the drain by a signal.
    let wrong = tokio::spawn(watcher.until_draining(served));
    tokio::task::yield_now().await;
    let drained = drain.start();
    assert!(wrong.await.expect("no panic").is_none());
    assert_eq!(drained.await.expect_err("its queue is lost").to_string(), LOST);
}

#[tokio::test]
async fn an_accept_loop_in_a_select_spoils_the_outcome_if_the_select_drops_it() {
    let drain = Drain::new();
    let (listener, _) = listen().await;
    let served = ebbtide_tokio::serve(listener, drain.guard().expect("running"), echo);
    let drained = drain.start();
    tokio::select! {
        biased;
        () = drain.watcher() => {}
        served = served => panic!("{served:?}"),
    }
    assert_eq!(drained.await.expect_err("its queue is lost").to_string(), LOST);
}

#[tokio::test]
async fn an_accept_loop_that_is_dropped_while_the_service_runs_spoils_nothing() {
    let drain = Drain::new();
    let (listener, _) = listen().await;
    drop(ebbtide_tokio::serve(listener, drain.guard().expect("running"), echo));
    drain.start().await.expect("nothing was promised");
}

#[tokio::test]
async fn a_shared_listener_may_be_dropped_at_any_time_since_its_queue_is_the_others() {
    let drain = Drain::new();
    let (listener, _) = listen().await;
    let served = ebbtide_tokio::serve(listener, drain.guard().expect("running"), echo).shared();
    let drained = drain.start();
    drop(served);
    drained.await.expect("nothing is lost");
}

#[tokio::test]
async fn a_server_whose_last_drain_was_dropped_before_it_ran_ends_with_an_error_that_says_so() {
    /// Has a drain of its own, and loses it.
    fn server(listener: TcpListener) -> impl Future<Output = io::Result<()>> {
        let drain = Drain::new();
        ebbtide_tokio::serve(listener, drain.guard().expect("running"), echo)
    }
    let (listener, address) = listen().await;
    let mut queued = TcpStream::connect(address).await.expect("queued");
    let error = server(listener).await.expect_err("it never served");
    assert_eq!(error.to_string(), "nothing was served: the last `Drain` had been dropped, which starts the drain");
    queued.write_all(b"x").await.expect("it was accepted all the same");
    assert_eq!(queued.read(&mut [0]).await.expect("and is served"), 1);
}

#[tokio::test]
async fn a_server_that_has_run_ends_well_though_its_last_drain_was_dropped() {
    let drain = Drain::new();
    let (listener, address) = listen().await;
    let server = tokio::spawn(ebbtide_tokio::serve(listener, drain.guard().expect("running"), echo));
    let mut client = TcpStream::connect(address).await.expect("it listens");
    client.write_all(b"x").await.expect("open");
    assert_eq!(client.read(&mut [0]).await.expect("served"), 1);
    drop(drain);
    server.await.expect("no panic").expect("who drops the last drain on purpose ends the service by that");
}

#[tokio::test]
async fn a_server_that_is_told_to_drain_before_it_ran_ends_well() {
    let drain = Drain::new();
    let (listener, _) = listen().await;
    let served = ebbtide_tokio::serve(listener, drain.guard().expect("running"), echo);
    let drained = drain.start();
    served.await.expect("a signal may come at any time");
    drained.await.expect("nothing was cut");
}

#[tokio::test]
async fn a_connection_whose_closure_drops_its_guard_is_waited_for_all_the_same() {
    for is_told in [false, true] {
        let drain = Drain::new();
        let (listener, address) = listen().await;
        // The guard goes when this closure returns, before the first poll of the connection.
        let connection = |mut stream: TcpStream, _: Guard| async move {
            let mut byte = [0];
            stream.read_exact(&mut byte).await?;
            stream.write_all(&byte).await
        };
        let limited = ebbtide_tokio::serve(listener, drain.guard().expect("running"), connection).max_connections(1);
        let limited = if is_told { limited.on_error(|failure| panic!("{failure}")) } else { limited };
        let server = tokio::spawn(limited);
        let mut client = TcpStream::connect(address).await.expect("it listens");
        while drain.held().is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(drain.guards(), 2, "the loop's, and one for the connection");
        let drained = drain.start();
        server.await.expect("no panic").expect("it ends well");
        assert_eq!(drain.state(), State::Draining);
        client.write_all(b"x").await.expect("open");
        assert_eq!(client.read(&mut [0]).await.expect("not cut"), 1);
        drained.await.expect("nothing was cut");
    }
}

#[tokio::test]
async fn what_a_connection_does_behind_its_guard_is_dropped_at_the_close() {
    let drain = Drain::new();
    let (listener, address) = listen().await;
    let connection = |mut stream: TcpStream, guard: Guard| async move {
        let _ = stream.write_all(b"x").await;
        drop(guard);
        pending::<()>().await;
    };
    let server = tokio::spawn(ebbtide_tokio::serve(listener, drain.guard().expect("running"), connection));
    let mut client = TcpStream::connect(address).await.expect("it listens");
    assert_eq!(client.read(&mut [0]).await.expect("open"), 1);
    drain.start().await.expect("the guard was dropped, so nothing was promised");
    server.await.expect("no panic").expect("it ends well");
    assert_eq!(client.read(&mut [0]).await.expect("a clean end"), 0);
}

#[tokio::test]
async fn a_server_is_over_before_its_connections_are() {
    let drain = Drain::new();
    let (listener, address) = listen().await;
    let server = tokio::spawn(ebbtide_tokio::serve(listener, drain.guard().expect("running"), echo));
    let mut client = TcpStream::connect(address).await.expect("it listens");
    let drained = drain.start();
    // A `main` that returns behind this line cuts the client. One that waits for the drain does not.
    server.await.expect("no panic").expect("it ends well");
    assert_eq!(drain.held()[0].to_string(), client.local_addr().expect("open").to_string());
    client.write_all(b"x").await.expect("open");
    assert_eq!(client.read(&mut [0]).await.expect("served"), 1);
    drained.await.expect("nothing was cut");
}

#[tokio::test]
async fn a_connection_knows_who_its_peer_is() {
    let drain = Drain::new();
    let (listener, address) = listen().await;
    let (told, mut heard) = mpsc::unbounded_channel();
    let connection = move |_stream: TcpStream, guard: Guard| {
        let peer = Peer::of(&guard).and_then(Peer::addr);
        told.send(peer).expect("it is heard");
        async move { drop(guard) }
    };
    let server = tokio::spawn(ebbtide_tokio::serve(listener, drain.guard().expect("running"), connection));
    let client = TcpStream::connect(address).await.expect("it listens");
    assert_eq!(heard.recv().await, Some(client.local_addr().ok()));
    drain.start().await.expect("nothing was cut");
    server.await.expect("no panic").expect("it ends well");
}

#[tokio::test]
async fn work_on_a_thread_of_its_own_is_waited_for_and_told_when_it_is_cut() {
    let drain = Drain::new();
    let guard = drain.guard().expect("running");
    let (goes_on, waits) = std::sync::mpsc::channel();
    let blocking = tokio::task::spawn_blocking(move || {
        waits.recv().expect("it is told");
        guard.state()
    });
    let drained = drain.start();
    assert_eq!(drain.state(), State::Draining);
    drain.close();
    assert_eq!(drained.await.expect_err("it was at work").guards(), 1);
    goes_on.send(()).expect("it waits");
    assert_eq!(blocking.await.expect("no panic"), State::Closed);
    drain.released().await;
}

#[tokio::test]
async fn a_local_task_under_a_guard_is_dropped_by_a_forced_close() {
    let drain = Drain::new();
    let (alive, dropped) = oneshot::channel::<()>();
    let local = tokio::task::LocalSet::new();
    let task = local.spawn_local(drain.guard().expect("running").during(async move {
        let _alive = alive;
        pending::<()>().await;
    }));
    local
        .run_until(async {
            tokio::task::yield_now().await;
            drain.close();
            assert_eq!(task.await.expect("no panic"), None);
        })
        .await;
    assert!(dropped.await.is_err());
}
