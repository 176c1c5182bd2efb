//! How a service starts, what ends it, and what its outcome says.

use std::future::pending;
use std::io;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use ebbtide::{Guard, State};
use ebbtide_tokio::{Event, Obstacle, Outcome, Part, Service};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// Lines in the order in which they are written, from whichever task.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn add(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

fn code(outcome: &Outcome) -> String {
    format!("{:?}", ExitCode::from(outcome))
}

fn is_code(outcome: &Outcome, code: u8) -> bool {
    format!("{:?}", ExitCode::from(outcome)) == format!("{:?}", ExitCode::from(code))
}

fn is_not_to_begin() {
    panic!("it is not to begin");
}

#[tokio::test]
async fn stages_start_from_the_last_to_the_first_each_when_those_behind_it_are_ready() {
    let log = Log::default();
    let (http, worker, cache) = (log.clone(), log.clone(), log.clone());
    let service = Service::without_signals()
        .task("http", |_| async move { http.add("http") })
        .then()
        .task("worker", |_| async move { worker.add("worker") })
        .then()
        .task("cache", |part| async move {
            tokio::task::yield_now().await;
            cache.add("cache");
            part.ready();
            part.watcher().await;
        })
        .says_ready();
    let (drain, readiness) = (service.drain().clone(), service.readiness());
    assert_eq!(readiness.obstacle(), Some(Obstacle::Starting(Vec::new())));
    let running = tokio::spawn(service.run());
    while !readiness.is_ready() {
        tokio::task::yield_now().await;
    }
    drop(drain.start());
    assert!(running.await.unwrap().is_clean());
    let lines = log.lines();
    assert_eq!(lines[0], "cache", "{lines:?}");
    assert_eq!(lines.len(), 3, "{lines:?}");
}

#[tokio::test]
async fn a_part_that_fails_to_start_ends_what_has_started_in_order_and_the_rest_never_begins() {
    let log = Log::default();
    let (http, database, pool) = (log.clone(), log.clone(), log.clone());
    let outcome = Service::without_signals()
        .task("http", |_| async move { http.add("http began") })
        .then()
        .task("cache", |_| async { Err::<(), _>(io::Error::other("no such table")) })
        .says_ready()
        .then()
        .task("database", |part| async move {
            part.ready();
            part.watcher().await;
            database.add("database ends");
        })
        .says_ready()
        .finally("pool", async move { pool.add("pool closes") })
        .run()
        .await;
    assert_eq!(log.lines(), ["database ends", "pool closes"]);
    assert!(outcome.to_string().starts_with("did not start: cache failed: no such table; drained in"), "{outcome}");
    assert!(is_code(&outcome, 2), "{}", code(&outcome));
    assert_eq!(outcome.cause().unwrap().to_string(), "cache failed: no such table");
}

/// fx leaves its stop hooks out after a start that failed (issue 1035).
#[tokio::test]
async fn a_listener_that_cannot_be_bound_is_named_and_closing_actions_are_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let log = Log::default();
    let pool = log.clone();
    let connection = |_: TcpStream, _| async {};
    let outcome = Service::without_signals()
        .serve("api", TcpListener::bind(address).await, connection)
        .task("worker", |_| async { is_not_to_begin() })
        .finally("pool", async move { pool.add("pool closes") })
        .run()
        .await;
    assert_eq!(log.lines(), ["pool closes"]);
    let said = outcome.to_string();
    assert!(said.starts_with("did not start: api failed: Address") && said.contains("in use"), "{said}");
    assert!(outcome.failure().is_none() && !said.contains("worker"), "{said}");
    assert!(is_code(&outcome, 2), "{}", code(&outcome));
}

async fn greet(mut stream: TcpStream, guard: Guard) -> io::Result<()> {
    let _held = guard;
    stream.write_all(b"hello").await
}

#[tokio::test]
async fn the_queue_of_a_shared_listener_is_left_to_its_other_owners() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let other_owner = TcpListener::from_std(listener.try_clone().unwrap()).unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let service = Service::without_signals().serve("api", TcpListener::from_std(listener).unwrap(), greet).shared();
    drop(service.drain().start());
    assert!(service.run().await.is_clean());
    let (mut taken, _) = other_owner.accept().await.unwrap();
    taken.write_all(b"taken").await.unwrap();
    drop(taken);
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "taken");
}

#[tokio::test]
async fn a_limit_of_connections_has_the_next_client_wait_and_loses_none() {
    let open = Arc::new(AtomicUsize::new(0));
    let counted = open.clone();
    let connection = move |mut stream: TcpStream, guard: Guard| {
        let open = counted.clone();
        async move {
            let _held = guard;
            assert_eq!(open.fetch_add(1, Ordering::SeqCst), 0, "one at a time");
            tokio::task::yield_now().await;
            open.fetch_sub(1, Ordering::SeqCst);
            stream.write_all(b"hello").await
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut clients = Vec::new();
    for _ in 0..10 {
        clients.push(TcpStream::connect(address).await.unwrap());
    }
    let service = Service::without_signals().serve("api", listener, connection).sole_owner().max_connections(1);
    drop(service.drain().start());
    assert!(service.run().await.is_clean());
    for mut client in clients {
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "hello");
    }
}

#[tokio::test]
#[should_panic(expected = "this is said of a listener: add it just before")]
async fn a_limit_of_connections_of_what_does_not_listen_is_a_panic() {
    drop(Service::without_signals().task("worker", |part| part.watcher()).max_connections(1));
}

#[tokio::test]
async fn more_reserve_than_deadline_is_an_error_that_tells_both() {
    let outcome = Service::without_signals()
        .deadline(Duration::from_secs(1))
        .finally("pool", async {})
        .reserve(Duration::from_secs(2))
        .run()
        .await;
    let said = "did not start: the stages reserve 2s, pauses between them included, of a deadline of 1s";
    assert_eq!(outcome.to_string(), said);
}

/// A start before `run` loses everything in swift-service-lifecycle (issue 248).
#[tokio::test]
async fn a_drain_before_the_start_serves_who_is_queued_and_ends_in_order() {
    let log = Log::default();
    let (worker, pool) = (log.clone(), log.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let service = Service::without_signals()
        .serve("api", listener, greet)
        .then()
        .task("worker", |part| async move {
            part.watcher().await;
            worker.add("worker ends");
        })
        .finally("pool", async move { pool.add("pool closes") });
    drop(service.drain().start_because("SIGTERM, say"));
    let outcome = service.run().await;
    assert!(outcome.is_clean(), "{outcome}");
    assert!(outcome.to_string().ends_with(" s (SIGTERM, say)"), "{outcome}");
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "hello");
    assert_eq!(log.lines(), ["worker ends", "pool closes"]);
}

#[tokio::test]
async fn a_drain_during_the_start_begins_nothing_more() {
    let (drains, begins) = oneshot::channel();
    let service = Service::without_signals()
        .task("http", |_| async { is_not_to_begin() })
        .then()
        .task("cache", |part: Part| async move {
            drains.send(()).unwrap();
            part.watcher().await;
        })
        .says_ready();
    let drain = service.drain().clone();
    let running = tokio::spawn(service.run());
    begins.await.unwrap();
    drop(drain.start());
    let outcome = running.await.unwrap();
    assert!(outcome.is_clean(), "{outcome}");
}

#[tokio::test]
async fn the_first_failure_drains_the_rest_and_a_panic_keeps_its_words() {
    for panics in [false, true] {
        let outcome = Service::without_signals()
            .task("worker", move |_| async move {
                assert!(!panics, "job 666 is cursed");
                Err::<(), _>(io::Error::other("job 666 is cursed"))
            })
            .task("cron", |part| async move { part.watcher().await })
            .run()
            .await;
        let how = if panics { "it panicked: " } else { "" };
        let said = format!("worker failed: {how}job 666 is cursed; drained in ");
        assert!(outcome.to_string().starts_with(&said), "{outcome}");
        assert!(is_code(&outcome, 1), "{}", code(&outcome));
    }
}

#[tokio::test]
async fn a_failure_while_draining_is_in_the_outcome() {
    let outcome = Service::without_signals()
        .task("worker", |part| async move {
            part.watcher().await;
            Err::<(), _>(io::Error::other("cannot flush"))
        })
        .task("trigger", |_| async {})
        .essential()
        .run()
        .await;
    assert_eq!(outcome.cause().unwrap().to_string(), "trigger has ended");
    assert_eq!(outcome.failure().unwrap().to_string(), "worker failed: cannot flush");
}

#[tokio::test]
async fn whose_end_matters_is_said_of_each_part() {
    let log = Log::default();
    let events = log.clone();
    let (end, ended) = oneshot::channel::<()>();
    let service = Service::without_signals()
        .on_event(move |event| {
            if let Event::Failed(error) = event {
                events.add(error.to_string());
            }
        })
        .task("optional", |_| async { Err::<(), _>(io::Error::other("never mind")) })
        .optional()
        .task("migration", |_| async {})
        .task("essential", |_| async move { drop(ended.await) })
        .essential();
    let drain = service.drain().clone();
    let running = tokio::spawn(service.run());
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(drain.state(), State::Running);
    drop(end);
    let outcome = running.await.unwrap();
    assert!(outcome.is_clean(), "{outcome}");
    assert_eq!(outcome.cause().unwrap().to_string(), "essential has ended");
    assert_eq!(log.lines(), ["optional failed: never mind"]);
}

#[tokio::test]
async fn readiness_is_a_switch_beside_the_drain() {
    let service = Service::without_signals().task("http", |part| async move { part.watcher().await });
    let (drain, readiness) = (service.drain().clone(), service.readiness());
    let running = tokio::spawn(service.run());
    while !readiness.is_ready() {
        tokio::task::yield_now().await;
    }
    readiness.set(false);
    assert_eq!(readiness.obstacle(), Some(Obstacle::SwitchedOff));
    assert_eq!(drain.state(), State::Running);
    readiness.set(true);
    assert!(readiness.is_ready());
    drop(drain.start_because("an operator"));
    assert_eq!(readiness.obstacle().unwrap().to_string(), "draining: an operator");
    assert!(running.await.unwrap().is_clean());
}

#[tokio::test]
async fn what_is_not_ready_yet_is_named() {
    let service = Service::without_signals().task("cache", |_| pending::<()>()).says_ready();
    let (drain, readiness) = (service.drain().clone(), service.readiness());
    let running = tokio::spawn(service.run());
    while readiness.obstacle() == Some(Obstacle::Starting(Vec::new())) {
        tokio::task::yield_now().await;
    }
    assert_eq!(readiness.obstacle().unwrap().to_string(), "starting: cache");
    drain.close();
    let outcome = running.await.unwrap();
    assert_eq!(outcome.cut().len(), 1, "{outcome}");
}

#[tokio::test]
async fn the_outcome_and_the_drain_name_what_was_cut_in_which_part() {
    let service = Service::without_signals().deadline(Duration::ZERO).task("worker", |part| async move {
        let _job = part.labelled("job 7");
        pending::<()>().await;
    });
    let drain = service.drain().clone();
    let running = tokio::spawn(service.run());
    while drain.held().is_empty() {
        tokio::task::yield_now().await;
    }
    // The part has begun once it has its guard for the job.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let drained = drain.start();
    let outcome = running.await.unwrap();
    let said = outcome.to_string();
    assert!(said.contains("worker: closed by force: ") && said.contains("job 7"), "{said}");
    assert!(is_code(&outcome, 1), "{}", code(&outcome));
    assert_eq!(drained.await.unwrap_err().held()[0].label().to_string(), "worker");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stage_ends_when_the_tasks_of_the_one_before_are_gone_also_by_force() {
    let log = Log::default();
    let (worker, pool) = (log.clone(), log.clone());
    let (begins, begun) = oneshot::channel();
    let service = Service::without_signals()
        .task("worker", |part| async move {
            begins.send(()).unwrap();
            // A poll that is under way when the part is cut, and a while longer.
            while part.state() < State::Closed {
                thread::yield_now();
            }
            thread::sleep(Duration::from_millis(20));
            worker.add("worker is gone");
        })
        .finally("pool", async move { pool.add("pool closes") });
    let drain = service.drain().clone();
    let running = tokio::spawn(service.run());
    begun.await.unwrap();
    drain.close();
    let outcome = running.await.unwrap();
    assert_eq!(outcome.cut().len(), 1, "{outcome}");
    assert_eq!(log.lines(), ["worker is gone", "pool closes"]);
}

#[tokio::test]
async fn dropping_the_run_drains_in_the_background() {
    let (ended, end) = oneshot::channel();
    let service = Service::without_signals().task("worker", |part| async move {
        part.watcher().await;
        ended.send(part.cause().unwrap().to_string()).unwrap();
    });
    let readiness = service.readiness();
    let running = tokio::spawn(service.run());
    while !readiness.is_ready() {
        tokio::task::yield_now().await;
    }
    running.abort();
    assert_eq!(end.await.unwrap(), "nobody runs the service any more");
}

/// The flush of opentelemetry's providers blocks its thread, and may hang (opentelemetry-rust 868, 1961).
#[tokio::test]
async fn a_flush_that_hangs_takes_its_reserve_and_no_more_and_is_named() {
    let (hangs, flush) = channel::<()>();
    let service = Service::without_signals()
        .finally("telemetry", tokio::task::spawn_blocking(move || while flush.recv().is_ok() {}))
        .reserve(Duration::from_millis(50));
    service.drain().close();
    let outcome = service.run().await;
    drop(hangs);
    let [(part, _)] = outcome.cut() else { panic!("{outcome}") };
    assert_eq!(part.to_string(), "telemetry");
}

#[tokio::test]
async fn what_blocks_its_thread_is_waited_for_and_left_behind_when_time_is_up() {
    let (sender, receiver) = channel::<()>();
    let (stays, stay) = channel::<()>();
    let service = Service::without_signals()
        .deadline(Duration::from_millis(100))
        .blocking("import", move |part| {
            while part.state() == State::Running {
                thread::yield_now();
            }
            sender.send(()).unwrap();
        })
        .then()
        .blocking("stuck", move |_| while stay.recv().is_ok() {});
    drop(service.drain().start());
    let outcome = service.run().await;
    receiver.recv().unwrap();
    assert_eq!(outcome.cut().len(), 1, "{outcome}");
    assert_eq!(outcome.cut()[0].0.to_string(), "stuck");
    drop(stays);
}

#[tokio::test]
async fn a_part_may_stay_on_one_thread() {
    let service = Service::without_signals()
        .local("local", |part| async move {
            let count = std::rc::Rc::new(7);
            let here = thread::current().id();
            let task = tokio::task::spawn_local(async move { (*count, thread::current().id()) });
            part.watcher().await;
            assert_eq!(task.await.unwrap(), (7, here));
        })
        .task("trigger", |_| async {})
        .essential();
    let outcome = service.run().await;
    assert!(outcome.is_clean(), "{outcome}");
}

#[tokio::test]
async fn a_log_that_blocks_holds_up_nothing() {
    let (stays, stay) = channel::<()>();
    let service = Service::without_signals()
        .on_event(move |_| while stay.recv().is_ok() {})
        .task("trigger", |_| async {})
        .essential();
    assert!(service.run().await.is_clean());
    drop(stays);
}

#[tokio::test]
async fn a_service_without_parts_waits_for_its_drain() {
    let service = Service::without_signals();
    let drain = service.drain().clone();
    let running = tokio::spawn(service.run());
    tokio::task::yield_now().await;
    assert!(!running.is_finished());
    drop(drain.start());
    assert!(running.await.unwrap().is_clean());
}

#[test]
fn a_task_that_blocks_the_only_thread_for_tasks_does_not_hold_up_the_end_by_force() {
    let (hangs, stuck) = channel::<()>();
    let (blocks, is_blocked) = channel();
    let service = ebbtide_smol::Service::without_signals().task("stuck", move |_| async move {
        blocks.send(()).unwrap();
        while stuck.recv().is_ok() {}
    });
    let drain = service.drain().clone();
    thread::spawn(move || {
        is_blocked.recv().unwrap();
        drain.close();
    });
    let outcome = smol::block_on(service.run());
    drop(hangs);
    assert_eq!(outcome.cut().len(), 1, "{outcome}");
}

#[test]
fn the_same_service_runs_on_smol() {
    use smol::net::TcpListener;

    let log = Log::default();
    let (worker, pool) = (log.clone(), log.clone());
    let outcome = ebbtide_smol::run(async move {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        ebbtide_smol::Service::without_signals()
            .serve("api", listener, |_: smol::net::TcpStream, _| async {})
            .then()
            .task("worker", |part| async move {
                part.watcher().await;
                worker.add("worker ends");
            })
            .blocking("import", |_| {})
            .essential()
            .local("local", |part| async move { part.watcher().await })
            .finally("pool", async move { pool.add("pool closes") })
            .run()
            .await
    });
    assert!(outcome.is_clean(), "{outcome}");
    assert_eq!(log.lines(), ["worker ends", "pool closes"]);
}

#[tokio::test]
async fn a_second_service_that_listens_to_signals_says_what_to_do() {
    let first = Service::new();
    let outcome = Service::new().run().await;
    assert!(outcome.to_string().starts_with("did not start: signals are already listened to"), "{outcome}");
    drop(first);
}
