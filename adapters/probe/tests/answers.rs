//! What a probe answers, by a service's life and by its settings.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use ebbtide::{Drain, State};
use ebbtide_connection::Connections;
use ebbtide_probe::{Body, Probe, Token};
use ebbtide_tokio::Service;
use futures_lite::AsyncReadExt;
use futures_lite::future::block_on;
use http::{Method, Request, Response, StatusCode};
use http_body::Body as _;
use serde_json::Value;
use tokio::sync::oneshot;

const HERE: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
const TOKEN: &str = "0123456789abcdef";

fn get(probe: &Probe, path: &str) -> (StatusCode, String) {
    text(probe.answer(&Request::get(path).body(()).unwrap(), HERE))
}

fn text(answer: Response<Body>) -> (StatusCode, String) {
    let (parts, mut body) = answer.into_parts();
    let mut text = String::new();
    block_on(body.read_to_string(&mut text)).unwrap();
    (parts.status, text)
}

fn status(probe: &Probe) -> Value {
    serde_json::from_str(&get(probe, "/drain").1).unwrap()
}

fn post(probe: &Probe, path: &str) -> (StatusCode, String) {
    let request = Request::post(path).header("host", "localhost").header("authorization", format!("Bearer {TOKEN}"));
    text(probe.answer(&request.body(()).unwrap(), HERE))
}

/// A stream of events, for a server with this drain.
fn events(probe: &Probe, server: Option<&Drain>) -> Response<Body> {
    let mut request = Request::get("/drain").header("accept", "text/event-stream").body(()).unwrap();
    if let Some(server) = server {
        request.extensions_mut().insert(server.watcher());
    }
    probe.answer(&request, HERE)
}

fn next(body: &mut Body) -> Poll<Option<String>> {
    let polled = Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()));
    polled.map(|it| it.map(|it| String::from_utf8(it.unwrap().into_data().unwrap().to_vec()).unwrap()))
}

fn actions() -> Token {
    Token::new(TOKEN).unwrap()
}

#[tokio::test]
async fn a_service_is_shown_from_its_start_to_its_end() {
    let (starts, start) = oneshot::channel();
    let (ends, end) = oneshot::channel::<()>();
    let service = Service::without_signals().deadline(Duration::from_secs(3600));
    let probe = Probe::of(&service).ends_before("diagnostics");
    let drain = service.drain().clone();
    let service = service
        .task("api", |part| async move {
            let upload = part.labelled("upload");
            let _ = end.await;
            drop(upload);
        })
        .then()
        .task("diagnostics", |part| async move {
            let _ = start.await;
            part.ready();
            part.watcher().await;
            std::future::pending::<()>().await;
        })
        .says_ready();
    let running = tokio::spawn(service.run());
    until(|| get(&probe, "/ready").1 == "starting: diagnostics\n").await;
    assert_eq!(status(&probe)["phase"], "starting");
    starts.send(()).unwrap();
    until(|| get(&probe, "/ready") == (StatusCode::OK, "ready\n".to_owned())).await;
    assert_eq!(status(&probe)["elapsed_seconds"], Value::Null);

    drop(drain.start_because("a test"));
    until(|| status(&probe)["phase"] == "draining" && status(&probe)["stages"][0]["state"] == "draining").await;
    assert_eq!(get(&probe, "/ready"), (StatusCode::SERVICE_UNAVAILABLE, "draining: a test\n".to_owned()));
    assert_eq!(get(&probe, "/live"), (StatusCode::OK, "alive\n".to_owned()));
    let now = status(&probe);
    assert_eq!((&now["cause"], &now["deadline_seconds"]), (&"a test".into(), &3600.0.into()));
    assert!(now["left_seconds"].as_f64() <= Some(3600.0) && now["elapsed_seconds"].is_f64(), "{now}");
    assert_eq!((&now["held"][0]["what"], &now["held"][0]["part"]), (&"upload".into(), &"api".into()));
    assert_eq!((&now["guards"], &now["stages"][1]["parts"][0]["outlives"]), (&1.into(), &true.into()));

    ends.send(()).unwrap();
    until(|| status(&probe)["phase"] == "drained").await;
    let now = status(&probe);
    assert_eq!((&now["stages"][0]["state"], &now["guards"]), (&"closed".into(), &0.into()));
    assert!(get(&probe, "/metrics").1.contains("ebbtide_drains_ended_total{outcome=\"clean\"} 1.0"));
    drain.close();
    assert_eq!(running.await.unwrap().cut().len(), 1, "the diagnostics, which go on behind the end");
}

async fn until(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_drain_alone_is_shown_too() {
    let drain = Drain::new();
    let probe = Probe::new(&drain).deadline(Duration::from_secs(9)).unready(StatusCode::NOT_FOUND);
    let upload = drain.watcher().labelled("upload");
    assert_eq!(get(&probe, "/ready").0, StatusCode::OK);
    drop(drain.start_because("SIGTERM"));
    assert_eq!(get(&probe, "/ready"), (StatusCode::NOT_FOUND, "draining: SIGTERM\n".to_owned()));
    assert_eq!(
        (status(&probe)["held"][0]["what"].as_str(), status(&probe)["phase"].as_str()),
        (Some("upload"), Some("draining"))
    );
    assert!(get(&probe, "/metrics").1.contains("ebbtide_drains_started_total{reason=\"SIGTERM\"} 1.0"));
    drop(upload);
    assert_eq!(status(&probe)["phase"], "drained");
    assert_eq!(get(&probe, "/live").0, StatusCode::OK);
}

#[test]
fn the_status_has_the_fields_that_the_readme_shows() {
    let readme = include_str!("../README.md").split("```json").nth(1).and_then(|it| it.split("```").next());
    let shown: Value = serde_json::from_str(readme.unwrap()).unwrap();
    let drain = Drain::new();
    let probe = Probe::new(&drain).connections(&Connections::new());
    let upload = drain.watcher().labelled("upload");
    let told = status(&probe);
    let keys = |it: &Value| it.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&told), keys(&shown));
    assert_eq!(keys(&told["connections"]), keys(&shown["connections"]));
    assert_eq!(keys(&told["held"][0]), keys(&shown["held"][0]));
    drop(upload);
}

#[test]
fn the_readiness_switch_is_turned_by_post_and_by_the_program() {
    let drain = Drain::new();
    let probe = Probe::new(&drain).actions(actions());
    assert_eq!(post(&probe, "/ready/off").0, StatusCode::OK);
    assert_eq!(get(&probe, "/ready"), (StatusCode::SERVICE_UNAVAILABLE, "switched off\n".to_owned()));
    assert_eq!((drain.state(), status(&probe)["phase"].as_str()), (State::Running, Some("switched_off")));
    assert_eq!(post(&probe, "/ready/on").0, StatusCode::OK);
    assert_eq!(get(&probe, "/ready").0, StatusCode::OK);
    probe.set_ready(false);
    assert_eq!(get(&probe, "/ready").0, StatusCode::SERVICE_UNAVAILABLE);
}

#[test]
fn actions_are_off_and_every_attempt_is_told() {
    let (drain, log) = (Drain::new(), Arc::new(Mutex::new(Vec::new())));
    let lines = log.clone();
    let probe = Probe::new(&drain).on_attempt(move |it| {
        lines.lock().unwrap().push(it.to_string());
        panic!("a log of a test");
    });
    assert_eq!(post(&probe, "/drain").0, StatusCode::FORBIDDEN);
    let probe = probe.actions(Token::new("another token, 24 chars.".replace(' ', "_")).unwrap());
    assert_eq!(post(&probe, "/drain").0, StatusCode::UNAUTHORIZED);
    assert_eq!(drain.state(), State::Running);
    let probe = probe.actions(actions());
    assert_eq!(post(&probe, "/drain").0, StatusCode::ACCEPTED);
    assert_eq!(drain.cause().unwrap().to_string(), "POST /drain from 127.0.0.1");
    assert_eq!(post(&probe, "/drain").0, StatusCode::ACCEPTED, "also if it has begun");
    let log = log.lock().unwrap();
    assert!(log[0].contains("refused: this action is off"), "{log:?}");
    assert_eq!(
        log[1..],
        [
            "POST /drain from 127.0.0.1 was refused: its token is wrong",
            "POST /drain from 127.0.0.1 was done",
            "POST /drain from 127.0.0.1 was done",
        ]
    );
}

#[test]
fn a_stream_goes_on_through_the_drain_and_ends_with_its_server() {
    let (drain, server) = (Drain::new(), Drain::new());
    let probe = Probe::new(&drain);
    let mut body = events(&probe, Some(&server)).into_body();
    let Poll::Ready(Some(first)) = next(&mut body) else { panic!("an event at once") };
    assert!(first.starts_with("retry: 1000\ndata: {") && first.ends_with("}\n\n"), "{first}");
    let upload = drain.watcher().labelled("upload");
    drop(drain.start());
    let event = block_on(std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)));
    let event = String::from_utf8(event.unwrap().unwrap().into_data().unwrap().to_vec()).unwrap();
    assert!(event.contains("Draining"), "{event}");
    drop(upload);
    drop(server.start());
    let Poll::Ready(Some(last)) = next(&mut body) else { panic!("the last state") };
    assert!(last.contains("Drained"), "{last}");
    assert_eq!(next(&mut body), Poll::Ready(None));
    assert!(body.is_end_stream());
}

#[test]
fn a_stream_whose_server_is_not_known_never_outlives_the_beginning_of_the_drain() {
    let drain = Drain::new();
    let probe = Probe::new(&drain);
    let mut body = events(&probe, None).into_body();
    assert!(next(&mut body).is_ready());
    let upload = drain.watcher().labelled("upload");
    drop(drain.start());
    assert!(matches!(next(&mut body), Poll::Ready(Some(_))));
    assert_eq!(next(&mut body), Poll::Ready(None));
    let mut again = events(&probe, None).into_body();
    assert!(matches!(next(&mut again), Poll::Ready(Some(_))), "it comes back, and has an event each time");
    assert_eq!(next(&mut again), Poll::Ready(None));
    drop(upload);
}

#[test]
fn there_are_few_streams_and_those_that_end_make_room() {
    let drain = Drain::new();
    let probe = Probe::new(&drain).max_streams(2);
    let two = [events(&probe, None), events(&probe, None)];
    let third = events(&probe, None);
    assert_eq!(
        (third.status(), &third.headers()["retry-after"]),
        (StatusCode::SERVICE_UNAVAILABLE, &"5".parse().unwrap())
    );
    drop(two);
    assert_eq!(events(&probe, None).status(), StatusCode::OK);
    let head = Request::head("/drain").header("accept", "text/event-stream").body(()).unwrap();
    assert_eq!(probe.answer(&head, HERE).headers()["content-type"], "application/json", "a HEAD takes no place");
}

#[test]
fn a_browser_sees_the_page_and_everybody_else_json() {
    let probe = Probe::new(&Drain::new());
    let kind = |accept: Option<&str>| {
        let request = accept.iter().fold(Request::get("/drain"), |request, it| request.header("accept", *it));
        let answer = probe.answer(&request.body(()).unwrap(), HERE);
        assert_eq!(answer.headers()["cache-control"], "no-store");
        answer.headers()["content-type"].to_str().unwrap().to_owned()
    };
    assert_eq!(kind(None), "application/json");
    assert_eq!(kind(Some("*/*")), "application/json");
    assert_eq!(kind(Some("application/json, text/html")), "application/json");
    assert_eq!(kind(Some("text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")), "text/html; charset=utf-8");
    assert_eq!(kind(Some("text/event-stream")), "text/event-stream");
}

#[test]
fn what_is_not_there_is_not_found_and_other_methods_are_not_allowed() {
    let probe = Probe::new(&Drain::new()).under("probe");
    assert_eq!(get(&probe, "/nothing").0, StatusCode::NOT_FOUND);
    assert_eq!(get(&probe, "/probe/live").0, StatusCode::OK);
    assert_eq!(get(&probe, "/live").0, StatusCode::OK);
    assert_eq!(get(&probe, "/probelive").0, StatusCode::NOT_FOUND);
    assert!(get(&probe, "/probe").1.starts_with("<!doctype html>"));
    let asked = |method: Method, path: &str| {
        let answer = probe.answer(&Request::builder().method(method).uri(path).body(()).unwrap(), HERE);
        (answer.status(), answer.headers().get("allow").map(|it| it.to_str().unwrap().to_owned()))
    };
    let not_allowed = |methods: &str| (StatusCode::METHOD_NOT_ALLOWED, Some(methods.to_owned()));
    assert_eq!(asked(Method::PUT, "/drain"), not_allowed("GET, HEAD, POST"));
    assert_eq!(asked(Method::POST, "/live"), not_allowed("GET, HEAD"));
    assert_eq!(asked(Method::DELETE, "/nothing"), (StatusCode::NOT_FOUND, None));
    let head = probe.answer(&Request::head("/live").body(()).unwrap(), HERE);
    assert_eq!((head.status(), head.body().is_end_stream()), (StatusCode::OK, true));
}

#[test]
fn a_scrape_is_waited_for_and_sees_what_was_before_the_wait() {
    let drain = Drain::new();
    let probe = Probe::new(&drain);
    let mut cx = Context::from_waker(Waker::noop());
    get(&probe, "/metrics");
    let mut scraped = pin!(probe.scraped());
    assert!(scraped.as_mut().poll(&mut cx).is_pending(), "the one before does not count");
    get(&probe, "/drain");
    assert!(scraped.as_mut().poll(&mut cx).is_pending());
    get(&probe, "/metrics");
    assert!(scraped.as_mut().poll(&mut cx).is_ready());
}

#[test]
fn a_former_drain_that_was_killed_is_told_everywhere() {
    let mut probe = Probe::new(&Drain::new());
    for _ in 0..20 {
        probe = probe.killed("the last drain of process 812 was killed after 29.8 s while holding: GET /report 29.1 s");
    }
    assert_eq!(status(&probe)["killed"].as_array().unwrap().len(), 8, "no more than a few");
    assert!(get(&probe, "/metrics").1.contains("ebbtide_killed_drains_total 8.0"));
    assert!(get(&probe, "/").1.contains("while holding: GET /report 29.1 s"));
}
