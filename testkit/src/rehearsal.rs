//! A service's drain, rehearsed at every point at which it may come.

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
use run::Run;
use scene::Scene;

/// Whether this response, the second, is what was promised, the first.
type Same = Box<dyn Fn(&Response, &Response) -> bool>;

/// Scripted clients against your service, each in a simulation of its own, with a drain at every point at which it may come.
///
/// The drain comes before and after each byte of a request, and at each step of its response. It also comes while the client is
/// slow, silent, flooding, upgraded or disconnected.
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
        let line = String::from_utf8_lossy(request.split(|it| *it == b'\r').next().unwrap_or_default());
        let report = |runs, outcomes| Report { server: format!("{line}, in {runs} runs"), outcomes };
        let head = head_of(request).expect("a request's head ends in an empty line");
        let reference = match self.reference(request) {
            Ok(reference) => reference,
            Err(how) => {
                let outcome = Outcome { promise: Run::ANSWERED, verdict: Verdict::Broken(how) };
                return report(2, vec![outcome]);
            }
        };
        let mut run = Run { rehearsal: self, request, head, reference, runs: 2 };
        let outcomes = run.outcomes();
        report(run.runs, outcomes)
    }

    fn scene(&self, capacity: usize, heads: bool) -> Scene {
        let simulation = (self.simulation)();
        let serve = simulation.driver().within(|| (self.service)(&simulation.runtime()));
        let stream = simulation.reach_through(capacity, serve).expect("the drain has not begun");
        Scene::new(simulation, stream, heads)
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
