//! The suite in memory and in virtual time.

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use ebbtide::Guard;
use ebbtide_connection::Bounds;

use crate::application::Application;
use crate::channel::Security;
use crate::feature::Feature;
use crate::memory::Memory;
use crate::pipe::Io;
use crate::promise::Promise;
use crate::report::{Outcome, Report, Verdict};
use crate::runtime::Runtime;
use crate::scenarios;
use crate::simulation::{self, Serve, Simulation};
#[cfg(feature = "rustls")]
use crate::suite::NO_HALF_CLOSE;
use crate::suite::{NO_TLS, how};

/// Every promise that needs no accept loop, put to what serves a connection: each in a [`Simulation`] of its own.
///
/// It takes a fraction of the time of a [`Suite`](crate::Suite) over sockets, and is the same each time. It does not show what
/// sockets, threads and listeners add.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "hyper")] {
/// use ebbtide_hyper::Http;
/// use ebbtide_testkit::VirtualSuite;
/// use ebbtide_testkit::hyper::Service;
///
/// let suite = VirtualSuite::new("hyper", |start| {
///     let runtime = start.runtime.clone();
///     let http = Http::new(runtime.clone(), runtime.clone()).bounds(start.bounds);
///     let application = start.application.clone();
///     move |io, guard| {
///         let service = Service::new(application.clone(), guard.clone(), runtime.clone());
///         http.serve(io, service, guard)
///     }
/// });
/// suite.only("idle").run().expect_kept();
/// # }
/// ```
#[must_use = "it does nothing until it runs"]
pub struct VirtualSuite {
    server: String,
    serve: Box<dyn Fn(&VirtualStart) -> Serve>,
    simulation: fn() -> Simulation,
    security: Security,
    without: Vec<(Feature, String)>,
    only: Option<String>,
}

/// Everything that a server under test needs in a simulation.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct VirtualStart {
    /// Its tasks and its clock.
    pub runtime: Runtime,
    /// What it is to serve.
    pub application: Application,
    /// Its connections' bounds.
    pub bounds: Bounds,
    /// The TLS configuration, if its clients come through TLS: [`VirtualSuite::over_tls`].
    #[cfg(feature = "rustls")]
    pub tls: Option<std::sync::Arc<rustls::ServerConfig>>,
}

/// In virtual time: less than the bounds that nobody should wait for.
const PATIENCE: Duration = Duration::from_secs(30);

impl VirtualSuite {
    /// The suite for a server of this name, which is made by this: what serves a connection. It is called once for each
    /// promise.
    pub fn new<C, F>(server: impl Into<String>, serve: impl Fn(&VirtualStart) -> C + 'static) -> Self
    where
        C: Fn(Io, Guard) -> F + 'static,
        F: Future + 'static,
    {
        let serve = move |start: &VirtualStart| simulation::serve(serve(start));
        let why = "there is no accept loop";
        let features = [Feature::Listener, Feature::MaxConnections];
        let mut without = features.map(|feature| (feature, why.to_owned())).to_vec();
        without.push((Feature::Tls, NO_TLS.to_owned()));
        let (serve, security) = (Box::new(serve), Security::Plain);
        Self { server: server.into(), serve, simulation: Simulation::new, security, without, only: None }
    }

    /// Has its clients come through TLS: the server is to do the handshakes, by [`VirtualStart::tls`].
    #[cfg(feature = "rustls")]
    pub fn over_tls(mut self) -> Self {
        self.security = Security::Tls(crate::tls::Identity::new());
        self.server.push_str(", TLS");
        self.without.retain(|(feature, _)| *feature != Feature::Tls);
        self.without.push((Feature::HalfClosed, NO_HALF_CLOSE.to_owned()));
        self
    }

    /// The same on tokio, for a server that uses its tasks or its clock: see [`Simulation::tokio`].
    #[cfg(feature = "tokio")]
    pub fn on_tokio(mut self) -> Self {
        self.simulation = Simulation::tokio;
        self
    }

    /// Leaves out what the server has not, and says why.
    pub fn without(mut self, feature: Feature, why: impl Into<String>) -> Self {
        self.without.push((feature, why.into()));
        self
    }

    /// Leaves out the promises whose names do not have this in them: to find out about one.
    pub fn only(mut self, part: impl Into<String>) -> Self {
        self.only = Some(part.into());
        self
    }

    /// Runs it.
    pub fn run(&self) -> Report {
        let chosen = |it: &Promise<_>| self.only.as_ref().is_none_or(|only| it.name.contains(only));
        let promises = scenarios::all().into_iter().filter(chosen);
        let outcomes = promises.map(|it| Outcome { promise: it.name, verdict: self.verdict(&it) });
        Report { server: self.server.clone(), outcomes: outcomes.collect() }
    }

    fn verdict(&self, promise: &Promise<Memory>) -> Verdict {
        let left_out = self.without.iter().find(|(feature, _)| promise.needs == Some(*feature));
        if let Some((_, why)) = left_out {
            return Verdict::NotOffered(why.clone());
        }
        let run = || {
            let simulation = (self.simulation)().patience(PATIENCE);
            let (runtime, application) = (simulation.runtime(), Application::new());
            let start = VirtualStart {
                runtime,
                application: application.clone(),
                bounds: promise.settings.bounds,
                #[cfg(feature = "rustls")]
                tls: self.security.server(),
            };
            let serve = simulation.driver().within(|| (self.serve)(&start));
            (promise.scenario)(Memory::new(simulation, self.security.clone(), application, serve));
        };
        match catch_unwind(AssertUnwindSafe(run)) {
            Ok(()) => Verdict::Kept,
            Err(panic) => Verdict::Broken(how(&*panic)),
        }
    }
}

impl fmt::Debug for VirtualSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VirtualSuite").field("server", &self.server).finish_non_exhaustive()
    }
}
