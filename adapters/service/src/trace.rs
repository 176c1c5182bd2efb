//! The drain as a span of `tracing`: the crate's docs have what is told.

use std::fmt::Display;
use std::future::Future;
use std::pin::pin;
use std::time::{Duration, Instant};

use ebbtide::{Cause, Drain, Label, Overdue};
use futures_util::future::{Either, select};
use tracing::{Level, Span, dispatcher, enabled, event, span};

use crate::event::{Event, Events, Message, Waiting};
use crate::outcome::Outcome;

/// The target of all that is told here, for filters.
const TARGET: &str = "ebbtide";

/// How often it is told what is waited for, by [`trace_drain`].
const TICK: Duration = Duration::from_secs(1);

/// Has the subscriber of who runs the service told of its drain; if there is none that wants to know, nobody.
///
/// On the events' thread, since a subscriber may write to a log that nobody reads.
pub(crate) fn listen(mut events: Events, deadline: Option<Duration>) -> Events {
    if !enabled!(target: TARGET, Level::ERROR) {
        return events;
    }
    let subscriber = dispatcher::get_default(Clone::clone);
    let mut drain = None;
    events.add(move |message| dispatcher::with_default(&subscriber, || tell(&mut drain, deadline, message)));
    events
}

fn tell(drain: &mut Option<DrainSpan>, deadline: Option<Duration>, message: Message) {
    match (message, &*drain) {
        (Message::Event(Event::LameDuck { cause, time }), _) => {
            *drain = Some(DrainSpan::start(&cause, deadline, Some(time)));
        }
        (Message::Event(Event::Draining { cause }), None) => *drain = Some(DrainSpan::start(&cause, deadline, None)),
        (Message::Event(Event::Draining { .. }), Some(drain)) => drain.lame_duck_over(),
        (Message::Event(Event::Waiting { elapsed, parts }), Some(drain)) => drain.progress(elapsed, &Waiting(&parts)),
        (Message::Event(Event::Cut { part, overdue }), Some(drain)) => drain.cut(Some(&part), &overdue),
        (Message::End(outcome), Some(it)) => {
            let guards = outcome.cut().iter().map(|(_, overdue)| overdue.guards()).sum();
            it.end(word(&outcome), outcome.elapsed(), guards, &outcome);
            *drain = None;
        }
        (Message::Event(_) | Message::End(_), _) => {}
    }
}

fn word(outcome: &Outcome) -> &'static str {
    match (outcome.cause(), outcome.start_error(), outcome.failure()) {
        _ if outcome.is_clean() => "clean",
        (None, ..) => "unknown",
        (_, Some(_), _) => "not started",
        (_, _, Some(_)) => "failed",
        (_, _, None) => "cut",
    }
}

/// Tells `tracing` of a drain that is not a service's, in the [words](crate#tracing) of one. A
/// [`Service`](crate::Service) does it by itself.
///
/// It is over when the drain is. Run it beside that, such as by a `join!`: in a task that `main` does not wait for, the last
/// event may be lost. It has a [`Drain`], so dropping yours does not start the drain. `deadline` is what the span says, and
/// bounds nothing. `sleep` is the runtime's, such as `tokio::time::sleep`.
///
/// # Cancel safety
///
/// If it is dropped, the span closes without the event `ended`.
///
/// # Examples
///
/// A server of `ebbtide-axum`, which has a life of its own:
///
/// ```
/// # use std::time::Duration;
/// use ebbtide::Drain;
/// use ebbtide_service::trace_drain;
///
/// # async fn serve(drain: &Drain) -> Result<(), std::io::Error> { drop(drain.start()); Ok(()) }
/// # async fn run() -> Result<(), std::io::Error> {
/// let drain = Drain::new(); // which signals start
/// let server = async {
///     let ended = serve(&drain).await; // ebbtide_axum::serve(listener, app).drain(&drain)
///     drop(drain.start()); // if the server ends without it
///     ended
/// };
/// let trace = trace_drain(drain.clone(), Duration::from_secs(30), tokio::time::sleep);
/// let (ended, ()) = tokio::join!(server, trace);
/// ended
/// # }
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(run()).unwrap();
/// ```
pub async fn trace_drain<T: Future>(
    drain: Drain,
    deadline: impl Into<Option<Duration>>,
    sleep: impl Fn(Duration) -> T,
) {
    drain.watcher().await;
    let begun = Instant::now();
    let span = DrainSpan::start(&drain.cause().unwrap_or(Cause::Dropped), deadline.into(), None);
    let mut closed = drain.watcher().closed();
    while let Either::Right(_) = select(&mut closed, pin!(sleep(TICK))).await {
        let held: Vec<_> = drain.held().iter().map(ToString::to_string).collect();
        span.progress(begun.elapsed(), &held.join(", "));
    }
    let elapsed = begun.elapsed();
    match drain.watcher().outcome() {
        Some(Err(overdue)) => {
            span.cut(None, &overdue);
            span.end("cut", elapsed, overdue.guards(), &overdue);
        }
        Some(Ok(())) | None => {
            span.end("clean", elapsed, 0, &format_args!("drained in {:.3} s", elapsed.as_secs_f64()));
        }
    }
}

/// The span around a drain. It is never entered, and no other span is: what is told names it as its parent.
struct DrainSpan(Span);

impl DrainSpan {
    fn start(cause: &Cause, deadline: Option<Duration>, lame_duck: Option<Duration>) -> Self {
        let (deadline, lame_duck) = (deadline.map(|it| it.as_secs_f64()), lame_duck.map(|it| it.as_secs_f64()));
        // Whatever span who polls this is in, it is not the drain's parent, and is not kept open by it.
        let span = span!(target: TARGET, parent: None, Level::INFO, "drain", reason = %cause, deadline);
        event!(target: TARGET, parent: &span, Level::INFO, lame_duck, "started");
        Self(span)
    }

    fn lame_duck_over(&self) {
        event!(target: TARGET, parent: &self.0, Level::INFO, "lame duck over");
    }

    fn progress(&self, elapsed: Duration, held: &dyn Display) {
        event!(target: TARGET, parent: &self.0, Level::INFO, elapsed = elapsed.as_secs_f64(), held = %held, "progress");
    }

    fn cut(&self, part: Option<&Label>, overdue: &Overdue) {
        let part = part.map(ToString::to_string);
        for held in overdue.held() {
            // The same part in an outcome of an order or of children of a drain.
            let part = held.part().map(ToString::to_string).or_else(|| part.clone());
            let (holder, guards) = (held.label(), held.guards());
            event!(target: TARGET, parent: &self.0, Level::DEBUG, part, %holder, guards, "cut");
        }
    }

    fn end(&self, outcome: &str, elapsed: Duration, cut: usize, summary: &dyn Display) {
        let elapsed = elapsed.as_secs_f64();
        if outcome == "clean" {
            event!(target: TARGET, parent: &self.0, Level::INFO, outcome, elapsed, cut, %summary, "ended");
        } else {
            event!(target: TARGET, parent: &self.0, Level::WARN, outcome, elapsed, cut, %summary, "ended");
        }
    }
}
