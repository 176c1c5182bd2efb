//! What a subscriber of `tracing` is told of a drain.

use std::collections::BTreeMap;
use std::fmt;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use ebbtide::Drain;
use ebbtide_service::trace_drain;
use ebbtide_tokio::Service;
use futures_util::FutureExt;
use tokio::time::sleep;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Subscriber};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

/// Longer than any of this takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Keeps what it is told of the target `ebbtide`, each as a line.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    /// Has this thread's spans and events told, until what is returned is dropped.
    fn heard(&self) -> DefaultGuard {
        tracing::subscriber::set_default(Registry::default().with(self.clone()))
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// The lines, once the span is closed: virtual time does not wait for the thread on which all is told.
    fn closed(&self) -> Vec<String> {
        let until = Instant::now() + PATIENCE;
        while self.lines().last().is_none_or(|it| it != "closed drain") {
            assert!(Instant::now() < until, "{:?}", self.lines());
            thread::yield_now();
        }
        self.lines()
    }

    fn add(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }
}

#[derive(Default)]
struct Fields(BTreeMap<&'static str, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // What is measured is another time each time.
        let is_set = ["deadline", "lame_duck"].contains(&field.name());
        self.0.insert(field.name(), if is_set { value.to_string() } else { "_".into() });
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
}

impl fmt::Display for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().filter(|it| *it.0 != "message").try_for_each(|(name, value)| write!(f, " {name}={value}"))
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Log {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if attributes.metadata().target() != "ebbtide" {
            return;
        }
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let span = context.span(id).expect("it is new");
        let parent = span.parent().map_or(String::new(), |it| format!(" in {}", it.name()));
        self.add(format!("span {}{parent}{fields}", span.name()));
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if event.metadata().target() != "ebbtide" {
            return;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        let parent = context.event_span(event).map_or("nothing", |it| it.name());
        let message = fields.0.get("message").cloned().unwrap_or_default();
        self.add(format!("{} {message} in {parent}{fields}", event.metadata().level()));
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        let name = context.span(id).expect("it is open").name();
        if name == "drain" {
            self.add("entered".into());
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        self.add(format!("closed {}", context.span(&id).expect("it was open until now").name()));
    }
}

/// The lines without the summary, which has the time in it that the drain took.
fn without_summary(lines: &[String]) -> Vec<&str> {
    lines.iter().map(|it| it.split_once(" summary=").map_or(&**it, |(line, _)| line)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_drain_is_one_span_with_its_events_in_their_order() {
    let log = Log::default();
    let _heard = log.heard();
    let service = Service::without_signals().lame_duck(Duration::from_secs(5)).deadline(Duration::from_secs(30)).task(
        "api",
        |part| async move {
            part.watcher().await;
            let _upload = part.labelled("upload");
            sleep(Duration::from_millis(1_500)).await;
        },
    );
    let drain = service.drain().clone();
    let running = tokio::spawn(service.run());
    tokio::task::yield_now().await;
    assert!(log.lines().is_empty());
    drop(drain.start_because("SIGTERM"));
    assert!(running.await.unwrap().is_clean());
    let lines = log.closed();
    assert_eq!(
        without_summary(&lines),
        [
            "span drain deadline=30 reason=SIGTERM",
            "INFO started in drain lame_duck=5",
            "INFO lame duck over in drain",
            "INFO progress in drain elapsed=_ held=api (upload)",
            "INFO ended in drain cut=0 elapsed=_ outcome=clean",
            "closed drain",
        ]
    );
    assert!(lines[4].contains(" summary=drained in 0.") && lines[4].ends_with(" s (SIGTERM)"), "{}", lines[4]);
}

#[tokio::test(start_paused = true)]
async fn each_holder_that_is_cut_is_told_and_the_end_has_their_number() {
    let log = Log::default();
    let _heard = log.heard();
    let outcome = Service::without_signals()
        .deadline(Duration::from_millis(500))
        .task("api", |part| async move {
            let _held = (part.labelled("GET /report"), part.labelled("GET /report"));
            pending::<()>().await;
        })
        .task("mailer", |_| async { Err::<(), _>("no disk") })
        .run()
        .await;
    assert!(outcome.failure().is_some());
    let lines = log.closed();
    assert_eq!(
        without_summary(&lines),
        [
            "span drain deadline=0.5 reason=mailer failed: no disk",
            "INFO started in drain",
            // The part itself has several.
            "DEBUG cut in drain guards=3 holder=api part=api",
            "DEBUG cut in drain guards=2 holder=GET /report part=api",
            "WARN ended in drain cut=5 elapsed=_ outcome=failed",
            "closed drain",
        ]
    );
}

#[tokio::test]
async fn a_span_of_the_user_is_neither_the_parent_nor_kept_open_nor_entered() {
    let log = Log::default();
    let _heard = log.heard();
    let drain = {
        let user = tracing::info_span!(target: "user", "user");
        let _in_it = user.enter();
        let service = Service::without_signals().task("api", |part| async move { part.watcher().await });
        let drain = service.drain().clone();
        let mut running = Box::pin(service.run());
        // It is polled in the span of the user for the first time, and lives on.
        assert!((&mut running).now_or_never().is_none());
        (drain, running)
    };
    assert_eq!(log.lines(), ["closed user"]);
    let (drain, running) = drain;
    drop(drain.start_because("SIGTERM"));
    assert!(running.await.is_clean());
    let lines = log.closed();
    assert_eq!(lines[1], "span drain deadline=30 reason=SIGTERM");
    assert!(!lines.contains(&"entered".to_owned()), "{lines:?}");
    assert_eq!(lines.iter().filter(|it| it.starts_with("closed drain")).count(), 1);
}

#[tokio::test]
async fn a_span_that_the_trace_of_a_drain_is_polled_in_is_neither_its_parent_nor_kept_open() {
    let log = Log::default();
    let _heard = log.heard();
    let drain = Drain::new();
    let guard = drain.guard();
    drop(drain.start_because("SIGTERM"));
    let mut trace = Box::pin(trace_drain(drain, None, sleep));
    {
        let user = tracing::info_span!(target: "user", "user");
        let _in_it = user.enter();
        assert!((&mut trace).now_or_never().is_none());
    }
    drop(guard);
    trace.await;
    assert_eq!(
        without_summary(&log.closed()),
        [
            "span drain reason=SIGTERM",
            "INFO started in drain",
            "closed user",
            "INFO ended in drain cut=0 elapsed=_ outcome=clean",
            "closed drain",
        ]
    );
}

#[test]
fn a_service_whose_runtime_ends_before_its_drain_closes_the_span_and_says_so() {
    let log = Log::default();
    let _heard = log.heard();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let service = Service::without_signals().task("api", |_| pending::<()>());
    let drain = service.drain().clone();
    drop(drain.start_because("SIGTERM"));
    runtime.block_on(async {
        let running = tokio::spawn(service.run());
        while log.lines().len() < 2 {
            tokio::task::yield_now().await;
        }
        drop(running);
    });
    drop(runtime);
    let lines = log.closed();
    assert!(lines[lines.len() - 2].starts_with("WARN ended in drain cut=0 elapsed=_ outcome=unknown"), "{lines:?}");
}

#[tokio::test]
async fn who_is_told_of_events_hears_them_beside_a_subscriber() {
    let log = Log::default();
    let _heard = log.heard();
    let events = Log::default();
    let (one, other) = (events.clone(), events.clone());
    let service = Service::without_signals()
        .on_event(move |it| one.add(it.to_string()))
        .on_event(move |it| other.add(it.to_string()))
        .task("api", |part| async move { part.watcher().await });
    drop(service.drain().start_because("SIGTERM"));
    assert!(service.run().await.is_clean());
    assert_eq!(events.lines(), ["draining: SIGTERM"; 2]);
    assert_eq!(log.closed().len(), 4, "{:?}", log.lines());
}

#[tokio::test]
async fn nothing_is_told_if_nothing_drains() {
    let log = Log::default();
    let _heard = log.heard();
    let service = Service::without_signals().task("api", |_| pending::<()>());
    let drain = service.drain().clone();
    let running = tokio::spawn(service.run());
    tokio::task::yield_now().await;
    let trace = tokio::spawn(trace_drain(drain, None, sleep));
    tokio::task::yield_now().await;
    assert!(log.lines().is_empty());
    trace.abort();
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn a_drain_without_a_service_is_told_in_the_same_words() {
    let log = Log::default();
    let _heard = log.heard();
    let drain = Drain::new();
    let guards = [drain.watcher().labelled("upload"), drain.guard()];
    let trace = tokio::spawn(trace_drain(drain.clone(), Duration::from_secs(30), sleep));
    drop(drain.start_because("SIGTERM"));
    // The timers of both are of one clock, and that is set forward when nobody can go on.
    sleep(Duration::from_millis(2_500)).await;
    drain.close();
    trace.await.unwrap();
    drop(guards);
    assert_eq!(
        without_summary(&log.closed()),
        [
            "span drain deadline=30 reason=SIGTERM",
            "INFO started in drain",
            "INFO progress in drain elapsed=_ held=upload",
            "INFO progress in drain elapsed=_ held=upload",
            "DEBUG cut in drain guards=1 holder=upload",
            "WARN ended in drain cut=2 elapsed=_ outcome=cut",
            "closed drain",
        ]
    );
}
