//! `Recorder`: the thread that writes the file.

use std::cmp::Reverse;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{self, Thread};
use std::time::{Duration, Instant, SystemTime};

use ebbtide::{Drain, Held, State};

use crate::event::{Event, Trouble};
use crate::folder::{self, Found, OwnFile};
use crate::holder::Holder;
use crate::killed::Killed;
use crate::post_mortem::{HeldBy, OnEvent};
use crate::process::Process;
use crate::record::{self, Record};
use crate::text;
use crate::waiting::{Stop, Waited};

/// What records a drain. Keep it up to the end of `main`.
///
/// If it is dropped, the recording ends, and the file is removed. The drop waits for that, 250 ms at most. Otherwise the end of
/// the process could leave the file there, and the next start would tell of a kill that never was. For the same reason drop it
/// before [`std::process::exit`].
///
/// By itself the recording ends with the last guard. Work that goes on after a forced close is recorded, too.
#[must_use = "dropping it ends the recording"]
pub struct Recorder {
    stop: Arc<Stop>,
    folder: PathBuf,
    on_event: Option<Arc<OnEvent>>,
    /// `None` if there is no thread.
    thread: Option<Thread>,
    ended: Receiver<()>,
}

/// How often the file is written.
const TICK: Duration = Duration::from_secs(1);
/// For how long the end waits for the file to be removed.
pub(crate) const PATIENCE: Duration = Duration::from_millis(250);
/// And for how long then for who is told that it was not.
const LAST_LINE: Duration = Duration::from_millis(100);

impl Recorder {
    pub(crate) fn new(work: Work) -> Self {
        let (stop, folder, on_event) = (Arc::<Stop>::default(), work.folder.clone(), work.on_event.clone());
        let (until_here, ended) = channel::<()>();
        let until = stop.clone();
        let run = move || {
            let _until_here = until_here;
            work.run(&until);
        };
        let thread = match thread::Builder::new().name("post-mortem".into()).spawn(run) {
            Ok(thread) => Some(thread.thread().clone()),
            Err(error) => {
                if let Some(told) = &on_event {
                    told(Event::Trouble(Trouble::Thread(error)));
                }
                None
            }
        };
        Self { stop, folder, on_event, thread, ended }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let Some(thread) = &self.thread else { return };
        self.stop.stop(thread);
        if self.ended.recv_timeout(PATIENCE) != Err(RecvTimeoutError::Timeout) {
            return;
        }
        // On a thread of its own: who is told may be what has taken so long.
        let Some(told) = self.on_event.clone() else { return };
        let ((until_here, is_told), folder) = (channel::<()>(), self.folder.clone());
        let tell = move || {
            let _until_here = until_here;
            told(Event::Trouble(Trouble::Slow { folder }));
        };
        if thread::Builder::new().spawn(tell).is_ok() {
            let _or_not = is_told.recv_timeout(LAST_LINE);
        }
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// What the thread does.
pub(crate) struct Work {
    pub(crate) folder: PathBuf,
    pub(crate) deadline: Box<dyn Fn() -> Option<Duration> + Send>,
    pub(crate) held_by: Option<Box<HeldBy>>,
    /// `None` if nobody is told.
    pub(crate) on_event: Option<Arc<OnEvent>>,
    pub(crate) drain: Drain,
}

impl Work {
    fn run(mut self, stop: &Stop) {
        if self.on_event.is_some() {
            self.look_back();
        }
        if stop.wait(self.drain.watcher(), None) != Waited::Ready {
            return;
        }
        let (begun, date) = (Instant::now(), record::writable(SystemTime::now()));
        let (process, mut file) = (Process::this(), OwnFile::new(&self.folder));
        let (mut released, mut is_told) = (self.drain.released(), false);
        loop {
            let record = self.record(process.clone(), date, begun.elapsed());
            // A drain that is over at once should not wait for a disk; and one that was killed by a signal left its file in any
            // case, with what the system has not yet written.
            let lasts = record.elapsed >= TICK;
            if let Err(error) = file.write(&record, lasts) {
                if !is_told {
                    is_told = true;
                    self.tell(Event::Trouble(Trouble::Write { file: file.path().into(), error }));
                }
            }
            if stop.wait(&mut released, Some(Instant::now() + TICK)) != Waited::TimeIsUp {
                break;
            }
        }
        if let Err(error) = file.remove() {
            self.tell(Event::Trouble(Trouble::Remove { file: file.path().into(), error }));
        }
    }

    /// Tells of what earlier processes have left.
    fn look_back(&self) {
        let files = match folder::files(&self.folder) {
            Ok(files) => files,
            Err(error) => {
                return self.tell(Event::Trouble(Trouble::Folder { folder: self.folder.clone(), error }));
            }
        };
        for file in files {
            if folder::is_unfinished(&file) {
                folder::sweep(&file);
                continue;
            }
            match folder::read(&file) {
                Ok(Found::Nothing) => {}
                Ok(Found::Killed(record, _until_it_is_removed)) => {
                    self.tell(Event::Killed(Killed::new(record)));
                    // Not before it was told: a start that fails here tells it the next time.
                    if let Err(error) = folder::remove(&file) {
                        self.tell(Event::Trouble(Trouble::Remove { file, error }));
                    }
                }
                Err(oddity) => self.tell(Event::Trouble(Trouble::Odd { file, oddity })),
            }
        }
    }

    fn record(&mut self, process: Process, begun: SystemTime, elapsed: Duration) -> Record {
        let held = self.drain.held();
        let labelled: usize = held.iter().map(Held::guards).sum();
        let unlabelled = self.drain.guards().saturating_sub(labelled);
        // A label is a text of the user's, made by a function of the user's.
        let holders = catch_unwind(AssertUnwindSafe(|| self.holders(&held)));
        let (holders, more) = holders.unwrap_or_default();
        Record {
            process,
            begun,
            cause: catch_unwind(AssertUnwindSafe(|| self.cause())).unwrap_or_default(),
            deadline: (self.deadline)(),
            elapsed,
            was_closed: self.drain.state() == State::Closed,
            holders,
            more,
            unlabelled,
        }
    }

    fn cause(&self) -> String {
        self.drain.cause().map(|it| text::line(&it)).unwrap_or_default()
    }

    /// What is held, and how many entries are left out.
    fn holders(&mut self, held: &[Held]) -> (Vec<Holder>, usize) {
        let Some(held_by) = &mut self.held_by else {
            let holders: Vec<_> = held.iter().take(record::MOST).map(Holder::from).collect();
            let more = held.len() - holders.len();
            return (holders, more);
        };
        let mut holders = held_by();
        holders.sort_by_key(|it| Reverse(it.age));
        let more = holders.len().saturating_sub(record::MOST);
        holders.truncate(record::MOST);
        (holders, more)
    }

    fn tell(&self, event: Event) {
        // A panic of it is its own: the panic hook has told of it.
        if let Some(told) = &self.on_event {
            drop(catch_unwind(AssertUnwindSafe(|| told(event))));
        }
    }
}
