//! Services that break a promise, each of which is to be caught by the line that says so.

use std::future::{Future, pending};
use std::time::Duration;

use ebbtide::{Drain, Guard};
use ebbtide_testkit::{Io, Rehearsal, Report, Runtime, Verdict};
use futures_lite::future::or;
use futures_lite::{AsyncReadExt, AsyncWriteExt};

const POST: &str = "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nfour";
const SWITCH: &str = "GET / HTTP/1.1\r\nHost: test\r\nConnection: upgrade\r\nUpgrade: test\r\n\r\n";

/// The guard, the connection and the clock of a service that does its HTTP by hand, and nearly well: as the tests want it.
struct Server {
    io: Io,
    guard: Option<Guard>,
    runtime: Runtime,
    /// Of the head.
    said: &'static str,
}

impl Server {
    fn new(io: Io, guard: Guard, runtime: &Runtime) -> Self {
        Self { io, guard: Some(guard), runtime: runtime.clone(), said: "Content-Length: 4\r\n" }
    }

    /// The rest of a request's head, if it comes before this.
    async fn head(&mut self, before: impl Future<Output = ()>) -> Option<Vec<u8>> {
        let read = async {
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") {
                if self.io.read(&mut byte).await.ok()? == 0 {
                    return None;
                }
                head.extend(byte);
            }
            Some(head)
        };
        or(read, async {
            before.await;
            None
        })
        .await
    }

    /// Serves one request whose head was read, and takes a second for it.
    async fn answer(&mut self) -> Option<()> {
        let mut body = [0; 4];
        self.io.read_exact(&mut body).await.ok()?;
        self.runtime.sleep(Duration::from_secs(1)).await;
        self.io.write_all(format!("HTTP/1.1 200 OK\r\n{}\r\n", self.said).as_bytes()).await.ok()?;
        self.io.write_all(&body).await.ok()
    }

    /// Ends the connection, and reads what the client still sends.
    async fn end(mut self) {
        let _ = self.io.close().await;
        let late = self.runtime.sleep(Duration::from_millis(100));
        let rest = async { while self.io.read(&mut [0; 1024]).await.is_ok_and(|read| read > 0) {} };
        or(rest, late).await;
    }
}

fn rehearse<F: Future + 'static>(connection: impl Fn(Server) -> F + Clone + 'static) -> Report {
    let rehearsal = Rehearsal::new(move |runtime| {
        let (runtime, connection) = (runtime.clone(), connection.clone());
        move |io, guard| connection(Server::new(io, guard, &runtime))
    });
    rehearsal.upgrade(SWITCH).run(POST)
}

#[track_caller]
fn is_broken(report: &Report, promise: &str, how: &str) {
    match report.verdict(promise) {
        Some(Verdict::Broken(told)) => assert!(told.contains(how), "{told}"),
        other => panic!("{other:?} of {promise} in {report}"),
    }
}

#[track_caller]
fn is_kept(report: &Report, promise: &str) {
    assert_eq!(report.verdict(promise), Some(&Verdict::Kept), "{report}");
}

#[test]
fn a_connection_that_is_dropped_at_the_drain() {
    let report = rehearse(|mut server| async move {
        let watcher = server.guard.as_ref()?.watcher();
        let serve = async {
            while server.head(pending()).await.is_some() {
                server.answer().await?;
            }
            Some(())
        };
        watcher.until_draining(serve).await?
    });
    is_broken(
        &report,
        "a_request_that_has_begun_when_the_drain_does_is_answered",
        "with 1 of its 54 bytes seen, on a new connection: no response, and a reset",
    );
    is_broken(&report, "a_response_in_flight_when_the_drain_begins_is_completed", "no response");
    is_kept(&report, "a_request_is_answered");
    is_kept(&report, "the_drain_waits_for_what_is_in_flight");
}

#[test]
fn a_head_that_is_lost_when_the_drain_comes_in_the_middle_of_it() {
    let report = rehearse(|mut server| async move {
        let watcher = server.guard.as_ref()?.watcher();
        // The classic: a race of the drain against the read of a head, whatever was read of it.
        while server.head(watcher.clone()).await.is_some() {
            server.answer().await?;
        }
        server.end().await;
        Some(())
    });
    is_broken(
        &report,
        "a_request_that_has_begun_when_the_drain_does_is_answered",
        "with 1 of its 54 bytes seen, on a new connection: no response, and the end",
    );
    is_kept(&report, "the_drain_waits_for_what_is_in_flight");
}

#[test]
fn a_guard_that_is_forgotten() {
    let report = rehearse(|mut server| async move {
        server.guard = None;
        while server.head(pending()).await.is_some() {
            server.answer().await?;
        }
        Some(())
    });
    is_broken(&report, "the_drain_waits_for_what_is_in_flight", "was its guard forgotten?");
    is_broken(&report, "a_forced_close_cuts_what_is_in_flight_and_says_so", "nothing was held");
}

#[test]
fn a_connection_that_hears_of_nothing() {
    let report = rehearse(|mut server| async move {
        while server.head(pending()).await.is_some() {
            server.answer().await?;
        }
        server.end().await;
        Some(())
    });
    is_broken(&report, "an_idle_connection_ends_by_fin_within_its_grace", "it does not end");
    is_broken(&report, "a_silent_connection_ends_by_fin_within_its_grace", "it does not end");
    is_broken(&report, "half_a_head_that_never_ends_holds_the_drain_no_longer_than_its_bound", "it does not end");
    is_broken(&report, "a_connection_ends_by_fin_right_behind_its_last_response", "it does not end");
    is_broken(&report, "a_forced_close_cuts_what_is_in_flight_and_says_so", "its task goes on");
    is_kept(&report, "a_request_that_has_begun_when_the_drain_does_is_answered");
}

#[test]
fn a_handler_that_hangs_once_the_drain_has_begun() {
    let report = rehearse(|mut server| async move {
        let guard = server.guard.clone()?;
        server.head(pending()).await?;
        server.said = "Content-Length: 4\r\nConnection: close\r\n";
        if guard.state() != ebbtide::State::Running {
            pending::<()>().await;
        }
        server.answer().await?;
        server.end().await;
        Some(())
    });
    is_broken(&report, "a_request_that_has_begun_when_the_drain_does_is_answered", "no response in time, and no end");
    is_broken(&report, "the_drain_ends_with_its_last_connection", "the drain has not ended");
    is_broken(&report, "a_client_that_leaves_before_its_response_does_not_hold_the_drain", "the drain has not ended");
}

#[test]
fn a_response_that_is_destroyed_by_a_reset() {
    let report = rehearse(|mut server| async move {
        server.said = "Content-Length: 4\r\nConnection: close\r\n";
        server.head(pending()).await?;
        server.answer().await
    });
    // Nobody reads on: what is behind the request meets a connection that is gone.
    is_broken(&report, "what_is_pipelined_behind_the_last_response_harms_nothing", "a reset");
    is_broken(&report, "a_flood_behind_the_last_request_does_not_destroy_its_response", "a reset");
    is_kept(&report, "a_request_that_has_begun_when_the_drain_does_is_answered");
}

#[test]
fn another_response_while_draining() {
    let report = rehearse(|mut server| async move {
        server.said = "Content-Length: 4\r\nConnection: close\r\n";
        server.head(pending()).await?;
        if server.guard.as_ref()?.state() == ebbtide::State::Running {
            server.answer().await?;
        } else {
            let _ = server.io.write_all(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
        }
        server.end().await;
        Some(())
    });
    is_broken(&report, "a_request_that_has_begun_when_the_drain_does_is_answered", "503 and not 200");
}

#[test]
fn a_client_that_is_waited_for_for_ever_though_it_takes_nothing() {
    let report = rehearse(|mut server| async move {
        let watcher = server.guard.as_ref()?.watcher();
        server.said = "Content-Length: 4\r\nConnection: close\r\n";
        let runtime = server.runtime.clone();
        let silent = async move {
            watcher.await;
            runtime.sleep(Duration::from_millis(150)).await;
        };
        server.head(silent).await?;
        server.answer().await?;
        server.end().await;
        Some(())
    });
    is_broken(
        &report,
        "a_client_that_takes_nothing_holds_the_drain_no_longer_than_its_bound",
        "connection 1: the server does not read, waits for room to write; the client has 16 B to read",
    );
}

#[test]
fn an_upgrade_that_is_forgotten() {
    let report = rehearse(|mut server| async move {
        server.head(pending()).await?;
        server.io.write_all(b"HTTP/1.1 101 Switching Protocols\r\n\r\n").await.ok()?;
        // As most servers do: the connection goes to its handler, and the guard stays behind.
        let Server { mut io, guard, runtime, .. } = server;
        runtime.spawn(async move { while io.read(&mut [0]).await.is_ok_and(|read| read > 0) {} });
        drop(guard);
        Some(())
    });
    is_broken(&report, "an_upgraded_connection_is_told_of_the_drain_or_waited_for", "it was forgotten");
    is_broken(&report, "a_forced_close_cuts_an_upgraded_connection_and_says_so", "nothing was held");
}

#[test]
fn a_service_that_does_not_answer_without_a_drain() {
    let report = rehearse(|mut server| async move {
        server.head(pending()).await;
        panic!("for the test");
    });
    is_broken(&report, "a_request_is_answered", "without any drain, no response, and a reset; panicked: connection 1");
    assert_eq!(report.outcomes().len(), 1, "{report}");
}

#[test]
fn a_service_that_never_answers_alike_is_compared_as_its_user_says() {
    let counting = || {
        let count = Drain::new();
        Rehearsal::new(move |runtime| {
            // Another body each time.
            let (runtime, guard) = (runtime.clone(), count.watcher().guard().expect("running"));
            std::mem::forget(guard);
            let body = format!("{:04}", count.guards());
            move |io, guard| {
                let (mut server, body) = (Server::new(io, guard, &runtime), body.clone());
                async move {
                    server.said = "Content-Length: 4\r\nConnection: close\r\n";
                    server.head(pending()).await?;
                    server
                        .io
                        .write_all(format!("HTTP/1.1 200 OK\r\n{}\r\n{body}", server.said).as_bytes())
                        .await
                        .ok()?;
                    server.end().await;
                    Some(())
                }
            }
        })
    };
    is_broken(&counting().run(POST), "a_request_is_answered", "it does not answer twice alike");
    let alike = counting().same(|one, other| one.status == other.status);
    is_kept(&alike.run(POST), "a_request_that_has_begun_when_the_drain_does_is_answered");
}
