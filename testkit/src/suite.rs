//! The suite over real sockets.

use std::any::Any;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::channel::Security;
use crate::feature::Feature;
use crate::promise::Promise;
use crate::report::{Outcome, Report, Verdict};
use crate::scenarios;
use crate::sockets::{Serve, Sockets};
use crate::start::Start;

/// Every promise, put to one server. Each has a server of its own; several run at a time.
///
/// The crate's own page has an example.
#[derive(Clone)]
#[must_use = "it does nothing until it runs"]
pub struct Suite {
    server: String,
    serve: Serve,
    security: Security,
    without: Vec<(Feature, String)>,
    only: Option<String>,
    patience: Duration,
}

/// How many scenarios run at a time: they mostly wait.
const AT_A_TIME: usize = 8;
/// One suite at a time in a process: each needs hundreds of descriptors.
static RUNNING: Mutex<()> = Mutex::new(());
/// How long anything is waited for. No promise is about this number: it is only there so that a hang becomes a report.
const PATIENCE: Duration = Duration::from_secs(10);
/// Every wait of a scenario has an end, and few scenarios have more waits than this that take long.
const WAITS: u32 = 4;
/// Why a promise about handshakes is none of a suite's.
pub(crate) const NO_TLS: &str = "its clients do not come through TLS";
#[cfg(feature = "rustls")]
pub(crate) const NO_HALF_CLOSE: &str = "behind TLS whoever ends one direction is about to end the other";

impl Suite {
    /// The suite for a server of this name. `serve` starts one, and serves until its drain is over.
    ///
    /// It is called once for each promise, on a thread of its own, several at a time.
    pub fn new(server: impl Into<String>, serve: impl Fn(Start) -> io::Result<()> + Send + Sync + 'static) -> Self {
        let (serve, security, without) = (Arc::new(serve), Security::Plain, vec![(Feature::Tls, NO_TLS.to_owned())]);
        Self { server: server.into(), serve, security, without, only: None, patience: PATIENCE }
    }

    /// Has its clients come through TLS: the server is to do the handshakes, by [`Start::tls`](crate::Start::tls).
    #[cfg(feature = "rustls")]
    pub fn over_tls(mut self) -> Self {
        self.security = Security::Tls(crate::tls::Identity::new());
        self.server.push_str(", TLS");
        self.without.retain(|(feature, _)| *feature != Feature::Tls);
        self.without.push((Feature::HalfClosed, NO_HALF_CLOSE.to_owned()));
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

    /// Waits no longer than this for anything. Default: 10 s, which a server that keeps its promises never makes use of.
    pub fn patience(mut self, time: Duration) -> Self {
        self.patience = time;
        self
    }

    /// Runs it, after those that run already in this process.
    pub fn run(&self) -> Report {
        let _running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        let chosen = |it: &Promise<_>| self.only.as_ref().is_none_or(|only| it.name.contains(only));
        let promises: Vec<_> = scenarios::over_sockets().into_iter().filter(chosen).collect();
        let verdicts: Vec<_> = promises.iter().map(|_| Mutex::new(None)).collect();
        let next = AtomicUsize::new(0);
        thread::scope(|threads| {
            for _ in 0..AT_A_TIME {
                threads.spawn(|| {
                    loop {
                        let at = next.fetch_add(1, Ordering::SeqCst);
                        let Some(promise) = promises.get(at) else { break };
                        let verdict = self.verdict(promise);
                        *verdicts[at].lock().unwrap_or_else(PoisonError::into_inner) = Some(verdict);
                    }
                });
            }
        });
        let outcomes = promises.iter().zip(verdicts).map(|(promise, verdict)| Outcome {
            promise: promise.name,
            verdict: verdict.into_inner().unwrap_or_else(PoisonError::into_inner).expect("each was run"),
        });
        Report { server: self.server.clone(), outcomes: outcomes.collect() }
    }

    fn verdict(&self, promise: &Promise<Sockets>) -> Verdict {
        let left_out = self.without.iter().find(|(feature, _)| promise.needs == Some(*feature));
        if let Some((_, why)) = left_out {
            return Verdict::NotOffered(why.clone());
        }
        let (serve, security, patience) = (self.serve.clone(), self.security.clone(), self.patience);
        let (settings, scenario) = (promise.settings, promise.scenario);
        let (end, ended) = mpsc::channel();
        let run = move || {
            let run = || scenario(Sockets::start(&serve, security, settings, patience));
            drop(end.send(catch_unwind(AssertUnwindSafe(run))));
        };
        // Not joined: one that hangs is left behind.
        drop(thread::Builder::new().name(promise.name.into()).spawn(run).expect("a thread"));
        match ended.recv_timeout(patience * WAITS) {
            Ok(Ok(())) => Verdict::Kept,
            Ok(Err(panic)) => Verdict::Broken(how(&*panic)),
            Err(RecvTimeoutError::Timeout) => Verdict::Broken("it goes on and on".into()),
            Err(RecvTimeoutError::Disconnected) => unreachable!("it sends its end"),
        }
    }
}

/// What a panic says, on one line.
pub(crate) fn how(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words");
    text.lines().map(str::trim).collect::<Vec<_>>().join("; ")
}

impl fmt::Debug for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Suite").field("server", &self.server).finish_non_exhaustive()
    }
}
