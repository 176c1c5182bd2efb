//! `Handover`: the place of this process in a line of processes.

use std::io;
use std::net::{TcpListener, ToSocketAddrs, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ebbtide::Drain;

use crate::bind;
use crate::builder::Builder;
use crate::connection::Adopted;
use crate::driver::{Command, Driver};
use crate::environment::Environment;
use crate::event::{Ended, Event, Events};
use crate::giver::Giver;
use crate::listener::{Named, Origin, Registration};
use crate::protocol::{Entry, Kind, LONGEST_NAME};
use crate::replace::{Program, Replacer};
use crate::shared::Shared;
use crate::superseded::Superseded;
use crate::takeover_error::TakeoverError;

/// The place of this process in a line of processes that serve the same listeners, one after the other.
///
/// It takes listeners over from the process before it, and gives them to the one after it. A thread of its own does that, and
/// needs no runtime. When it is dropped, the process cannot be taken over any more, and its successor hears the last words.
#[derive(Debug)]
#[must_use = "once dropped, no successor can take over"]
pub struct Handover {
    shared: Arc<Shared>,
    sockets: Mutex<Sockets>,
    events: Events,
    told: Option<Ended>,
    patience: Duration,
    predecessor: Option<u32>,
    /// Whether the predecessor has ended before it gave everything.
    is_orphan: bool,
    /// Whether there is a control socket, and so the lock.
    is_locked: bool,
    thread: Option<JoinHandle<()>>,
}

/// What there is to choose from, and what was chosen.
#[derive(Debug)]
struct Sockets {
    arrived: Vec<(Entry, OwnedFd)>,
    environment: Environment,
    chosen: Vec<Entry>,
    is_ready: bool,
}

/// How long [`Handover::ready`] waits for the answer of the predecessor.
const ANSWER: Duration = Duration::from_secs(10);
/// How long the sockets of a predecessor that has just ended may still be there.
const CLOSING: Duration = Duration::from_secs(2);
/// How many listeners there may be.
const MOST_LISTENERS: usize = 4096;

impl Handover {
    /// A handover whose control socket is at this path. All processes of a line have the same path, and the same user.
    ///
    /// The directory should be writable for that user only, such as systemd's `RuntimeDirectory=`. Beside the socket a lock
    /// file is made, with `.lock` behind its name; it is never removed.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = std::env::temp_dir().join(format!("ebbtide-{}-at", std::process::id()));
    /// # std::fs::create_dir_all(&directory)?;
    /// # let path = directory.join("control");
    /// use ebbtide_handover::Handover;
    ///
    /// let handover = Handover::at(&path).on_event(|event| println!("{event}")).start()?;
    /// assert_eq!(handover.predecessor(), None);
    /// # std::fs::remove_dir_all(&directory)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn at(path: impl Into<PathBuf>) -> Builder {
        Builder::new(Some(path.into()))
    }

    /// A handover without a control socket: listeners are inherited from systemd, or bound. There is no successor.
    pub fn from_environment() -> Builder {
        Builder::new(None)
    }

    /// What `driver` has found becomes the handover, and `driver` its thread.
    pub(crate) fn run(
        mut driver: Driver,
        environment: Environment,
        shared: Arc<Shared>,
        builder: Builder,
    ) -> io::Result<Self> {
        let arrived = std::mem::take(&mut driver.arrived);
        let (predecessor, is_orphan) = (driver.predecessor(), driver.start.is_orphan);
        let thread = thread::Builder::new().name("ebbtide-handover".into()).spawn(move || driver.run())?;
        Ok(Self {
            shared,
            sockets: Mutex::new(Sockets { arrived, environment, chosen: Vec::new(), is_ready: false }),
            events: builder.events,
            told: builder.told,
            patience: builder.patience,
            predecessor,
            is_orphan,
            is_locked: builder.path.is_some(),
            thread: Some(thread),
        })
    }

    /// The TCP listener of this name: taken over, inherited or bound, in non-blocking mode.
    ///
    /// One that was taken over must be bound to this address; else it is closed here, and the address is bound. What systemd
    /// passes is taken whatever its address.
    ///
    /// # Errors
    ///
    /// The address cannot be bound. A socket of this name has another kind, or the name is taken. Listeners were added after
    /// [`ready`](Self::ready).
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = std::env::temp_dir().join(format!("ebbtide-{}-tcp", std::process::id()));
    /// # std::fs::create_dir_all(&directory)?;
    /// # let path = directory.join("control");
    /// use ebbtide_handover::{Handover, Origin};
    ///
    /// let first = Handover::at(&path).start()?;
    /// let listener = first.tcp("api", "127.0.0.1:0")?;
    /// assert_eq!(listener.origin(), Origin::Bound);
    /// first.ready()?;
    ///
    /// // The next process, or here the same one again.
    /// let second = Handover::at(&path).start()?;
    /// let taken = second.tcp("api", listener.get_ref().local_addr()?)?;
    /// assert_eq!(taken.origin(), Origin::TakenOver);
    /// # std::fs::remove_dir_all(&directory)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn tcp(&self, name: &str, address: impl ToSocketAddrs) -> io::Result<Named<TcpListener>> {
        let addresses: Vec<_> = address.to_socket_addrs()?.collect();
        let fits = |socket: &TcpListener| bind::fits(&socket.local_addr(), &addresses);
        self.named(name, Kind::Tcp, fits, || bind::tcp(&addresses))
    }

    /// The listener of this name at a Unix socket: taken over, inherited or bound, in non-blocking mode.
    ///
    /// The file is never removed by a process that ends. One that a dead process left is replaced.
    ///
    /// # Errors
    ///
    /// As [`tcp`](Self::tcp).
    pub fn unix(&self, name: &str, path: impl AsRef<Path>) -> io::Result<Named<UnixListener>> {
        let path = path.as_ref();
        let fits = |socket: &UnixListener| bind::is_at(socket.local_addr(), path);
        self.named(name, Kind::Unix, fits, || bind::unix(path, self.is_locked))
    }

    /// The UDP socket of this name: taken over, inherited or bound, in non-blocking mode.
    ///
    /// Datagrams that are queued in it are read by whoever reads first. So read what is there once the
    /// [successor is in charge](Self::superseded), and then stop.
    ///
    /// # Errors
    ///
    /// As [`tcp`](Self::tcp).
    pub fn udp(&self, name: &str, address: impl ToSocketAddrs) -> io::Result<Named<UdpSocket>> {
        let addresses: Vec<_> = address.to_socket_addrs()?.collect();
        let fits = |socket: &UdpSocket| bind::fits(&socket.local_addr(), &addresses);
        self.named(name, Kind::Udp, fits, || bind::udp(&addresses))
    }

    /// The datagram socket of this name at a Unix socket: taken over, inherited or bound, in non-blocking mode.
    ///
    /// # Errors
    ///
    /// As [`tcp`](Self::tcp).
    pub fn unix_datagram(&self, name: &str, path: impl AsRef<Path>) -> io::Result<Named<UnixDatagram>> {
        let path = path.as_ref();
        let fits = |socket: &UnixDatagram| bind::is_at(socket.local_addr(), path);
        self.named(name, Kind::UnixDatagram, fits, || bind::unix_datagram(path, self.is_locked))
    }

    fn named<S: From<OwnedFd> + AsFd>(
        &self,
        name: &str,
        kind: Kind,
        fits: impl FnOnce(&S) -> bool,
        bind: impl Fn() -> io::Result<S>,
    ) -> io::Result<Named<S>> {
        let mut sockets = self.sockets();
        sockets.check(name)?;
        let entry = Entry { name: name.to_owned(), kind };
        let mut found = None;
        if let Some(at) = sockets.arrived.iter().position(|(it, _)| *it == entry) {
            let socket = S::from(sockets.arrived.swap_remove(at).1);
            if fits(&socket) {
                found = Some((socket, Origin::TakenOver));
            } else {
                self.events.tell(Event::Unwanted { listener: name.to_owned() });
            }
        }
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{name}: {error}"));
        if found.is_none() {
            let inherited = sockets.environment.socket(name, kind).map_err(named)?;
            found = inherited.map(|it| (S::from(it), Origin::Inherited));
        }
        let (socket, origin) = match found {
            Some(found) => found,
            None => (self.bind(bind).map_err(named)?, Origin::Bound),
        };
        rustix::io::ioctl_fionbio(&socket, true).map_err(|it| named(it.into()))?;
        let kept = socket.as_fd().try_clone_to_owned().map_err(named)?;
        self.shared.listeners().insert(name.to_owned(), Arc::new(kept));
        sockets.chosen.push(entry);
        let is_stream = matches!(kind, Kind::Tcp | Kind::Unix);
        let registration = Registration::new(name, self.shared.clone(), origin, is_stream);
        Ok(Named::new(socket, registration))
    }

    /// Binds. The sockets of a process that has just ended are closed one after the other.
    fn bind<S>(&self, bind: impl Fn() -> io::Result<S>) -> io::Result<S> {
        let until = Instant::now() + CLOSING;
        loop {
            match bind() {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && self.is_orphan && Instant::now() < until => {
                    thread::sleep(Duration::from_millis(5));
                }
                bound => return bound,
            }
        }
    }

    /// Declares that this process can serve: all its listeners were taken, and accept loops run, or are about to.
    ///
    /// Before this, no [`Named`] listener accepts: a process that fails while it starts must not take clients with it. The
    /// predecessor stops accepting now. It returns when that has answered, at the latest after 10 s; if it has not, this
    /// process serves all the same. Listeners that came from the predecessor and were not taken are closed here.
    ///
    /// It blocks the thread for that time, which is usually below a millisecond.
    ///
    /// # Errors
    ///
    /// The predecessor does not want this process any more, since it took too long or a listener was closed meanwhile. Then end
    /// it: the predecessor serves on.
    pub fn ready(&self) -> Result<(), TakeoverError> {
        let listeners = {
            let mut sockets = self.sockets();
            sockets.is_ready = true;
            for (entry, _) in sockets.arrived.drain(..) {
                self.events.tell(Event::Unwanted { listener: entry.name });
            }
            sockets.chosen.clone()
        };
        let (answer, answered) = channel();
        if self.shared.command(Command::Ready { listeners, answer }).is_err() {
            return Ok(());
        }
        match answered.recv_timeout(ANSWER) {
            Ok(Err(why)) => Err(TakeoverError::Refused { why }),
            Err(RecvTimeoutError::Timeout) => {
                drop(self.shared.command(Command::Open));
                Ok(())
            }
            Ok(Ok(())) | Err(RecvTimeoutError::Disconnected) => Ok(()),
        }
    }

    /// The process number of the predecessor, if there was one when this process started.
    pub fn predecessor(&self) -> Option<u32> {
        self.predecessor
    }

    /// A future that is ready when a successor is in charge. Start the drain then, or have it started: see
    /// [`drains`](Self::drains).
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = std::env::temp_dir().join(format!("ebbtide-{}-superseded", std::process::id()));
    /// # std::fs::create_dir_all(&directory)?;
    /// # let path = directory.join("control");
    /// # futures_lite::future::block_on(async {
    /// use ebbtide_handover::Handover;
    ///
    /// let first = Handover::at(&path).start()?;
    /// first.ready()?;
    /// let second = Handover::at(&path).start()?;
    /// second.ready()?;
    /// first.superseded().await;
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// # })?;
    /// # std::fs::remove_dir_all(&directory)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn superseded(&self) -> Superseded {
        Superseded { watcher: self.shared.superseded.watcher() }
    }

    /// Starts this drain when a successor is in charge. Its cause says so. The successor hears how it goes.
    ///
    /// It keeps the drain, so dropping yours does not start it.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = std::env::temp_dir().join(format!("ebbtide-{}-drains", std::process::id()));
    /// # std::fs::create_dir_all(&directory)?;
    /// # let path = directory.join("control");
    /// use ebbtide::Drain;
    /// use ebbtide_handover::Handover;
    ///
    /// let first = Handover::at(&path).start()?;
    /// let drain = Drain::new();
    /// first.drains(&drain);
    /// first.ready()?;
    /// let second = Handover::at(&path).start()?;
    /// second.ready()?;
    /// # let watcher = drain.watcher();
    /// # futures_lite::future::block_on(watcher);
    /// assert!(drain.cause().unwrap().to_string().starts_with("superseded by process "));
    /// # std::fs::remove_dir_all(&directory)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn drains(&self, drain: &Drain) {
        drop(self.shared.command(Command::Drains(drain.clone())));
    }

    /// Starts a successor of this process on demand. It has the [patience](Builder::patience) of this handover.
    pub fn replacer(&self, program: Program) -> Replacer {
        Replacer::new(program, self.shared.clone(), self.patience)
    }

    /// Gives connections to the successor.
    pub fn giver(&self) -> Giver {
        Giver { shared: self.shared.clone() }
    }

    /// The connections that come from the predecessor for the listener of this name, for an accept loop of your own. Those of a
    /// [`Named`] that a runtime adapter serves are accepted there.
    pub fn adopted(&self, name: &str) -> Adopted {
        let (connections, adopted) = async_channel::unbounded();
        drop(self.shared.command(Command::Adopts { listener: name.to_owned(), connections }));
        Adopted::new(adopted)
    }

    fn sockets(&self) -> MutexGuard<'_, Sockets> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sockets {
    fn check(&self, name: &str) -> io::Result<()> {
        let wrong = |why: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, format!("listener {name:?}: {why}")));
        if self.is_ready {
            return wrong("listeners are taken before `ready`");
        }
        // `:` separates the names of systemd.
        if name.is_empty() || name.len() > LONGEST_NAME || name.contains(|it: char| it.is_control() || it == ':') {
            return wrong("a name has 1 to 255 bytes, without colons and control characters");
        }
        if self.chosen.iter().any(|it| it.name == name) {
            return wrong("there is one of this name already");
        }
        if self.chosen.len() >= MOST_LISTENERS {
            return wrong("there are too many");
        }
        Ok(())
    }
}

impl Drop for Handover {
    fn drop(&mut self) {
        drop(self.shared.command(Command::End));
        // On the thread itself if a waker that it calls drops this.
        if let Some(thread) = self.thread.take().filter(|it| it.thread().id() != thread::current().id()) {
            // It waits for nothing then.
            drop(thread.join());
        }
        self.events = Events::default();
        if let Some(told) = &self.told {
            told.wait();
        }
    }
}
