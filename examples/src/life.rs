//! From the first listener to the exit code: what every server does, whatever it runs on.

use std::cmp::Ordering;
use std::error::Error;
use std::future::IntoFuture;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::pin;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ebbtide::{Drain, Guard, LameDuck, Order};
use ebbtide_signal::{Signals, escalate};
use ebbtide_tokio::Failure;
use futures_util::future::{Either, select};

use crate::options::{HELP, Options};
use crate::report::Report;
use crate::work::Work;
use crate::{Runtime, inherited, output};

/// Runs a server with the flags it was given, and with the main listener if it inherited one. Its error is that it cannot
/// start.
pub fn run(server: impl FnOnce(&Options, Option<TcpListener>) -> Result<ExitCode, String>) -> ExitCode {
    let started = match Options::from_args() {
        Ok(Some(options)) => inherited::main_listener().and_then(|listener| server(&options, listener)),
        Ok(None) => {
            output::say(HELP);
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => Err(error),
    };
    let code = started.unwrap_or_else(|error| {
        output::complain(format!("server: {error}"));
        ExitCode::from(2)
    });
    output::finish();
    code
}

/// Makes an inherited listener, if there is one, the runtime's: `from_std` is the runtime's name for that.
pub fn adopted<L>(
    listener: Option<TcpListener>,
    from_std: impl FnOnce(TcpListener) -> io::Result<L>,
) -> Option<io::Result<L>> {
    listener.map(|listener| listener.set_nonblocking(true).and_then(|()| from_std(listener)))
}

/// Says where a listener listens, for the port may have been 0; or, for the start to fail with, why it does not.
///
/// # Errors
///
/// One line that says which address and why.
pub fn listening<L>(
    what: &str,
    addr: SocketAddr,
    listener: io::Result<L>,
    local_addr: impl FnOnce(&L) -> io::Result<SocketAddr>,
) -> Result<L, String> {
    let refused = |error: io::Error| format!("cannot listen on {addr}: {error}");
    let listener = listener.map_err(refused)?;
    output::say(format!("{what}://{}", local_addr(&listener).map_err(refused)?));
    Ok(listener)
}

/// Prints the errors of accepting and of connections, a few lines a second at most: clients can cause as many as they like.
pub fn failed(failure: &Failure<'_>) {
    static LINES: Mutex<Option<(Instant, u32)>> = Mutex::new(None);
    let mut lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    let (since, said) = lines.filter(|(since, _)| since.elapsed() < INTERVAL).unwrap_or((Instant::now(), 0));
    *lines = Some((since, said.saturating_add(1)));
    match said.cmp(&MOST) {
        Ordering::Less => output::complain(format!("server: {failure}")),
        Ordering::Equal => output::complain("server: and more of that kind"),
        Ordering::Greater => {}
    }
}

/// How many lines there are at most in an interval.
const MOST: u32 = 10;
const INTERVAL: Duration = Duration::from_secs(1);

/// For how long a server that was closed by force waits for the tasks that it has cut.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// A server's parts, in the order they end in.
#[derive(Debug)]
pub struct Life<R> {
    runtime: R,
    order: Order,
    main: Drain,
    diagnostics: Drain,
}

impl<R: Runtime> Life<R> {
    /// It begins.
    #[must_use]
    pub fn new(runtime: R, lame_duck: Duration) -> Self {
        let (main, diagnostics) = (Drain::new(), Drain::new());
        let order = match lame_duck {
            Duration::ZERO => Order::new(),
            window => Order::new().then([("lame duck", Self::lame_duck(&runtime, LameDuck::new(&main, window)))]),
        };
        // The diagnostics last: until the main server has drained they say that this process lives.
        let order = order.then([("main", main.clone())]).then([("diagnostics", diagnostics.clone())]);
        Self { runtime, order, main, diagnostics }
    }

    /// The stage before the main server drains: over when that time is.
    fn lame_duck(runtime: &R, lame_duck: LameDuck) -> Drain {
        let stage = Drain::new();
        let (begins, clock) = (stage.watcher(), runtime.clone());
        let sleep = move |time| {
            let clock = clock.clone();
            async move { clock.sleep(time).await }
        };
        if let Some(guard) = begins.guard() {
            let passing = guard.during(async move {
                begins.await;
                lame_duck.pass(sleep).await;
            });
            runtime.spawn(async {
                passing.await;
            });
        }
        stage
    }

    /// The drain of all, which is started by the signals: from then on the server is not ready.
    pub fn all(&self) -> &Drain {
        self.order.drain()
    }

    /// The main server's drain.
    pub fn main(&self) -> &Drain {
        &self.main
    }

    /// The diagnostics' drain, which outlives the main server's.
    pub fn diagnostics(&self) -> &Drain {
        &self.diagnostics
    }

    /// A guard for a listener of the main server.
    ///
    /// # Panics
    ///
    /// Once the drain has begun: [`end`](Self::end) is what lets it begin.
    pub fn main_guard(&self) -> Guard {
        self.main.guard().expect("nothing has started it yet")
    }

    /// A guard for the diagnostics listener.
    ///
    /// # Panics
    ///
    /// As [`main_guard`](Self::main_guard).
    pub fn diagnostics_guard(&self) -> Guard {
        self.diagnostics.guard().expect("nothing has started it yet")
    }

    /// Serves a listener as a part of the whole, under one more guard of its drain: its failure drains all.
    pub fn serve<E>(
        &self,
        label: &'static str,
        guard: Guard,
        served: impl IntoFuture<Output = Result<(), E>, IntoFuture: Send + 'static>,
    ) where
        E: Into<Box<dyn Error + Send + Sync>> + Send,
    {
        let part = self.order.part(label, guard, served.into_future());
        self.runtime.spawn(async {
            part.await;
        });
    }

    /// The same for a server with a drain of its own, which is a part of the whole by itself. Behind a forced close it has
    /// last words: the responses that tell clients of it.
    pub fn serve_to_the_end<E>(
        &self,
        label: &'static str,
        guard: Guard,
        served: impl IntoFuture<Output = Result<(), E>, IntoFuture: Send + 'static>,
    ) where
        E: Error + Send + Sync + 'static,
    {
        let (say, hear) = async_channel::bounded(1);
        let served = served.into_future();
        // A task of its own: a part is dropped at a forced close.
        self.runtime.spawn(async move { drop(say.send(served.await).await) });
        self.serve(label, guard, async move { hear.recv().await?.map_err(Box::<dyn Error + Send + Sync>::from) });
    }

    /// Waits for a signal, or for a failure, and then for the end, telling how it goes.
    pub async fn end(self, signals: Signals, work: &Work, options: &Options) -> ExitCode {
        // Not before the listeners have their guards: a signal may have come already.
        escalate(self.order.drain().clone(), signals);
        self.order.drain().watcher().await;
        let code = self.drained(work, options).await;
        let Some(failure) = self.order.failure() else { return ExitCode::from(code) };
        output::complain(format!("server: {failure}"));
        ExitCode::FAILURE
    }

    async fn drained(&self, work: &Work, options: &Options) -> u8 {
        let limit = options.drain_timeout.map(|time| time + options.ready_delay);
        let deadline = async {
            match limit {
                Some(limit) => self.runtime.sleep(limit).await,
                None => std::future::pending().await,
            }
        };
        let mut report = Report::begin(options.ready_delay, limit, work);
        let mut end = pin!(self.order.drain().start().deadline(deadline));
        loop {
            report.progress(work);
            let pause = pin!(self.runtime.sleep(report.interval()));
            if let Either::Left(_) = select(end.as_mut(), pause).await {
                // The whole is over, so the main server is: its own end names what was cut.
                let ended = self.main.start().await;
                if ended.is_err() {
                    // For what is cut to be answered with 503.
                    let (released, most) = (pin!(self.main.released()), pin!(self.runtime.sleep(LAST_WORDS)));
                    select(released, most).await;
                }
                return report.end(&ended, work);
            }
        }
    }
}
