//! What a simulation is: its time, its tasks and its connections.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::io::{Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use ebbtide::{Guard, Overdue, State};
use ebbtide_hyper::Http;
use ebbtide_testkit::wire::{End, Wire};
use ebbtide_testkit::{Io, Runtime, Simulation, http2};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};

const SECOND: Duration = Duration::from_secs(1);

/// Both kinds: what is said of one holds for the other.
fn both(test: impl Fn(Simulation)) {
    test(Simulation::new());
    test(Simulation::tokio());
}

/// What a panic says.
fn panics(what: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(what)).expect_err("a panic");
    panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(|it| (*it).to_owned())).unwrap()
}

async fn echo(mut io: Io, guard: Guard) {
    let mut bytes = [0; 1024];
    while let Ok(count @ 1..) = io.read(&mut bytes).await {
        io.write_all(&bytes[..count]).await.expect("a client");
    }
    drop(guard);
}

#[test]
fn time_passes_when_nothing_else_is_to_be_done() {
    both(|simulation| {
        let real = Instant::now();
        let runtime = simulation.runtime();
        simulation.block_on(async move { runtime.sleep(1000 * SECOND).await });
        assert_eq!(simulation.now(), 1000 * SECOND);
        assert!(real.elapsed() < 100 * SECOND);
    });
}

#[test]
fn no_time_passes_while_it_settles() {
    both(|simulation| {
        let done = Rc::new(Cell::new(0));
        for _ in 0..1000 {
            let (runtime, done) = (simulation.runtime(), done.clone());
            simulation.spawn(async move {
                done.set(done.get() + 1);
                futures_lite::future::yield_now().await;
                done.set(done.get() + 1);
                runtime.sleep(SECOND).await;
                done.set(done.get() + 1);
            });
        }
        simulation.settle();
        assert_eq!((done.get(), simulation.now()), (2000, Duration::ZERO));
        simulation.pass(SECOND);
        assert_eq!((done.get(), simulation.now()), (3000, SECOND));
    });
}

#[test]
fn timers_are_due_in_their_order() {
    both(|simulation| {
        let order = Rc::new(Cell::new(0_u32));
        for second in [3, 1, 2] {
            let (runtime, order) = (simulation.runtime(), order.clone());
            simulation.spawn(async move {
                runtime.sleep(second * SECOND).await;
                order.set(order.get() * 10 + second);
            });
        }
        simulation.pass(2 * SECOND);
        assert_eq!(order.get(), 12);
        simulation.pass(SECOND);
        assert_eq!(order.get(), 123);
    });
}

#[test]
fn what_is_spawned_on_tokio_is_part_of_it() {
    let simulation = Simulation::tokio();
    let told = simulation.block_on(async {
        let (tell, told) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            tokio::time::sleep(5 * SECOND).await;
            tell.send("told")
        });
        told.await
    });
    assert_eq!((told, simulation.now()), (Ok("told"), 5 * SECOND));
}

#[test]
fn it_settles_only_when_what_is_on_tokio_has() {
    let simulation = Simulation::tokio();
    let mut client = simulation.connect(|mut io, _guard| async move {
        // Over to tokio's tasks and back for every byte, and never is there a timer.
        let (to, mut from) = tokio::sync::mpsc::channel(1);
        let (back, mut home) = tokio::sync::mpsc::channel(1);
        tokio::spawn(async move {
            while let Some(byte) = from.recv().await {
                tokio::task::yield_now().await;
                let _ = back.send(byte).await;
            }
        });
        let mut byte = [0];
        while AsyncReadExt::read(&mut io, &mut byte).await.is_ok_and(|count| count == 1) {
            to.send(byte[0]).await.expect("it receives");
            let byte = home.recv().await.expect("it sends");
            AsyncWriteExt::write_all(&mut io, &[byte]).await.expect("a client");
        }
    });
    client.send([b'x'; 1000]);
    simulation.settle();
    assert_eq!(simulation.now(), Duration::ZERO);
    assert_eq!(client.take(1000).map(|it| it.len()), Ok(1000));
    client.half_close();
    assert!(client.is_ended());
    assert_eq!(simulation.now(), Duration::ZERO);
}

#[test]
fn wakers_may_be_woken_by_other_threads() {
    both(|simulation| {
        let mut thread = None;
        simulation.block_on(poll_fn(move |cx| match thread.take() {
            None => {
                let waker = cx.waker().clone();
                let waking = std::thread::spawn(move || waker.wake());
                waking.join().expect("it only wakes");
                thread = Some(());
                Poll::Pending
            }
            Some(()) => Poll::Ready(()),
        }));
    });
}

#[test]
fn what_waits_for_ever_fails_at_once_and_says_who_waits_for_what() {
    let simulation = Simulation::new();
    let mut client = simulation.connect(echo);
    simulation.spawn(pending());
    let told = panics(|| drop(client.take(1)));
    for part in [
        "nothing will ever happen: the client of connection 1 waits for bytes, no task can run and no timer is set",
        "the drain is Running with 1 guards held, 1 by connection 1",
        "connection 1: the server waits for bytes; the client has 0 B to read",
        "tasks: connection 1, a task",
    ] {
        assert!(told.contains(part), "{told}");
    }
    assert_eq!(simulation.now(), Duration::ZERO);
}

#[test]
fn what_waits_for_ever_beside_a_timer_fails_within_an_hour_of_virtual_time() {
    both(|simulation| {
        let runtime = simulation.runtime();
        simulation.spawn(async move {
            loop {
                runtime.sleep(SECOND).await;
            }
        });
        let told = panics(|| simulation.block_on(pending()));
        assert!(told.starts_with("somebody blocks on a future, and has done so for 3600s"), "{told}");
    });
}

#[test]
fn a_task_that_wakes_itself_for_ever_is_found() {
    let simulation = Simulation::new();
    simulation.spawn(poll_fn(|cx| {
        cx.waker().wake_by_ref();
        Poll::Pending
    }));
    assert!(panics(|| simulation.settle()).starts_with("the tasks go on and on"));
}

#[test]
fn a_panic_ends_its_task_alone_and_is_told() {
    both(|simulation| {
        simulation.spawn(async { panic!("for the test") });
        simulation.settle();
        let told = panics(|| simulation.until("the impossible", || false));
        assert!(told.contains("the impossible") && told.ends_with("panicked: a task"), "{told}");
    });
}

#[test]
fn a_task_cannot_drive_what_it_is_driven_by() {
    both(|simulation| {
        let mut client = simulation.connect(echo);
        let told = panics(|| simulation.block_on(async move { drop(client.take(1)) }));
        assert!(told.starts_with("a task of a simulation cannot drive it"), "{told}");
    });
}

#[test]
fn a_connection_holds_no_more_than_its_capacity() {
    let simulation = Simulation::new().capacity(10);
    let written = Rc::new(Cell::new(0));
    let count = written.clone();
    let mut stream = simulation
        .reach(|mut io, _guard| async move {
            loop {
                io.write_all(b"x").await.expect("a client");
                count.set(count.get() + 1);
            }
        })
        .expect("it listens");
    simulation.settle();
    assert_eq!(written.get(), 10);
    assert_eq!(stream.read(&mut [0; 4]).expect("bytes"), 4);
    simulation.settle();
    assert_eq!(written.get(), 14);
}

#[test]
fn a_client_that_writes_more_than_there_is_room_for_waits() {
    let simulation = Simulation::new().capacity(10);
    let runtime = simulation.runtime();
    let mut stream = simulation
        .reach(|mut io, _guard| async move {
            for _ in 0..10 {
                runtime.sleep(SECOND).await;
                io.read_exact(&mut [0; 10]).await.expect("a client");
            }
        })
        .expect("it listens");
    stream.write_all(&[0; 100]).expect("room, in time");
    assert_eq!(simulation.now(), 9 * SECOND);
}

#[test]
fn ends_are_told_apart() {
    let simulation = Simulation::new();
    // Read to its end, and dropped.
    let mut client = simulation.connect(|mut io, _guard| async move { drop(io.read(&mut [0; 10]).await) });
    client.send("all");
    assert_eq!(client.end(), End::Fin);
    // Dropped with something unread.
    let mut client = simulation.connect(|mut io, _guard| async move {
        io.write_all(b"lost").await.expect("a client");
        drop(io.read(&mut [0; 2]).await);
    });
    client.send("all");
    assert_eq!(client.end(), End::Reset);
    // Written to when it is gone.
    let mut client = simulation.connect(|mut io, _guard| async move { io.write_all(b"lost").await });
    assert!(!client.is_ended(), "there is something to be read");
    client.send("too late");
    assert_eq!(client.end(), End::Reset);
}

#[test]
fn what_a_client_has_not_read_before_it_leaves_is_a_reset_to_the_server() {
    let simulation = Simulation::new();
    let seen = Rc::new(Cell::new(None));
    let serve = |seen: Rc<Cell<_>>| {
        move |mut io: Io, _guard| async move {
            io.write_all(b"hello").await.expect("a client");
            seen.set(Some(io.read(&mut [0]).await.map_err(|error| error.kind())));
        }
    };
    let mut client = simulation.connect(serve(seen.clone()));
    client.take(5).expect("hello");
    drop(client);
    simulation.settle();
    assert_eq!(seen.take(), Some(Ok(0)));
    let client = simulation.connect(serve(seen.clone()));
    simulation.settle();
    drop(client);
    simulation.settle();
    assert_eq!(seen.take(), Some(Err(std::io::ErrorKind::ConnectionReset)));
}

#[test]
fn after_a_half_close_the_other_direction_goes_on() {
    let simulation = Simulation::new();
    let mut client = simulation.connect(echo);
    client.send("hello");
    client.half_close();
    assert_eq!(client.take(5).expect("an echo"), b"hello");
    assert_eq!(client.end(), End::Fin);
}

#[test]
fn its_drain_ends_with_its_connections_or_by_force() {
    both(|simulation| {
        let client = simulation.connect(echo);
        drop(simulation.drain().start());
        simulation.pass(SECOND);
        assert_eq!(simulation.drain().state(), State::Draining);
        assert!(simulation.reach(echo).is_err());
        drop(client);
        simulation.ended(SECOND).expect("the client left");
    });
    both(|simulation| {
        let _client = simulation.connect(echo);
        let cut = simulation.ended(SECOND).expect_err("the client stays");
        assert_eq!((cut.guards(), simulation.now()), (1, SECOND));
    });
}

async fn hello(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new("hello".into()))
}

#[test]
fn hyper_serves_http_2_with_its_tasks_and_its_clock() {
    let simulation = Simulation::new();
    let http = Http::new(simulation.runtime(), simulation.runtime());
    let stream = simulation.reach(|io, guard| http.serve(io, service_fn(hello), guard)).expect("it listens");
    let mut client = http2::Client::begin(Wire::over(stream), http2::PREFACE);
    let stream = client.get("/");
    assert_eq!(client.response(stream), "hello");
    let late = client.get("/");
    let drained = simulation.drain().start();
    assert_eq!(client.response(late), "hello");
    client.until_goaways(2);
    assert_eq!(client.end(), End::Fin);
    drop(client);
    simulation.block_on(drained).expect("nothing was cut");
}

#[test]
fn tokio_serves_with_its_own_tasks_and_clock() {
    let simulation = Simulation::tokio();
    let http = Http::new(TokioExecutor::new(), TokioTimer::new());
    let slow = |request| async {
        tokio::time::sleep(3 * SECOND).await;
        hello(request).await
    };
    let mut client = simulation.connect(|io, guard| http.serve(TokioIo::new(io), service_fn(slow), guard));
    client.get("/");
    simulation.pass(SECOND);
    drop(simulation.drain().start());
    let response = client.response();
    assert_eq!((response.text(), response.says_close()), ("hello", true));
    assert_eq!(client.end(), End::Fin);
    assert_eq!(simulation.now(), 3 * SECOND);
    simulation.ended(Duration::ZERO).expect("nothing was cut");
}

#[test]
fn an_executor_of_smol_runs_as_a_task() {
    let simulation = Simulation::new();
    let executor = Rc::new(smol::LocalExecutor::new());
    let (running, runtime) = (executor.clone(), simulation.runtime());
    simulation.spawn(async move { running.run(pending()).await });
    let mut client = simulation.connect(move |mut io, guard| async move {
        let task = executor.spawn(async move {
            let mut byte = [0];
            io.read_exact(&mut byte).await.expect("a byte");
            runtime.sleep(SECOND).await;
            io.write_all(&byte).await
        });
        drop(task.await);
        drop(guard);
    });
    client.send("x");
    assert_eq!(client.take(1).expect("an echo"), b"x");
    assert_eq!(simulation.now(), SECOND);
}

#[test]
fn what_is_given_away_may_be_sent() {
    fn check<T: Send + Sync + 'static>() {}
    check::<Runtime>();
    check::<Io>();
    check::<ebbtide_testkit::Sleep>();
    check::<Overdue>();
}
