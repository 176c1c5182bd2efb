//! The suite can fail: servers that are broken on purpose, each caught by the promise that it breaks.

use std::io;
use std::mem;
use std::pin::pin;
use std::sync::LazyLock;
use std::thread;
use std::time::Duration;

use ebbtide::{Drain, Guard};
use ebbtide_hyper::{Bounds, Http};
use ebbtide_testkit::hyper::Service;
use ebbtide_testkit::{Application, Start, Suite, Verdict};
use futures_lite::future;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));

/// Short, since what is waited for here never comes, but longer than the second after which TCP tries again: who connects
/// in the instant the port closes is refused then.
const PATIENCE: Duration = Duration::from_millis(2500);

/// What these servers do well.
const KEPT: &str = "a_server_with_nothing_to_drain_ends";
const COMPLETES: &str = "a_request_in_flight_completes_and_says_close_and_fin_follows";

/// One connection, with all there is to serve it.
struct Connection {
    stream: TcpStream,
    guard: Guard,
    application: Application,
    bounds: Bounds,
}

impl Connection {
    fn service(&self) -> Service<TokioExecutor> {
        Service::new(self.application.clone(), self.guard.clone(), TokioExecutor::new())
    }

    /// As it should be.
    async fn well(self) {
        let service = self.service();
        let http = Http::new(TokioExecutor::new(), TokioTimer::new()).bounds(self.bounds);
        drop(http.serve(TokioIo::new(self.stream), service, self.guard).await);
    }

    /// As hyper has it, with no news of the drain.
    async fn plain(self) {
        let service = self.service();
        let builder = auto::Builder::new(TokioExecutor::new());
        drop(builder.serve_connection_with_upgrades(TokioIo::new(self.stream), service).await);
    }

    /// As hyper has it, asked to end when the drain begins.
    async fn told(self) {
        let service = self.service();
        let builder = auto::Builder::new(TokioExecutor::new());
        let mut served = pin!(builder.serve_connection_with_upgrades(TokioIo::new(self.stream), service));
        let watcher = self.guard.watcher();
        if watcher.until_draining(served.as_mut()).await.is_none() {
            served.as_mut().graceful_shutdown();
            drop(served.await);
        }
    }
}

/// Serves well, but for its connections.
fn serve<Fut>(start: Start, serve: fn(Connection) -> Fut) -> io::Result<()>
where
    Fut: Future<Output = ()> + Send + 'static,
{
    RUNTIME.block_on(async {
        start.listener.set_nonblocking(true)?;
        let closed = start.guard.watcher().closed();
        let listener = TcpListener::from_std(start.listener)?;
        let connection = |stream, guard| {
            serve(Connection { stream, guard, application: start.application.clone(), bounds: start.bounds })
        };
        ebbtide_tokio::serve(listener, start.guard, connection).await?;
        closed.await;
        Ok(())
    })
}

/// How this promise is broken by the server, which keeps that one.
#[track_caller]
fn broken(server: fn(Start) -> io::Result<()>, broken: &str, kept: &str) -> String {
    how(&Suite::new("a broken server", server).patience(PATIENCE), broken, kept)
}

/// The same of the server of a suite.
#[track_caller]
fn how(suite: &Suite, broken: &str, kept: &str) -> String {
    let report = suite.clone().only(kept).run();
    assert_eq!(report.verdict(kept), Some(&Verdict::Kept), "{report}");
    let report = suite.clone().only(broken).run();
    match report.verdict(broken) {
        Some(Verdict::Broken(how)) => how.clone(),
        _ => panic!("{report}"),
    }
}

#[track_caller]
fn says(how: &str, words: &str) {
    assert!(how.contains(words), "{how}");
}

#[test]
fn one_that_is_as_it_should_be_is_not_caught() {
    let report = Suite::new("a server", |start| serve(start, Connection::well)).only(COMPLETES).run();
    report.expect_kept();
}

#[test]
fn one_that_drops_its_connections_when_the_drain_begins() {
    fn server(start: Start) -> io::Result<()> {
        serve(start, |it| async move {
            it.guard.watcher().until_draining(it.well()).await;
        })
    }
    says(&broken(server, COMPLETES, KEPT), "before a complete response");
}

#[test]
fn one_that_says_no_close() {
    fn server(start: Start) -> io::Result<()> {
        serve(start, Connection::plain)
    }
    says(&broken(server, COMPLETES, KEPT), "no `Connection: close`");
}

#[test]
fn one_that_takes_every_end_for_a_departure() {
    let promise = "a_client_that_ends_its_direction_behind_its_request_is_answered";
    // Gone before they are counted, or without a response.
    let _how = broken(|start| serve(start, Connection::told), promise, KEPT);
}

#[test]
fn one_that_has_no_last_words() {
    let promise = "a_request_cut_before_its_response_is_answered_503";
    says(&broken(|start| serve(start, Connection::told), promise, KEPT), "before a complete response");
}

#[test]
fn one_that_holds_no_guards() {
    fn server(start: Start) -> io::Result<()> {
        serve(start, |mut it| {
            // Of a drain that nobody starts.
            let drain = Drain::new();
            let given = mem::replace(&mut it.guard, drain.guard().expect("running"));
            async move {
                // Here and not before: a task whose closure has dropped its guard is waited for.
                drop(given);
                it.well().await;
                drop(drain);
            }
        })
    }
    says(&broken(server, "a_guard_goes_with_its_connection", KEPT), "a guard for each connection");
    // Cut, or not told of the drain: whichever is first.
    broken(server, COMPLETES, KEPT);
}

#[test]
fn one_that_forgets_a_guard() {
    fn server(start: Start) -> io::Result<()> {
        serve(start, |it| {
            mem::forget(it.guard.clone());
            it.well()
        })
    }
    says(&broken(server, "a_guard_goes_with_its_connection", KEPT), "in vain for guards as before");
    says(&broken(server, COMPLETES, KEPT), "the drain does not end: 1 guards are held");
}

#[test]
fn one_that_never_ends() {
    fn server(start: Start) -> io::Result<()> {
        serve(start, Connection::well)?;
        loop {
            thread::park();
        }
    }
    let suite = Suite::new("a broken server", server).patience(PATIENCE).only(KEPT);
    let report = suite.run();
    let Some(Verdict::Broken(how)) = report.verdict(KEPT) else { panic!("{report}") };
    says(how, "in vain for the end of the server");
}

#[test]
fn one_that_never_begins() {
    let suite = Suite::new("a broken server", |start| {
        loop {
            // With its listener open: clients are in the queue.
            thread::park();
            start.listener.take_error()?;
        }
    });
    let report = suite.patience(PATIENCE).only(COMPLETES).run();
    says(&report.to_string(), "nothing more came, not even an end");
}

#[test]
fn one_that_fails() {
    let suite = Suite::new("a broken server", |_| Err(io::ErrorKind::AddrInUse.into())).only(KEPT);
    says(&suite.run().to_string(), "the server failed: address in use");
}

#[test]
fn one_that_closes_its_listener_without_emptying_the_queue() {
    fn server(start: Start) -> io::Result<()> {
        RUNTIME.block_on(async {
            start.listener.set_nonblocking(true)?;
            let listener = TcpListener::from_std(start.listener)?;
            let (watcher, closed) = (start.guard.watcher(), start.guard.watcher().closed());
            let (application, bounds) = (start.application, start.bounds);
            while let Some(accepted) = watcher.clone().until_draining(listener.accept()).await {
                let (guard, application) = (start.guard.clone(), application.clone());
                let served = tokio::spawn(Connection { stream: accepted?.0, guard, application, bounds }.well());
                // No more than one at a time, where there is a limit.
                if start.max_connections.is_some() && watcher.clone().until_draining(served).await.is_none() {
                    break;
                }
            }
            drop((listener, start.guard));
            closed.await;
            Ok(())
        })
    }
    let how = broken(server, "connections_that_a_limit_holds_back_are_answered_while_draining", KEPT);
    says(&how, "the connection was reset before a complete response");
}

#[test]
fn one_whose_connections_take_no_turn_in_the_time_before_the_drain() {
    fn server(start: Start) -> io::Result<()> {
        serve(start, Connection::told)
    }
    let promise = "in_a_lame_duck_time_connections_are_told_by_their_responses_one_after_the_other";
    says(&broken(server, promise, KEPT), "not told by half of the time");
}

#[test]
fn one_that_waits_for_a_request_for_ever() {
    fn server(start: Start) -> io::Result<()> {
        serve(start, Connection::told)
    }
    let how = broken(server, "a_connection_that_asks_for_nothing_ends_by_fin_though_nothing_drains", KEPT);
    says(&how, "nothing more came, not even an end");
}

#[test]
fn one_that_goes_on_in_secret_after_a_forced_close() {
    fn server(start: Start) -> io::Result<()> {
        serve(start, |it| {
            tokio::spawn(it.plain());
            future::ready(())
        })
    }
    for promise in ["a_forced_close_ends_every_exchange_and_every_connection", "a_forced_close_ends_every_stream"] {
        says(&broken(server, promise, KEPT), "in vain for the end of all that is in flight");
    }
}

#[test]
fn one_that_tells_hyper_and_leaves_it_at_that() {
    fn server(start: Start) -> io::Result<()> {
        serve(start, Connection::told)
    }
    for promise in [
        "half_a_head_on_a_kept_connection_is_waited_for",
        "a_client_that_takes_nothing_does_not_hold_the_drain_for_ever",
        "a_ping_that_nobody_answers_does_not_hold_the_drain_for_ever",
        "a_large_body_that_is_not_read_does_not_destroy_the_response",
    ] {
        broken(server, promise, COMPLETES);
    }
}

#[test]
fn one_that_does_its_handshakes_before_all_else() {
    fn server(start: Start) -> io::Result<()> {
        RUNTIME.block_on(async {
            start.listener.set_nonblocking(true)?;
            let (listener, closed) = (TcpListener::from_std(start.listener)?, start.guard.watcher().closed());
            let tls = TlsAcceptor::from(start.tls.expect("the suite is over TLS"));
            let (application, bounds) = (start.application, start.bounds);
            let connection = |stream, guard: Guard| {
                let accept = tls.accept(stream);
                let service = Service::new(application.clone(), guard.clone(), TokioExecutor::new());
                async move {
                    let http = Http::new(TokioExecutor::new(), TokioTimer::new()).bounds(bounds);
                    let Ok(stream) = accept.await else { return };
                    drop(http.serve(TokioIo::new(stream), service, guard).await);
                }
            };
            ebbtide_tokio::serve(listener, start.guard, connection).await?;
            closed.await;
            Ok(())
        })
    }
    let suite = Suite::new("a broken server", server).patience(PATIENCE).over_tls();
    for promise in [
        "a_client_that_stops_in_its_handshake_is_not_waited_for_for_ever_though_nothing_drains",
        "a_connection_without_a_handshake_ends_by_fin_after_its_grace",
        "a_handshake_that_stops_does_not_hold_the_drain_for_ever",
        "a_handshake_that_stops_while_draining_does_not_hold_it_for_ever",
        // Its session does not end by a `close_notify`.
        "a_silent_connection_ends_by_fin_after_its_grace",
    ] {
        how(&suite, promise, COMPLETES);
    }
}
