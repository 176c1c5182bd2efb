//! Services whose responses have no end of their own, and services that leave work behind: what a rehearsal says of them.

use std::convert::Infallible;
use std::future::pending;
use std::pin::Pin;
use std::time::Duration;

use axum::Router;
use axum::response::sse::{Event, Sse};
use axum::routing::get;
use ebbtide::{Guard, Watcher};
use ebbtide_goodbye::Ending;
use ebbtide_hyper::{EndBodies, Http};
use ebbtide_testkit::{Rehearsal, Report, Runtime, Verdict};
use futures_lite::future::or;
use futures_lite::stream::{self, Stream, StreamExt};
use http_body_util::StreamBody;
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};

const GET: &str = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";
const SECOND: Duration = Duration::from_secs(1);

type Item = Result<Frame<Bytes>, std::io::Error>;
type Pieces = Pin<Box<dyn Stream<Item = Item> + Send>>;

fn piece(text: &'static str) -> Frame<Bytes> {
    Frame::data(Bytes::from(text))
}

/// A tick each 50 ms, for ever.
fn ticks(runtime: &Runtime) -> Pieces {
    let ticks = stream::unfold(runtime.clone(), |runtime| async move {
        runtime.sleep(Duration::from_millis(50)).await;
        Some((Ok(piece("tick\n")), runtime))
    });
    Box::pin(ticks)
}

/// A service that answers by this: from a watcher of the drain, and the runtime.
fn service(body: impl Fn(Watcher, &Runtime) -> Pieces + Clone + 'static) -> Rehearsal {
    Rehearsal::new(move |runtime| {
        let (http, runtime, body) = (Http::new(runtime.clone(), runtime.clone()), runtime.clone(), body.clone());
        move |io, guard: Guard| {
            let (runtime, body, watcher) = (runtime.clone(), body.clone(), guard.watcher());
            let respond = move |_: Request<Incoming>| {
                let body = StreamBody::new(body(watcher.clone(), &runtime));
                async { Ok::<_, Infallible>(Response::new(body)) }
            };
            http.serve(io, service_fn(respond), guard)
        }
    })
}

#[track_caller]
fn is_broken(report: &Report, promise: &str, how: &str) {
    match report.verdict(promise) {
        Some(Verdict::Broken(told)) => assert!(told.contains(how), "{told}"),
        other => panic!("{other:?} of {promise} in {report}"),
    }
}

#[test]
fn a_stream_that_ends_with_the_drain_keeps_what_is_promised() {
    let ending =
        |watcher, runtime: &Runtime| Box::pin(Ending::new(ticks(runtime), watcher, |_| Ok(piece("bye\n")))) as Pieces;
    service(ending).run_endless(GET, Duration::ZERO).expect_kept();
    // One that waits for nothing but the drain.
    let silent = |watcher, _: &Runtime| {
        let silent = stream::once(Ok(piece("hello\n"))).chain(stream::pending());
        Box::pin(Ending::new(silent, watcher, |_| Ok(piece("bye\n")))) as Pieces
    };
    service(silent).run_endless(GET, Duration::ZERO).expect_kept();
}

/// A router of axum whose stream of events knows of no drain, on tokio.
fn router(layer: impl Fn(Router) -> Router + 'static) -> Rehearsal {
    let events = || async {
        let ticks = stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            Some((Ok::<_, Infallible>(Event::default().data("tick")), ()))
        });
        Sse::new(ticks)
    };
    let rehearsal = Rehearsal::new(move |_| {
        let app = layer(Router::new().route("/", get(events)));
        let http = Http::new(TokioExecutor::new(), TokioTimer::new()).news_in_every_request();
        move |io, guard| http.serve_tower(TokioIo::new(io), app.clone(), guard)
    });
    rehearsal.on_tokio()
}

#[test]
fn a_layer_ends_the_streams_of_a_service_that_knows_of_no_drain() {
    let layer = || EndBodies::after(SECOND, tokio::time::sleep);
    router(move |app| app.layer(layer())).run_endless(GET, SECOND).expect_kept();
    let report = router(|app| app).run_endless(GET, SECOND);
    is_broken(&report, "it_ends_in_time_at_whatever_step_of_it_the_drain_begins", "no end");
}

#[test]
fn a_stream_that_nobody_ends_is_found_out() {
    let report = service(|_, runtime| ticks(runtime)).run_endless(GET, SECOND);
    let how = "half a response in time, and no end";
    is_broken(&report, "it_ends_in_time_if_its_request_had_begun_when_the_drain_did", how);
    is_broken(&report, "it_ends_in_time_at_whatever_step_of_it_the_drain_begins", how);
}

#[test]
fn a_stream_that_takes_its_time_to_end_is_found_out() {
    let slow = |watcher: Watcher, runtime: &Runtime| {
        let (clock, ticks) = (runtime.clone(), ticks(runtime));
        let late = async move {
            watcher.await;
            clock.sleep(3 * SECOND).await;
        };
        let late = stream::once_future(Box::pin(async move {
            late.await;
            None
        }));
        Box::pin(late.or(ticks.map(Some)).take_while(Option::is_some).filter_map(|it| it)) as Pieces
    };
    let report = service(slow).run_endless(GET, SECOND);
    let how = "its last byte comes 3s after the drain began, and not within 1s";
    is_broken(&report, "it_ends_in_time_at_whatever_step_of_it_the_drain_begins", how);
    service(slow).run_endless(GET, 3 * SECOND).expect_kept();
}

#[test]
fn a_stream_that_is_cut_in_the_middle_is_found_out() {
    let cut = |watcher, runtime: &Runtime| {
        Box::pin(Ending::new(ticks(runtime), watcher, |_| Err(std::io::Error::other("cut")))) as Pieces
    };
    let report = service(cut).run_endless(GET, SECOND);
    is_broken(&report, "it_ends_in_time_at_whatever_step_of_it_the_drain_begins", "response, and the end");
}

#[test]
fn a_response_without_an_end_is_none_for_an_ordinary_rehearsal() {
    let bodies: [fn(Watcher, &Runtime) -> Pieces; 2] =
        [|_, runtime| ticks(runtime), |_, _| Box::pin(stream::repeat_with(|| Ok(piece("tick\n"))))];
    for body in bodies {
        let report = service(body).run(GET);
        is_broken(&report, "a_request_is_answered", "`Rehearsal::run_endless` is for that");
    }
}

#[test]
fn a_response_with_an_end_is_none_for_a_rehearsal_of_those_without() {
    let report = service(|_, _| Box::pin(stream::once(Ok(piece("all"))))).run_endless(GET, SECOND);
    is_broken(&report, "a_response_without_an_end_begins", "`Rehearsal::run` is for that");
}

/// Of a service on tokio that does this for each request, by tasks of tokio.
fn working(work: impl Fn(&Guard) + Clone + Send + Sync + 'static) -> Report {
    let rehearsal = Rehearsal::new(move |_| {
        let (http, work) = (Http::new(TokioExecutor::new(), TokioTimer::new()), work.clone());
        move |io, guard: Guard| {
            let (work, of_request) = (work.clone(), guard.clone());
            let respond = move |_: Request<Incoming>| {
                work(&of_request);
                async { Ok::<_, Infallible>(Response::new("done".to_owned())) }
            };
            http.serve(TokioIo::new(io), service_fn(respond), guard)
        }
    });
    rehearsal.on_tokio().run(GET)
}

#[test]
fn a_task_that_a_handler_spawns_and_forgets_is_noticed() {
    let report = working(|_| drop(tokio::spawn(tokio::time::sleep(3 * SECOND))));
    is_broken(&report, "no_task_outlives_the_drain", "1 task was still at work when the drain was over, until ");
    assert_eq!(report.broken().count(), 1, "{report}");
}

#[test]
fn a_task_that_has_a_guard_is_waited_for_and_not_left_behind() {
    let report = working(|guard| drop(tokio::spawn(guard.clone().during(tokio::time::sleep(SECOND)))));
    assert_eq!(report.verdict("no_task_outlives_the_drain"), Some(&Verdict::Kept), "{report}");
}

#[test]
fn a_task_that_is_a_part_of_the_service_is_not_taken_for_work() {
    let report = working(|_| {
        drop(tokio::spawn(async {
            loop {
                tokio::time::sleep(SECOND).await;
            }
        }));
    });
    report.expect_kept();
}

#[test]
fn a_task_on_the_simulations_own_runtime_is_noticed_too() {
    let forgetful = |watcher: Watcher, runtime: &Runtime| {
        let clock = runtime.clone();
        runtime.spawn(async move { or(clock.sleep(3 * SECOND), pending()).await });
        Box::pin(Ending::new(ticks(runtime), watcher, |_| Ok(piece("bye\n")))) as Pieces
    };
    let report = service(forgetful).run_endless(GET, Duration::ZERO);
    is_broken(&report, "no_task_outlives_the_drain", "still at work when the drain was over");
}
