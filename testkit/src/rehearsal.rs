//! A service's drain, rehearsed at every point at which it may come.

mod endless;
mod run;
mod scene;
mod tally;

use std::fmt;
use std::future::Future;
use std::time::Duration;

use ebbtide::Guard;
use ebbtide_connection::Bounds;

use crate::client::Response;
use crate::pipe::Io;
use crate::report::{Outcome, Report, Verdict};
use crate::runtime::Runtime;
use crate::simulation::{self, Serve, Simulation};
use endless::Endless;
use run::Run;
use scene::{SLACK, Scene};

/// Whether this response, the second, is what was promised, the first.
type Same = Box<dyn Fn(&Response, &Response) -> bool>;

/// Scripted clients against your service, each in a simulation of its own, with a drain at every point at which it may come.
///
/// The drain comes before and after each byte of a request, and at each step of its response. It also comes while the client is
/// slow, silent, flooding, upgraded or disconnected.
///
/// Tasks that the service leaves behind are noticed too. They are at work when the drain is over, and so would have been lost
/// with the process. They were spawned on the simulation's [`Runtime`], or by `tokio::spawn` if it is
/// [on tokio](Self::on_tokio). Not seen are `spawn_blocking`, threads, and executors of the service's own. Nor is work that
/// takes longer than a minute, which cannot be told from what a service runs for as long as it lives.
///
/// # Examples
///
/// ```
/// # use std::convert::Infallible;
/// # use std::time::Duration;
/// use ebbtide_hyper::Http;
/// use ebbtide_testkit::{Rehearsal, Runtime};
/// # use hyper::{Request, Response, body::Incoming, service::service_fn};
///
/// let rehearsal = Rehearsal::new(|runtime: &Runtime| {
///     let (http, runtime) = (Http::new(runtime.clone(), runtime.clone()), runtime.clone());
///     let hello = move |_: Request<Incoming>| {
///         let runtime = runtime.clone();
///         async move {
///             runtime.sleep(Duration::from_secs(3)).await;
///             Ok::<_, Infallible>(Response::new("hello".to_owned()))
///         }
///     };
///     move |io, guard| http.serve(io, service_fn(hello.clone()), guard)
/// });
/// let report = rehearsal.run("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
/// println!("{report}");
/// report.expect_kept();
/// ```
pub struct Rehearsal {
    service: Box<dyn Fn(&Runtime) -> Serve>,
    simulation: fn() -> Simulation,
    bounds: Bounds,
    upgrade: Option<String>,
    same: Same,
}

/// What comes of the request without a drain.
struct Reference {
    response: Response,
    /// How much that was.
    length: usize,
    /// How long it took, and how many steps.
    took: Duration,
    steps: usize,
    /// Whether another request may follow.
    is_kept: bool,
}

/// No response is waited for longer without a drain, in virtual time.
const PATIENCE: Duration = Duration::from_secs(3600);
/// A response is taken for one without an end if it is not complete after so many steps and so long, or so many bytes.
const STEPS: usize = 2000;
const PATIENCE_WITH_MANY: Duration = Duration::from_secs(60);
const MOST: usize = 16 << 20;
/// What a connection holds.
const WIDE: usize = 64 * 1024;

impl Rehearsal {
    /// Of a service that is made by this: from a simulation's [`Runtime`], what serves a connection.
    ///
    /// It is called anew for every run, so that no run knows of another.
    pub fn new<C, F>(service: impl Fn(&Runtime) -> C + 'static) -> Self
    where
        C: Fn(Io, Guard) -> F + 'static,
        F: Future + 'static,
    {
        let service = move |runtime: &Runtime| simulation::serve(service(runtime));
        let same = |a: &Response, b: &Response| (a.status, &a.body) == (b.status, &b.body);
        Self {
            service: Box::new(service),
            simulation: Simulation::new,
            bounds: Bounds::default(),
            upgrade: None,
            same: Box::new(same),
        }
    }

    /// The same on tokio, for a service that uses its tasks or its clock: see [`Simulation::tokio`].
    #[cfg(feature = "tokio")]
    pub fn on_tokio(mut self) -> Self {
        self.simulation = Simulation::tokio;
        self
    }

    /// The same with other bounds: those which the service's connections have.
    pub fn bounds(mut self, bounds: Bounds) -> Self {
        self.bounds = bounds;
        self
    }

    /// The same, with this request for an upgrade too.
    pub fn upgrade(mut self, request: impl Into<String>) -> Self {
        self.upgrade = Some(request.into());
        self
    }

    /// The same for a service that never responds twice alike: with what a response has in common with the one that came
    /// without a drain. By default, that is its status and its body.
    pub fn same(mut self, same: impl Fn(&Response, &Response) -> bool + 'static) -> Self {
        self.same = Box::new(same);
        self
    }

    /// Rehearses with this request of HTTP/1: its head, an empty line, and its body, if it has one.
    ///
    /// # Panics
    ///
    /// Where the request has no empty line.
    pub fn run(&self, request: impl AsRef<[u8]>) -> Report {
        let request = request.as_ref();
        let head = head_of(request).expect("a request's head ends in an empty line");
        let reference = match self.reference(request) {
            Ok(reference) => reference,
            Err(how) => {
                let outcome = Outcome { promise: Run::ANSWERED, verdict: Verdict::Broken(how) };
                return report(request, 2, vec![outcome]);
            }
        };
        let mut run = Run { rehearsal: self, request, head, reference, runs: 2 };
        let outcomes = run.outcomes();
        report(request, run.runs, outcomes)
    }

    /// Rehearses with a request of HTTP/1 whose response has no end of its own, such as server-sent events. It must be
    /// complete so long after the drain began, whenever that is, with the last chunk and what belongs to it.
    ///
    /// # Panics
    ///
    /// If the request has no empty line.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::convert::Infallible;
    /// # use std::time::Duration;
    /// use axum::extract::Extension;
    /// use axum::response::sse::{Event, Sse};
    /// use axum::{Router, routing::get};
    /// use ebbtide::Watcher;
    /// use ebbtide_goodbye::Ending;
    /// use ebbtide_hyper::Http;
    /// use ebbtide_testkit::Rehearsal;
    /// # use futures_lite::stream::{self, Stream};
    /// use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
    ///
    /// # fn ticks() -> impl Stream<Item = Result<Event, Infallible>> {
    /// #     stream::unfold((), |()| async {
    /// #         tokio::time::sleep(Duration::from_millis(50)).await;
    /// #         Some((Ok(Event::default().data("tick")), ()))
    /// #     })
    /// # }
    /// async fn events(Extension(draining): Extension<Watcher>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    ///     Sse::new(Ending::new(ticks(), draining, |_| Ok(Event::default().data("bye"))))
    /// }
    ///
    /// let rehearsal = Rehearsal::new(|_| {
    ///     let app: Router = Router::new().route("/events", get(events));
    ///     let http = Http::new(TokioExecutor::new(), TokioTimer::new()).extend_every_request();
    ///     move |io, guard| http.serve_tower(TokioIo::new(io), app.clone(), guard)
    /// });
    /// let report = rehearsal.on_tokio().run_endless("GET /events HTTP/1.1\r\nHost: test\r\n\r\n", Duration::ZERO);
    /// report.expect_kept();
    /// ```
    pub fn run_endless(&self, request: impl AsRef<[u8]>, within: Duration) -> Report {
        let request = request.as_ref();
        let head = head_of(request).expect("a request's head ends in an empty line");
        match Endless::begin(self, request, head, within) {
            Ok(mut endless) => {
                let outcomes = endless.outcomes();
                report(request, endless.runs, outcomes)
            }
            Err(how) => {
                let outcome = Outcome { promise: Endless::BEGINS, verdict: Verdict::Broken(how) };
                report(request, 1, vec![outcome])
            }
        }
    }

    fn scene(&self, capacity: usize, heads: bool) -> Scene {
        let simulation = (self.simulation)();
        let serve = simulation.driver().within(|| (self.service)(&simulation.runtime()));
        Scene::new(simulation, serve, capacity, heads)
    }

    /// How long all of it may take, whatever happens, if the response takes so long.
    fn whole(&self, took: Duration) -> Duration {
        // Nothing waits for its request here before the drain has begun, and for a body nothing waits at all.
        let Bounds { silent, idle, head, preface, goaway, stall, linger, .. } = self.bounds;
        // A pipe does not tell whether its client reads.
        let stall = stall.saturating_mul(6);
        [silent, idle, head, preface, goaway, stall, linger, SLACK].iter().sum::<Duration>() + took
    }

    /// How long a connection may be read on, once its end is written and its client has gone.
    fn behind(&self) -> Duration {
        self.bounds.linger + SLACK
    }

    fn reference(&self, request: &[u8]) -> Result<Reference, String> {
        let once = || {
            let mut scene = self.scene(WIDE, is_head(request));
            scene.send(request, PATIENCE);
            let (mut steps, limit) = (0, scene.now() + PATIENCE);
            while !scene.hears_a_response() {
                if !scene.step(limit) {
                    let heard = scene.hear(Duration::ZERO);
                    return Err(format!("without any drain, {}", heard.fault(None)));
                }
                steps += 1;
                if scene.heard() > MOST || (steps > STEPS && scene.now() > PATIENCE_WITH_MANY) {
                    let how = "without any drain, it has no end in sight: `Rehearsal::run_endless` is for that";
                    return Err(how.into());
                }
            }
            let took = scene.now();
            scene.settle();
            let is_kept = !scene.is_ended();
            let mut heard = scene.hear(Duration::ZERO);
            let response = heard.responses.swap_remove(0);
            let is_kept = is_kept && !response.says_close();
            Ok(Reference { length: response.head.len() + response.body.len(), response, took, steps, is_kept })
        };
        let (first, second) = (once()?, once()?);
        if (self.same)(&first.response, &second.response) {
            Ok(first)
        } else {
            Err("it does not answer twice alike, so nothing can be said; `Rehearsal::same` may say what it has".into())
        }
    }
}

fn report(request: &[u8], runs: usize, outcomes: Vec<Outcome>) -> Report {
    let line = String::from_utf8_lossy(request.split(|it| *it == b'\r').next().unwrap_or_default());
    Report { server: format!("{line}, in {runs} runs"), outcomes }
}

/// How long a request's head is, or a response's.
fn head_of(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|it| it == b"\r\n\r\n").map(|it| it + 4)
}

fn is_head(request: &[u8]) -> bool {
    request.starts_with(b"HEAD ")
}

impl fmt::Debug for Rehearsal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rehearsal")
            .field("bounds", &self.bounds)
            .field("upgrade", &self.upgrade)
            .finish_non_exhaustive()
    }
}
