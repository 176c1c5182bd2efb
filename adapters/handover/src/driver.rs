//! `Driver`: the sockets and the clock of the protocol, on one thread.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use ebbtide::{Closed, Drain, Label, Watcher};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::connection::{Connection, Slot};
use crate::control::{Control, Credentials};
use crate::event::{Event as Told, Events};
use crate::protocol::{Action, Entry, Event, Fate, Generation, Link, Message, Notice, Offer, Wait};
use crate::shared::Shared;
use crate::systemd;
use crate::wire::{Incoming, Lack, Wire};

/// What others ask of the thread.
pub(crate) enum Command {
    /// The process can serve, and has these listeners.
    Ready {
        listeners: Vec<Entry>,
        answer: Sender<Result<(), String>>,
    },
    /// The predecessor has not answered, and is not waited for any more.
    Open,
    /// A listener is used no more.
    Retire,
    /// This drain is to begin when the successor is in charge.
    Drains(Drain),
    Give {
        listener: String,
        connection: Connection,
        slot: Arc<Slot>,
    },
    /// Connections of this listener are to be served.
    Adopts {
        listener: String,
        connections: async_channel::Sender<Connection>,
    },
    End,
}

pub(crate) struct Driver {
    pub(crate) generation: Generation,
    /// `None`: nobody can take over.
    pub(crate) control: Option<Control>,
    wires: BTreeMap<Link, Slotted>,
    next_link: u32,
    /// What the predecessor gave.
    pub(crate) arrived: Vec<(Entry, OwnedFd)>,
    commands: Receiver<Command>,
    shared: Arc<Shared>,
    events: Events,
    /// How long a successor may take to start.
    patience: Duration,
    leaving: HashMap<u32, Leaving>,
    next_offer: u32,
    adopting: HashMap<String, async_channel::Sender<Connection>>,
    drains: Vec<Drained>,
    answer: Option<Sender<Result<(), String>>>,
    /// When the control socket is tried again.
    rests_until: Option<Instant>,
    /// When to tell next how the drains go, and how many guards there were when it was told last.
    reported: Option<(Instant, Option<usize>)>,
    pub(crate) start: Start,
    predecessor: Option<u32>,
    has_ended: bool,
    has_said_goodbye: bool,
    is_ready: bool,
}

/// How the taking over goes.
#[derive(Debug, Default)]
pub(crate) struct Start {
    pub(crate) is_whole: bool,
    pub(crate) must_retry: bool,
    /// The predecessor has ended before this process was ready.
    pub(crate) is_orphan: bool,
    pub(crate) refused: Option<String>,
}

/// A connection on its way to the successor.
struct Leaving {
    socket: Arc<OwnedFd>,
    peer: String,
    state: Vec<u8>,
    slot: Arc<Slot>,
}

/// A link.
struct Slotted {
    wire: Wire,
    expires: Option<Instant>,
    closes_once_written: bool,
    pid: Option<u32>,
}

struct Drained {
    drain: Drain,
    begins: Watcher,
    closed: Closed,
    has_begun: bool,
    is_over: bool,
}

/// How long the other side may take for the next message.
const ANSWER: Duration = Duration::from_secs(10);
/// How long the control socket rests without descriptors.
const REST: Duration = Duration::from_millis(100);
/// How often the successor hears how the drain goes.
const REPORT: Duration = Duration::from_secs(1);

impl Driver {
    pub(crate) fn new(commands: Receiver<Command>, shared: Arc<Shared>, events: Events, patience: Duration) -> Self {
        Self {
            generation: Generation::first(std::process::id()),
            control: None,
            wires: BTreeMap::new(),
            next_link: 1,
            arrived: Vec::new(),
            commands,
            shared,
            events,
            patience,
            leaving: HashMap::new(),
            next_offer: 0,
            adopting: HashMap::new(),
            drains: Vec::new(),
            answer: None,
            rests_until: None,
            reported: None,
            start: Start::default(),
            predecessor: None,
            has_ended: false,
            has_said_goodbye: false,
            is_ready: false,
        }
    }

    /// The process that the listeners came from.
    pub(crate) fn predecessor(&self) -> Option<u32> {
        self.predecessor
    }

    /// Asks the process at the other end.
    pub(crate) fn ask(&mut self, stream: UnixStream) -> io::Result<()> {
        let credentials = Credentials::of(&stream)?;
        if !credentials.is_ours() {
            let why = format!("the process in charge is one of user {}", credentials.uid);
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
        }
        let (generation, actions) = Generation::after(std::process::id());
        (self.generation, self.start.must_retry) = (generation, false);
        self.wires.insert(Link::BACK, Slotted::new(stream, credentials.pid)?);
        self.act(actions, &mut Vec::new());
        Ok(())
    }

    /// Runs until the handover is dropped.
    pub(crate) fn run(mut self) {
        while !self.has_ended {
            self.step(None);
        }
        self.say_goodbye();
    }

    /// Waits until something happens, or until then, and deals with it.
    pub(crate) fn step(&mut self, until: Option<Instant>) {
        let (links, accepts) = self.wait(until);
        self.shared.wake.clear();
        self.obey();
        if accepts {
            self.accept();
        }
        for link in links {
            self.serve(link);
        }
        self.expire();
        self.watch_drains();
        if self.is_ready && self.generation.is_in_charge() && !self.shared.is_serving() {
            self.open();
        }
    }

    /// Returns which links have something, and whether the control socket does.
    fn wait(&self, until: Option<Instant>) -> (Vec<Link>, bool) {
        let now = Instant::now();
        let accepts = self.generation.is_in_charge() && self.rests_until.is_none();
        let control = self.control.as_ref().filter(|_| accepts);
        let expiries = self.wires.values().filter_map(|it| it.expires);
        let report = self.reported.as_ref().map(|(at, _)| *at);
        let next = expiries.chain(until).chain(self.rests_until).chain(report).min();
        let timeout = next.map(|it| {
            // A little later, so that it has come then.
            let left = it.saturating_duration_since(now) + Duration::from_millis(1);
            Timespec::try_from(left).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 })
        });
        let mut fds = vec![PollFd::from_borrowed_fd(self.shared.wake.as_fd(), PollFlags::IN)];
        fds.extend(control.map(|it| PollFd::new(&*it.socket, PollFlags::IN)));
        for slot in self.wires.values() {
            let events = if slot.wire.has_unwritten() { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
            fds.push(PollFd::new(&slot.wire, events));
        }
        if poll(&mut fds, timeout.as_ref()).is_err() {
            return (Vec::new(), false);
        }
        let begin = 1 + usize::from(control.is_some());
        let accepts = control.is_some() && !fds[1].revents().is_empty();
        let links = self.wires.keys().zip(&fds[begin..]).filter(|(_, fd)| !fd.revents().is_empty());
        (links.map(|(link, _)| *link).collect(), accepts)
    }

    fn obey(&mut self) {
        loop {
            let command = match self.commands.try_recv() {
                Ok(command) => command,
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => Command::End,
            };
            match command {
                Command::Ready { listeners, answer } => {
                    (self.answer, self.is_ready) = (Some(answer), true);
                    self.tell(Event::Ready(listeners));
                    if self.shared.is_serving() {
                        self.answer_ready(Ok(()));
                    }
                    if let Some(why) = &self.start.refused {
                        let why = why.clone();
                        self.answer_ready(Err(why));
                    }
                }
                Command::Open if self.start.refused.is_none() => self.open(),
                Command::Open => {}
                Command::Retire => self.tell(Event::Stopping),
                Command::Drains(drain) => {
                    if let Some(by) = self.shared.superseded.cause() {
                        contain(|| drop(drain.start_by(by)));
                        self.reported = Some((Instant::now() + REPORT, None));
                    }
                    let (begins, closed) = (drain.watcher(), drain.watcher().closed());
                    self.drains.push(Drained { drain, begins, closed, has_begun: false, is_over: false });
                }
                Command::Give { listener, connection, slot } => self.give(listener, connection, slot),
                Command::Adopts { listener, connections } => {
                    // Without a predecessor the stream is over at once.
                    if self.wires.contains_key(&Link::BACK) {
                        self.adopting.insert(listener, connections);
                    }
                }
                Command::End => {
                    self.has_ended = true;
                    return;
                }
            }
        }
    }

    fn give(&mut self, listener: String, connection: Connection, slot: Arc<Slot>) {
        let id = self.next_offer;
        self.next_offer = self.next_offer.wrapping_add(1);
        let Connection { socket, peer, state } = connection;
        let offer = Offer { id, listener, peer: peer.clone(), state: state.clone() };
        self.leaving.insert(id, Leaving { socket: Arc::new(socket), peer, state, slot });
        self.tell(Event::Give(offer));
    }

    fn accept(&mut self) {
        let Some(control) = &self.control else { return };
        let stream = match control.accept() {
            Ok(Some(stream)) => stream,
            Ok(None) => return,
            Err(error) => {
                self.rests_until = Some(Instant::now() + REST);
                return self.events.tell(Told::Control { error: error.to_string() });
            }
        };
        let Ok(credentials) = Credentials::of(&stream) else { return };
        let Ok(mut slot) = Slotted::new(stream, credentials.pid) else { return };
        let link = Link(self.next_link);
        self.next_link = self.next_link.wrapping_add(1).max(1);
        if credentials.is_ours() {
            self.wires.insert(link, slot);
            return self.tell(Event::Connected(link));
        }
        let why = format!("it is one of user {}, and this is not", credentials.uid);
        slot.wire.send(&Message::Refused { why: why.clone() }, Vec::new());
        drop(slot.wire.flush());
        self.events.tell(Told::Rejected { pid: credentials.pid, why });
    }

    /// Writes and reads what can be.
    fn serve(&mut self, link: Link) {
        self.flush(link);
        loop {
            let Some(slot) = self.wires.get_mut(&link) else { return };
            if slot.closes_once_written {
                // What it says is of no interest. Its end is.
                match slot.wire.receive() {
                    Ok(_) => continue,
                    Err(Lack::NotYet) if slot.wire.has_unwritten() => return,
                    Err(_) => drop(self.wires.remove(&link)),
                }
                return;
            }
            match slot.wire.receive() {
                Ok(incoming) => self.receive(link, incoming),
                Err(Lack::NotYet) => return,
                Err(Lack::Ended) => {
                    self.wires.remove(&link);
                    if !self.shared.has_left() && link != Link::BACK {
                        // Its descriptors have gone with it.
                        self.shared.is_lent.store(false, Ordering::SeqCst);
                    }
                    return self.tell(Event::Closed(link));
                }
                Err(Lack::Malformed(why)) => return self.fail(link, why),
            }
        }
    }

    fn receive(&mut self, link: Link, incoming: Incoming) {
        let Incoming { mut message, mut descriptors, is_truncated } = incoming;
        step!("read {}", name(&message));
        if let Message::Connection(offer) = &message {
            let is_adopted = self.adopting.get(&offer.listener).is_some_and(|it| !it.is_closed());
            if link == Link::BACK && (is_truncated || !is_adopted) {
                let id = offer.id;
                return self.act(vec![Action::Send(link, Message::Declined { id })], &mut Vec::new());
            }
        }
        if is_truncated {
            let why = "this process has no room for the descriptors: raise its limit (`ulimit -n`, `LimitNOFILE=`)";
            return self.fail(link, why.to_owned());
        }
        if let (Message::Hello { pid }, Some(known)) = (&mut message, self.wires.get(&link).and_then(|it| it.pid)) {
            // The kernel's word counts.
            *pid = known;
        }
        if let (Message::Welcome { pid, .. }, Link::BACK) = (&message, link) {
            self.predecessor = Some(*pid);
        }
        let actions = self.generation.on(Event::Received(link, message));
        self.act(actions, &mut descriptors);
    }

    /// The link is of no use any more. Nothing that was to be written is, but for the reason.
    fn fail(&mut self, link: Link, why: String) {
        if self.wires.get_mut(&link).is_some_and(|it| !it.wire.forget_unwritten()) {
            self.wires.remove(&link);
        }
        self.tell(Event::Failed(link, why));
        self.dismiss(link);
    }

    fn tell(&mut self, event: Event) {
        let actions = self.generation.on(event);
        self.act(actions, &mut Vec::new());
    }

    /// `descriptors`: those of the message that has led to these actions.
    fn act(&mut self, actions: Vec<Action>, descriptors: &mut Vec<OwnedFd>) {
        for action in actions {
            match action {
                Action::Send(link, message) => self.send(link, &message),
                Action::Dismiss(link) => self.dismiss(link),
                Action::Wait(link, wait) => {
                    let time = wait.map(|it| if it == Wait::Start { self.patience } else { ANSWER });
                    if let Some(slot) = self.wires.get_mut(&link) {
                        // `None` as well if the time is beyond all clocks.
                        slot.expires = time.and_then(|it| Instant::now().checked_add(it));
                    }
                }
                Action::KeepControl => {
                    let mut both = descriptors.drain(..).map(Arc::new);
                    if let (Some(socket), Some(lock)) = (both.next(), both.next()) {
                        self.control = Some(Control { socket, lock });
                    }
                }
                Action::KeepListeners(entries) => self.arrived.extend(entries.into_iter().zip(descriptors.drain(..))),
                Action::Whole => {
                    let (pid, listeners) = (self.predecessor.unwrap_or_default(), self.arrived.len());
                    self.events.tell(Told::TookOver { pid, listeners });
                    self.start.is_whole = true;
                }
                Action::InCharge => {
                    self.start.is_orphan |= !self.is_ready;
                    self.events.tell(Told::InCharge);
                }
                Action::Retry => (self.start.must_retry, self.start.is_orphan) = (true, true),
                Action::Refused(why) => self.refuse(why),
                Action::Superseded(pid) => self.supersede(pid),
                Action::Serve(offer) => self.adopt(&offer, descriptors),
                Action::Settle(id, fate) => self.settle(id, fate),
                Action::Tell(notice) => {
                    if matches!(notice, Notice::Ended { .. }) {
                        self.adopting.clear();
                    }
                    self.events.tell(told(notice));
                }
            }
        }
    }

    /// Opens the listeners.
    fn open(&mut self) {
        contain(|| drop(self.shared.serving.start()));
        // Not under the lock: the manager may take its time.
        let listeners = self.shared.listeners().clone();
        let stored = listeners.iter().filter(|(name, socket)| systemd::store(name, socket)).count();
        self.shared.are_stored.store(stored > 0, Ordering::SeqCst);
        systemd::ready("serving");
        self.answer_ready(Ok(()));
    }

    fn send(&mut self, link: Link, message: &Message) {
        step!("send {}", name(message));
        let descriptors = match message {
            Message::Welcome { .. } => {
                self.shared.is_lent.store(true, Ordering::SeqCst);
                self.control.iter().flat_map(|it| [it.socket.clone(), it.lock.clone()]).collect()
            }
            Message::Listeners(entries) => {
                let listeners = self.shared.listeners();
                entries.iter().filter_map(|it| listeners.get(&it.name).cloned()).collect()
            }
            Message::Connection(offer) => self.leaving.get(&offer.id).map(|it| it.socket.clone()).into_iter().collect(),
            _ => Vec::new(),
        };
        if let Some(slot) = self.wires.get_mut(&link) {
            slot.wire.send(message, descriptors);
        }
        self.flush(link);
        step!("sent {}", name(message));
    }

    fn flush(&mut self, link: Link) {
        let Some(slot) = self.wires.get_mut(&link).filter(|it| it.wire.has_unwritten()) else { return };
        match slot.wire.flush() {
            Ok(()) if !slot.wire.has_unwritten() => {
                if slot.closes_once_written {
                    self.wires.remove(&link);
                } else {
                    self.tell(Event::Written(link));
                }
            }
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                // What it had said before its end is read first, and then its end.
            }
            Err(error) => {
                self.wires.remove(&link);
                self.tell(Event::Failed(link, error.to_string()));
            }
        }
    }

    fn dismiss(&mut self, link: Link) {
        let Some(slot) = self.wires.get_mut(&link) else { return };
        slot.expires = None;
        slot.closes_once_written = true;
        if !slot.wire.has_unwritten() {
            self.wires.remove(&link);
        }
    }

    fn refuse(&mut self, why: String) {
        self.wires.remove(&Link::BACK);
        self.arrived.clear();
        self.control = None;
        if !self.answer_ready(Err(why.clone())) {
            // It may be serving already: it was said to be ready, and the predecessor took long to answer.
            self.leave(&Label::live(format!("the predecessor serves on: {why}")));
        }
        self.start.refused = Some(why);
    }

    fn answer_ready(&mut self, answer: Result<(), String>) -> bool {
        self.answer.take().is_some_and(|it| it.send(answer).is_ok())
    }

    fn supersede(&mut self, pid: u32) {
        self.leave(&Label::live(Superseded(pid)));
        self.shared.supersede(pid);
        // With `NotifyAccess=main` it believes only this process.
        systemd::superseded(pid);
        self.events.tell(Told::Superseded { pid });
        self.reported = Some((Instant::now() + REPORT, None));
    }

    /// Stops accepting, at once and for good, and starts the drains.
    fn leave(&mut self, why: &Label) {
        self.shared.has_left.store(true, Ordering::SeqCst);
        self.shared.listeners().clear();
        self.control = None;
        self.adopting.clear();
        contain(|| drop(self.shared.superseded.start_because(why.clone())));
        for it in &self.drains {
            contain(|| drop(it.drain.start_because(why.clone())));
        }
    }

    fn adopt(&mut self, offer: &Offer, descriptors: &mut Vec<OwnedFd>) {
        let Some(connections) = self.adopting.get(&offer.listener) else { return };
        for socket in descriptors.drain(..) {
            let connection = Connection { socket, peer: offer.peer.clone(), state: offer.state.clone() };
            contain(|| drop(connections.try_send(connection)));
        }
    }

    fn settle(&mut self, id: u32, fate: Fate) {
        let Some(Leaving { socket, peer, state, slot }) = self.leaving.remove(&id) else { return };
        let answer = match (fate, Arc::try_unwrap(socket)) {
            (Fate::Kept, Ok(socket)) => Err(Connection { socket, peer, state }),
            // No wire has it any more, since it is answered or the wire has gone.
            (Fate::Kept, Err(_)) | (Fate::Taken, _) => Ok(()),
        };
        contain(|| slot.answer(answer));
    }

    fn expire(&mut self) {
        let now = Instant::now();
        let is_over = |it: &Option<Instant>| it.is_some_and(|it| it <= now);
        let expired: Vec<_> = self.wires.iter().filter(|(_, it)| is_over(&it.expires)).map(|(link, _)| *link).collect();
        for link in expired {
            if let Some(slot) = self.wires.get_mut(&link) {
                slot.expires = None;
            }
            self.tell(Event::Expired(link));
        }
        if is_over(&self.rests_until) {
            self.rests_until = None;
        }
        if is_over(&self.reported.as_ref().map(|(at, _)| *at)) {
            self.report(now);
        }
    }

    /// Tells the successor, or else the manager, how the drains go.
    fn report(&mut self, now: Instant) {
        let Some((_, before)) = self.reported.take() else { return };
        if self.drains.iter().all(|it| it.is_over) {
            return;
        }
        let guards = self.guards();
        if self.shared.has_left() {
            if before != Some(guards) {
                self.tell(Event::Report(format!("{guards} held")));
            }
        } else {
            systemd::remains(&format!("draining: {guards} held"), before.is_none_or(|it| guards < it));
        }
        self.reported = Some((now + REPORT, Some(guards)));
    }

    fn guards(&self) -> usize {
        self.drains.iter().map(|it| it.drain.guards()).sum()
    }

    /// Says goodbye once the drains are over.
    fn watch_drains(&mut self) {
        let waker = self.shared.wake.clone().into();
        let mut cx = Context::from_waker(&waker);
        let was_over = self.drains.iter().all(|it| it.is_over);
        for it in self.drains.iter_mut().filter(|it| !it.has_begun) {
            it.has_begun = Pin::new(&mut it.begins).poll(&mut cx) == Poll::Ready(());
            if it.has_begun && !self.shared.has_left() {
                let why = it.drain.cause().map_or_else(String::new, |it| format!("draining: {it}"));
                systemd::stopping(&why);
                self.reported = Some((Instant::now() + REPORT, None));
            }
        }
        for it in self.drains.iter_mut().filter(|it| !it.is_over) {
            it.is_over = Pin::new(&mut it.closed).poll(&mut cx) == Poll::Ready(());
        }
        if !was_over && self.drains.iter().all(|it| it.is_over) {
            self.has_said_goodbye = true;
            self.tell(Event::Bye(self.outcome()));
        }
    }

    fn outcome(&self) -> String {
        let cut = self.drains.iter().filter_map(|it| it.drain.watcher().outcome()?.err());
        let cut: Vec<_> = cut.map(|it| it.to_string()).collect();
        if cut.is_empty() { "drained".to_owned() } else { cut.join("; ") }
    }

    /// Nothing is waited for any more. What was offered and is not answered goes with this process: it may be served by the
    /// other already.
    fn say_goodbye(mut self) {
        if !self.has_said_goodbye {
            let guards = self.guards();
            let text = if guards > 0 { format!("ended, with {guards} held") } else { "ended".to_owned() };
            self.tell(Event::Bye(text));
        }
        for it in self.leaving.into_values() {
            contain(|| it.slot.answer(Ok(())));
        }
    }
}

impl Slotted {
    fn new(stream: UnixStream, pid: Option<u32>) -> io::Result<Self> {
        Ok(Self { wire: Wire::new(stream)?, expires: None, closes_once_written: false, pid })
    }
}

/// The cause of a drain that a successor began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Superseded(u32);

impl std::fmt::Display for Superseded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "superseded by process {}", self.0)
    }
}

fn told(notice: Notice) -> Told {
    match notice {
        Notice::Begun { pid } => Told::Begun { pid },
        Notice::Failed { pid, why } => Told::Failed { pid, why },
        Notice::Rejected { pid, why } => Told::Rejected { pid, why },
        Notice::Predecessor { says } => Told::Predecessor { says },
        Notice::Ended { last_words } => Told::PredecessorEnded { last_words },
    }
}

/// Runs foreign code, such as a waker, whose panic must not end the thread. The panic hook has told of it.
fn contain(foreign: impl FnOnce()) {
    drop(catch_unwind(AssertUnwindSafe(foreign)));
}

/// The name of a message, as its steps are called.
#[cfg(test)]
fn name(message: &Message) -> String {
    let name = format!("{message:?}");
    name.split(|it: char| !it.is_alphanumeric()).next().unwrap_or_default().to_owned()
}
