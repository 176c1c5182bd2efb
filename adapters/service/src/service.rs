//! What a service is made of.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use ebbtide::{Drain, Guard, Label};
use ebbtide_accept::{Ended, Listener, Serve, Spawn};
use ebbtide_signal::{InstallError, Signals, escalate};

use crate::event::{Event, Events, Message};
use crate::life::Life;
use crate::listen::Listen;
use crate::outcome::{Outcome, PartError, StartError};
use crate::part::Part;
use crate::plan::{Plan, Reserve, Share};
use crate::planned::{Listening, Matters, Planned, Whole, Work};
use crate::readiness::Readiness;
use crate::running::Running;
use crate::runtime::Runtime;
use crate::stage::Stage;
use crate::status::Status;

/// A whole service: listeners, workers and closing actions, which start and end in an order, within one deadline.
///
/// The runtime adapters have it with their runtime filled in: `ebbtide_tokio::Service`, `ebbtide_smol::Service`.
///
/// # Stages
///
/// Parts end together in stages, one stage after the other: [`then`](Self::then) begins the next one. So what is needed by
/// others stands behind them: first what takes work in, then who does it, then the database. They start the other way
/// round, from the last to the first, each stage once those behind it [are ready](Self::says_ready).
///
/// # The end
///
/// The first signal begins the drain, the second closes by force, the third kills. So do the failure of a part, and
/// [`drain`](Self::drain), which anybody may start. If the drain has begun before [`run`](Self::run), what can begin at once
/// does. It serves those who wait in its queues, and ends. Closing actions are always taken.
///
/// # Time
///
/// One [`deadline`](Self::deadline) is over all stages. Each may take what is left of it, without what is
/// [reserved](Self::reserve) for those behind, and no more than [its own most](Self::at_most). What a stage does not use
/// is left to the next ones. Two seconds before a stage is cut its parts hear the [last call](Self::last_call).
///
/// A forced close cuts the stages in their order, too. Of those that have a reserve each still has it.
#[must_use = "a service does nothing unless it is run"]
pub struct Service<R> {
    drain: Drain,
    /// For each part to hold up the drain, however early it begins.
    guard: Guard,
    signals: Option<Result<Signals, InstallError>>,
    stages: Vec<Draft>,
    is_open: bool,
    /// The first listener that could not be bound.
    unbound: Option<PartError>,
    readiness: Readiness,
    status: Status,
    lame_duck: Duration,
    deadline: Option<Duration>,
    last_call: Duration,
    events: Events,
    runtime: PhantomData<fn() -> R>,
}

/// A stage before its time is known.
#[derive(Default)]
struct Draft {
    share: Share,
    parts: Vec<Planned>,
    is_closing: bool,
}

/// How long the drain may take, unless it is said.
const DEADLINE: Duration = Duration::from_secs(30);

/// How long before its cut a part hears of it, unless it is said.
const LAST_CALL: Duration = Duration::from_secs(2);

impl<R: Runtime> Service<R> {
    /// A service without parts, which the process's signals end. From here on they no longer kill the process; what comes
    /// before [`run`](Self::run) is acted on then.
    pub fn new() -> Self {
        Self { signals: Some(Signals::new()), ..Self::without_signals() }
    }

    /// A service without parts that signals do not end: a part does, or who starts its [`drain`](Self::drain).
    pub fn without_signals() -> Self {
        let drain = Drain::new();
        Self {
            guard: drain.guard().unwrap_or_else(|| unreachable!("nobody else has this drain")),
            readiness: Readiness::new(drain.watcher()),
            status: Status::default(),
            drain,
            signals: None,
            stages: Vec::new(),
            is_open: false,
            unbound: None,
            lame_duck: Duration::ZERO,
            deadline: Some(DEADLINE),
            last_call: LAST_CALL,
            events: Events::default(),
            runtime: PhantomData,
        }
    }

    /// Goes on as before for so long once the drain was asked for, and is not [ready](Self::readiness). Default: not at all.
    ///
    /// A load balancer needs that time to notice. Connections of the first stage are told one after the other meanwhile:
    /// see [`LameDuck`](ebbtide::LameDuck).
    pub fn lame_duck(mut self, time: Duration) -> Self {
        self.lame_duck = time;
        self
    }

    /// How long the drain may take, a lame duck time not counted. Default: 30 s; `None`: for ever.
    ///
    /// Set it, with the lame duck time, below the time after which the process is killed. That is 30 s on Kubernetes, 10 s by
    /// `docker stop`, and 90 s by systemd. What is cut at the end has up to 100 ms more, to say so to its clients (503).
    pub fn deadline(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.deadline = time.into();
        self
    }

    /// How long before its cut a part hears of it: see [`Part::last_call`]. Default: 2 s.
    pub fn last_call(mut self, time: Duration) -> Self {
        self.last_call = time;
        self
    }

    /// Tells of what happens, while it does: each event is a line for a log. Default: nobody is told. More than one may be.
    ///
    /// It is called on a thread of its own. So a log that blocks holds up nothing, and may miss the last lines.
    pub fn on_event(mut self, mut told: impl FnMut(Event) + Send + 'static) -> Self {
        self.events.add(move |message| {
            if let Message::Event(event) = message {
                told(event);
            }
        });
        self
    }

    /// The drain of the whole, for whoever is to start it or to know of it. It begins before a lame duck time does.
    pub fn drain(&self) -> &Drain {
        &self.drain
    }

    /// Whether the service is ready, for a probe, and a switch beside that.
    pub fn readiness(&self) -> Readiness {
        self.readiness.clone()
    }

    /// What the service is doing, for people and for metrics. It knows of the stages once the service runs.
    pub fn status(&self) -> Status {
        self.status.clone()
    }

    /// A part that serves a listener: `connection` is called for each connection, with a guard of its own, as by the
    /// runtime adapter's `serve`. `listener` may be the result of binding one: its error is told by the outcome then.
    ///
    /// [`max_connections`](Self::max_connections), [`shared`](Self::shared) and [`sole_owner`](Self::sole_owner) tell more
    /// of its listener.
    pub fn serve<L, How, F, Fut>(mut self, name: impl Into<Label>, listener: L, connection: F) -> Self
    where
        L: Listen<R, How>,
        L::Listener: Send + 'static,
        Serve<R, L::Listener, F>: Send,
        R: Spawn<ebbtide_accept::Task<Fut>>,
        F: FnMut(<L::Listener as Listener<R>>::Stream, Guard) -> Fut + Send + 'static,
        Fut: Future<Output: Ended> + Send + 'static,
    {
        let name = name.into();
        match listener.listener() {
            Ok(listener) => {
                let listening = Listening { address: listener.address(), ..Listening::default() };
                let serve = |part: Part, events: Events, listening: Listening| {
                    let mut serve = Serve::<R, _, _>::new(listener, part.guard(), connection);
                    if let Some(most) = listening.max_connections {
                        serve = serve.max_connections(most);
                    }
                    serve = match listening.is_shared {
                        Some(true) => serve.shared(),
                        Some(false) => serve.sole_owner(),
                        None => serve,
                    };
                    if !events.is_heard() {
                        return serve;
                    }
                    let part = part.label().clone();
                    serve.on_error(move |it| {
                        events.tell(Event::Connection { part: part.clone(), error: it.to_string() });
                    })
                };
                let work =
                    |part, events, listening| Box::pin(async { serve(part, events, listening).await.failure() }) as _;
                self.part(name, Work::Listen(listening, Box::new(work)))
            }
            Err(error) => {
                self.unbound.get_or_insert_with(|| PartError::new(name, error.into()));
                self
            }
        }
    }

    /// A part that runs as a task. It ends with nothing or with a `Result`; an error or a panic of it
    /// [drains the service](Self::optional). A forced close drops it.
    pub fn task<F, Fut>(self, name: impl Into<Label>, work: F) -> Self
    where
        F: FnOnce(Part) -> Fut + Send + 'static,
        Fut: IntoFuture<Output: Ended, IntoFuture: Send + 'static>,
    {
        let work = |part| {
            let work = work(part).into_future();
            Box::pin(async { work.await.failure() }) as _
        };
        self.part(name.into(), Work::Task(Box::new(work)))
    }

    /// A part that blocks its thread, on a thread for that. It ends when it finds that it drains, by
    /// [`Part::state`]; nothing can cut it, so a forced close leaves it behind.
    pub fn blocking<F, T>(self, name: impl Into<Label>, work: F) -> Self
    where
        F: FnOnce(Part) -> T + Send + 'static,
        T: Ended,
    {
        self.part(name.into(), Work::Blocking(Box::new(|part| work(part).failure())))
    }

    /// A part whose future stays on one thread: one of its own.
    pub fn local<F, Fut>(self, name: impl Into<Label>, work: F) -> Self
    where
        F: FnOnce(Part) -> Fut + Send + 'static,
        Fut: IntoFuture<Output: Ended, IntoFuture: 'static>,
    {
        let work = |part| {
            let work = work(part).into_future();
            Box::pin(async { work.await.failure() }) as _
        };
        self.part(name.into(), Work::Local(Box::new(work)))
    }

    /// The next stage: its parts end when those of the stages so far have.
    pub fn then(mut self) -> Self {
        self.is_open = false;
        self
    }

    /// A closing action, such as that of a connection pool: what is done when all stages so far have ended. It is a stage
    /// of its own, with a second in [reserve](Self::reserve) unless it is told otherwise.
    ///
    /// It is done whatever came before: also if the service could not start or was closed by force. Then its reserve is
    /// all that it has.
    pub fn finally<Fut>(mut self, name: impl Into<Label>, action: Fut) -> Self
    where
        Fut: IntoFuture<Output: Ended, IntoFuture: Send + 'static> + Send + 'static,
    {
        let work = |_| {
            let action = action.into_future();
            Box::pin(async { action.await.failure() }) as _
        };
        let share = Share { most: None, reserve: Reserve::Usual };
        let parts = vec![Planned::new(name.into(), Work::Task(Box::new(work)))];
        self.stages.push(Draft { share, parts, is_closing: true });
        self.is_open = false;
        self
    }

    fn part(mut self, name: Label, work: Work) -> Self {
        if !mem::replace(&mut self.is_open, true) {
            self.stages.push(Draft::default());
        }
        let stage = self.stages.last_mut().expect("there is one now");
        stage.parts.push(Planned::new(name, work));
        self
    }

    /// The part that was added last has started when it says [`ready`](Part::ready), or has ended well. Until then the
    /// service is not ready, and the stages before its own do not start: clients wait in the kernel's queue.
    ///
    /// # Panics
    ///
    /// If there is no part yet.
    #[track_caller]
    pub fn says_ready(mut self) -> Self {
        self.last_part().says_ready = true;
        self
    }

    /// Every end of the part that was added last drains the service. Without this its failure does, and a good end is one
    /// that others do not mind.
    ///
    /// # Panics
    ///
    /// If there is no part yet.
    #[track_caller]
    pub fn essential(mut self) -> Self {
        self.last_part().whose_end_matters = Matters::EveryEnd;
        self
    }

    /// The service goes on without the part that was added last, whatever ends that. A failure of it is an
    /// [event](Self::on_event) and nothing more.
    ///
    /// # Panics
    ///
    /// If there is no part yet.
    #[track_caller]
    pub fn optional(mut self) -> Self {
        self.last_part().whose_end_matters = Matters::None;
        self
    }

    /// Limits the open connections of the listener that was added last. Others wait in the kernel's queue, and none is lost.
    /// Default: no limit.
    ///
    /// # Panics
    ///
    /// If the part that was added last does not listen, or if `most` is 0.
    #[track_caller]
    pub fn max_connections(mut self, most: usize) -> Self {
        assert!(most > 0, "a limit of 0 connections would serve nobody");
        self.listening(|it| it.max_connections = Some(most));
        self
    }

    /// Declares that the listening socket that was added last has other owners: systemd, a parent, or a successor. When the
    /// drain begins, its queue is left to them. Default: the queue is served.
    ///
    /// # Panics
    ///
    /// If the part that was added last does not listen.
    #[track_caller]
    pub fn shared(mut self) -> Self {
        self.listening(|it| it.is_shared = Some(true));
        self
    }

    /// Declares that the listening socket that was added last has no other owner: it was bound by this process, and neither
    /// cloned nor passed on. See [`Serve::sole_owner`].
    ///
    /// # Panics
    ///
    /// If the part that was added last does not listen.
    #[track_caller]
    pub fn sole_owner(mut self) -> Self {
        self.listening(|it| it.is_shared = Some(false));
        self
    }

    /// The stage takes no longer than this to end. Then it is cut, and the next one begins.
    ///
    /// # Panics
    ///
    /// If there is no part yet.
    #[track_caller]
    pub fn at_most(mut self, time: Duration) -> Self {
        self.last_stage().share.most = Some(time);
        self
    }

    /// The stage has so much of the deadline for itself, whatever the stages before it do. It has it after a forced close,
    /// too. Default: nothing, or a second for a [closing action](Self::finally).
    ///
    /// # Panics
    ///
    /// If there is no part yet.
    #[track_caller]
    pub fn reserve(mut self, time: Duration) -> Self {
        self.last_stage().share.reserve = Reserve::Exactly(time);
        self
    }

    #[track_caller]
    fn last_stage(&mut self) -> &mut Draft {
        self.stages.last_mut().expect("this is said of a part: add one first")
    }

    #[track_caller]
    fn last_part(&mut self) -> &mut Planned {
        self.last_stage().parts.last_mut().expect("a stage has a part")
    }

    /// Tells the listener that was added last. There is none if it could not be bound, which the outcome tells.
    #[track_caller]
    fn listening(&mut self, tell: impl FnOnce(&mut Listening)) {
        if self.unbound.is_none() {
            tell(self.last_part().listening().expect("this is said of a listener: add it just before"));
        }
    }

    /// Runs the service to its end.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped, the drain begins and goes on in the background, within its deadline.
    ///
    /// # Panics
    ///
    /// Outside its runtime, on tokio.
    pub async fn run(self) -> Outcome {
        let drain = self.drain.clone();
        Running::<R>::new(self.into_life(), drain).await
    }

    fn into_life(self) -> Life {
        #[cfg(feature = "tracing")]
        let events = crate::trace::listen(self.events, self.deadline);
        #[cfg(not(feature = "tracing"))]
        let events = self.events;
        let shares: Vec<_> = self.stages.iter().map(|it| it.share).collect();
        let (plan, overbooked) = Plan::new(self.deadline, &shares);
        let shown = self.stages.iter().map(|it| (&it.parts[..], it.is_closing));
        let showing = self.status.show(self.lame_duck, self.deadline, shown);
        let stages = self.stages.into_iter().zip(plan.stages);
        let stages = stages.map(|(it, limits)| Stage::new(&self.guard, limits, it.parts, it.is_closing)).collect();
        let (signals, unheard) = match self.signals.transpose() {
            Ok(signals) => (signals, None),
            Err(error) => (None, Some(error)),
        };
        let obstacle = overbooked.map(StartError::Overbooked);
        let obstacle = obstacle.or(self.unbound.map(StartError::Listener)).or(unheard.map(StartError::Signals));
        if let Some(obstacle) = &obstacle {
            drop(self.drain.start_because(obstacle.to_string()));
        }
        // Not before the parts hold the drain up: a signal may have come already.
        if let Some(signals) = signals {
            escalate(self.drain.clone(), signals);
        }
        Life {
            whole: Whole { drain: self.drain, events, first_failure: Arc::default() },
            obstacle,
            stages,
            readiness: self.readiness,
            showing,
            lame_duck: self.lame_duck,
            last_call: self.last_call,
            last_words: plan.last_words,
        }
    }
}

impl<R: Runtime> Default for Service<R> {
    fn default() -> Self {
        Self::new()
    }
}

impl<R> fmt::Debug for Service<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stages: Vec<Vec<_>> = self.stages.iter().map(|it| it.parts.iter().map(|it| &it.label).collect()).collect();
        f.debug_struct("Service").field("stages", &stages).field("deadline", &self.deadline).finish_non_exhaustive()
    }
}
