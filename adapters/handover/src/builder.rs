//! `Builder`: how a handover starts.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use crate::control::{Control, Found, holder};
use crate::driver::Driver;
use crate::environment::Environment;
use crate::event::{Ended, Event, Events};
use crate::handover::Handover;
use crate::protocol::Generation;
use crate::shared::Shared;
use crate::takeover_error::TakeoverError;
use crate::wake::Wake;

/// How a [`Handover`] starts.
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
/// use ebbtide_handover::Handover;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let handover = Handover::at("/run/greeter/handover")
///     .patience(Duration::from_secs(20)) // for a successor to warm its caches
///     .on_event(|event| eprintln!("{event}"))
///     .start()?;
/// # Ok(())
/// # }
/// ```
#[must_use = "it does nothing unless it is started"]
pub struct Builder {
    pub(crate) path: Option<PathBuf>,
    pub(crate) patience: Duration,
    pub(crate) events: Events,
    pub(crate) told: Option<Ended>,
}

/// How long a successor may take to start, unless it is said.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long to wait for a process that has the lock and does not listen: it is just starting, or ending.
const BUSY: Duration = Duration::from_secs(10);
impl Builder {
    pub(crate) fn new(path: Option<PathBuf>) -> Self {
        Self { path, patience: PATIENCE, events: Events::default(), told: None }
    }

    /// How long a successor may take from its listeners to [`ready`](Handover::ready). Default: 60 s. Then it is told no, and
    /// this process serves on as if nothing had been.
    pub fn patience(mut self, time: Duration) -> Self {
        self.patience = time;
        self
    }

    /// Tells of what happens, while it does: each event is a line for a log. Default: nobody is told.
    ///
    /// It is called on a thread of its own. If it blocks for long, events are lost.
    pub fn on_event(mut self, told: impl FnMut(Event) + Send + 'static) -> Self {
        let (events, told) = Events::new(told);
        (self.events, self.told) = (events, Some(told));
        self
    }

    /// Asks the process in charge for its listeners; without one, this process is the first.
    ///
    /// It blocks the thread until they have come, which is usually a few milliseconds. Call it early, before there is a runtime:
    /// it takes `LISTEN_FDS` and `LISTEN_PID` out of the environment.
    ///
    /// # Errors
    ///
    /// [`TakeoverError`]. The process in charge goes on as before.
    pub fn start(self) -> Result<Handover, TakeoverError> {
        let environment = Environment::take().map_err(TakeoverError::System)?;
        let wake = Wake::new().map_err(TakeoverError::System)?;
        let (commands, received) = channel();
        let shared = Shared::new(commands, wake);
        let mut driver = Driver::new(received, shared.clone(), self.events.clone(), self.patience);
        if let Some(path) = &self.path {
            find(&mut driver, path)?;
        }
        Handover::run(driver, environment, shared, self).map_err(TakeoverError::System)
    }
}

fn find(driver: &mut Driver, path: &Path) -> Result<(), TakeoverError> {
    let until = Instant::now() + BUSY;
    loop {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        match Control::find(path).map_err(named).map_err(TakeoverError::System)? {
            Found::Nobody(control) => {
                driver.control = Some(control);
                driver.generation = Generation::first(std::process::id());
                return Ok(());
            }
            Found::Predecessor(stream) => {
                driver.ask(stream).map_err(named).map_err(TakeoverError::System)?;
                while !driver.start.is_whole && !driver.start.must_retry && driver.start.refused.is_none() {
                    driver.step(None);
                }
                if let Some(why) = driver.start.refused.take() {
                    return Err(TakeoverError::Refused { why });
                }
                if driver.start.is_whole {
                    return Ok(());
                }
            }
            Found::Busy => {}
        }
        if Instant::now() >= until {
            return Err(TakeoverError::Unresponsive { path: path.to_owned(), holder: holder(path) });
        }
        // There is nothing to wait for: the other process is between its lock and its socket.
        thread::sleep(Duration::from_millis(5));
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("path", &self.path).field("patience", &self.patience).finish_non_exhaustive()
    }
}
