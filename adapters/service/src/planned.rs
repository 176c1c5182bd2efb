//! A part before its beginning, and what is made of its end.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use ebbtide::{Drain, Guard, Label, State};
use futures_util::future::FutureExt;

use crate::event::{Event, Events};
use crate::outcome::PartError;
use crate::part::Part;
use crate::runtime::Runtime;

/// A part that has not begun.
pub(crate) struct Planned {
    pub(crate) label: Label,
    pub(crate) drain: Drain,
    /// Of its drain, so that there is one however early that starts.
    guard: Guard,
    work: Work,
    pub(crate) whose_end_matters: Matters,
    pub(crate) says_ready: bool,
}

/// What a part does.
pub(crate) enum Work {
    Listen(Listening, Box<dyn FnOnce(Part, Events, Listening) -> Ends + Send>),
    Task(Box<dyn FnOnce(Part) -> Ends + Send>),
    Blocking(Box<dyn FnOnce(Part) -> Failure + Send>),
    Local(Box<dyn FnOnce(Part) -> EndsHere + Send>),
}

/// What is known of a part that listens.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listening {
    pub(crate) address: Option<String>,
    pub(crate) max_connections: Option<usize>,
    /// Whether the socket has more owners than this part, if that was said.
    pub(crate) is_shared: Option<bool>,
}

/// The future of a part.
type Ends = Pin<Box<dyn Future<Output = Failure> + Send>>;

/// That of a part which stays on one thread.
type EndsHere = Pin<Box<dyn Future<Output = Failure>>>;

/// Why a part has failed, if it has.
pub(crate) type Failure = Option<Box<dyn Error + Send + Sync>>;

/// Which ends of a part end the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Matters {
    Failure,
    EveryEnd,
    None,
}

/// What all parts have in common.
#[derive(Clone)]
pub(crate) struct Whole {
    pub(crate) drain: Drain,
    pub(crate) events: Events,
    pub(crate) first_failure: Arc<OnceLock<PartError>>,
}

impl Planned {
    pub(crate) fn new(label: Label, work: Work) -> Self {
        let drain = Drain::new();
        let guard = drain.watcher().labelled(label.clone()).expect("nobody else has this drain");
        Self { label, drain, guard, work, whose_end_matters: Matters::Failure, says_ready: false }
    }

    /// Where it listens, if it does.
    pub(crate) fn address(&self) -> Option<String> {
        match &self.work {
            Work::Listen(listening, _) => listening.address.clone(),
            _ => None,
        }
    }

    /// What it is told of its listener, if it has one.
    pub(crate) fn listening(&mut self) -> Option<&mut Listening> {
        match &mut self.work {
            Work::Listen(listening, _) => Some(listening),
            _ => None,
        }
    }

    /// Begins it. It holds `starting` until it says that it is ready.
    pub(crate) fn begin<R: Runtime>(self, whole: &Whole, last_call: &Drain, starting: Vec<Guard>) {
        let Self { label, guard, work, whose_end_matters, .. } = self;
        let name = label.to_string();
        let part = Part::new(label, guard.clone(), last_call.watcher(), starting);
        let end = End { part: part.clone(), has_come: false, matters: whose_end_matters, whole: whole.clone() };
        match work {
            Work::Listen(listening, work) => {
                let events = whole.events.clone();
                if let Some(address) = listening.address.clone() {
                    events.tell(Event::Listening { part: part.label().clone(), address });
                }
                R::spawn(Box::pin(live(async move { work(part, events, listening).await }, guard, end)));
            }
            Work::Task(work) => R::spawn(Box::pin(live(async move { work(part).await }, guard, end))),
            Work::Blocking(work) => R::blocking(Box::new(move || {
                let ended = catch_unwind(AssertUnwindSafe(|| work(part)));
                drop(guard);
                end.come(Some(ended));
            })),
            Work::Local(work) => {
                let local = move || Box::pin(live(async move { work(part).await }, guard, end)) as _;
                R::local(name, Box::new(local));
            }
        }
    }
}

/// Runs a part under its guard, and tells of its end.
async fn live(work: impl Future<Output = Failure>, guard: Guard, end: End) {
    end.come(guard.during(AssertUnwindSafe(work).catch_unwind()).await);
}

impl fmt::Debug for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Planned").field("label", &self.label).finish_non_exhaustive()
    }
}

/// The end of a part that has begun.
struct End {
    /// Held up to the last, so that what the part has failed with is known before its stage ends, or counts as started.
    part: Part,
    has_come: bool,
    matters: Matters,
    whole: Whole,
}

impl End {
    /// It has come: with nothing if the part was cut, which its drain tells.
    fn come(mut self, ended: Option<Result<Failure, Box<dyn Any + Send>>>) {
        self.has_come = true;
        match ended {
            Some(Ok(None)) if self.matters == Matters::EveryEnd => {
                drop(self.whole.drain.start_because(format!("{} has ended", self.part.label())));
            }
            Some(Ok(None)) | None => {}
            Some(Ok(Some(error))) => self.fail(error),
            Some(Err(panic)) => {
                let said = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
                self.fail(format!("it panicked: {}", said.unwrap_or("without a word")).into());
            }
        }
    }

    fn fail(&self, error: Box<dyn Error + Send + Sync>) {
        // One that was cut has told so, whatever it has failed with since.
        if self.part.state() == State::Closed {
            return;
        }
        let error = PartError::new(self.part.label().clone(), error);
        self.whole.events.tell(Event::Failed(error.clone()));
        if self.matters != Matters::None {
            self.part.will_not_start();
            let _or_another_was_first = self.whole.first_failure.set(error.clone());
            drop(self.whole.drain.start_because(Label::live(error)));
        }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        if !self.has_come {
            self.fail("its task was dropped before its end".into());
        }
    }
}
