//! `Predecessor`: what a process is to the one after it.

use std::collections::{BTreeSet, VecDeque};

use super::message::{Entry, MOST_DESCRIPTORS, Message, Offer};
use super::{Action, Fate, Link, Notice, Wait};

/// The side that gives.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Predecessor {
    pid: u32,
    generation: u64,
    stage: Stage,
    listeners: Vec<Entry>,
    /// Links that have said nothing yet.
    strangers: BTreeSet<Link>,
    takeover: Option<Takeover>,
    /// Connections that wait for earlier ones to be answered.
    waiting: VecDeque<Offer>,
    /// Connections that the successor has not answered.
    unanswered: BTreeSet<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Stage {
    /// It has no successor before it can serve itself.
    Starting,
    Serving,
    /// It ends, and not for a successor.
    Stopping,
    Superseded {
        by: u32,
        /// `None` once it is closed.
        link: Option<Link>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Takeover {
    link: Link,
    pid: u32,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Phase {
    /// So many listeners were sent.
    Sending(usize),
    /// The successor starts.
    Starting,
    /// It was told that it is in charge.
    Answering,
}

/// The most connections that the successor has not answered.
pub(crate) const MOST_UNANSWERED: usize = 64;
/// The most links that have said nothing yet. A process says `Hello` as it connects.
pub(crate) const MOST_STRANGERS: usize = 16;

impl Predecessor {
    pub(crate) fn new(pid: u32, generation: u64) -> Self {
        Self {
            pid,
            generation,
            stage: Stage::Starting,
            listeners: Vec::new(),
            strangers: BTreeSet::new(),
            takeover: None,
            waiting: VecDeque::new(),
            unanswered: BTreeSet::new(),
        }
    }

    pub(crate) fn is_superseded(&self) -> bool {
        matches!(self.stage, Stage::Superseded { .. })
    }

    pub(crate) fn ready(&mut self, listeners: Vec<Entry>) {
        if self.stage == Stage::Starting {
            (self.stage, self.listeners) = (Stage::Serving, listeners);
        }
    }

    pub(crate) fn stopping(&mut self) -> Vec<Action> {
        if self.is_superseded() {
            return Vec::new();
        }
        self.stage = Stage::Stopping;
        // A successor that has everything is better than none, so it may go on.
        let is_sending = |it: &mut Takeover| matches!(it.phase, Phase::Sending(_));
        match self.takeover.take_if(is_sending) {
            Some(Takeover { link, pid, .. }) => self.refuse(link, Some(pid)),
            None => Vec::new(),
        }
    }

    pub(crate) fn connected(&mut self, link: Link) -> Vec<Action> {
        if self.strangers.len() >= MOST_STRANGERS {
            let why = format!("process {} has {MOST_STRANGERS} connections that have said nothing", self.pid);
            return vec![Action::Send(link, Message::Refused { why }), Action::Dismiss(link)];
        }
        self.strangers.insert(link);
        vec![Action::Wait(link, Some(Wait::Answer))]
    }

    pub(crate) fn received(&mut self, link: Link, message: Message) -> Vec<Action> {
        if self.strangers.remove(&link) {
            return match message {
                Message::Hello { pid } => self.hello(link, pid),
                message => {
                    self.strangers.insert(link);
                    self.failed(link, format!("it said {message:?} before it said hello"))
                }
            };
        }
        if let Stage::Superseded { link: Some(successor), .. } = self.stage {
            if link == successor {
                return match message {
                    Message::Adopted { id } => self.answered(id, Fate::Taken),
                    Message::Declined { id } => self.answered(id, Fate::Kept),
                    _ => Vec::new(),
                };
            }
        }
        let Some(takeover) = self.takeover.as_mut().filter(|it| it.link == link) else { return Vec::new() };
        match (takeover.phase, message) {
            (Phase::Sending(sent), Message::Received) => {
                let next = self.listeners.len().min(sent + MOST_DESCRIPTORS);
                if sent == next {
                    takeover.phase = Phase::Starting;
                    return vec![Action::Wait(link, Some(Wait::Start))];
                }
                takeover.phase = Phase::Sending(next);
                let batch = Message::Listeners(self.listeners[sent..next].to_vec());
                vec![Action::Send(link, batch), Action::Wait(link, Some(Wait::Answer))]
            }
            (Phase::Starting, Message::Ready) => {
                takeover.phase = Phase::Answering;
                vec![Action::Wait(link, None), Action::Send(link, Message::Draining)]
            }
            (phase, message) => self.failed(link, format!("it said {message:?} at the wrong time ({phase:?})")),
        }
    }

    fn hello(&mut self, link: Link, pid: u32) -> Vec<Action> {
        if self.stage != Stage::Serving || self.takeover.is_some() {
            return self.refuse(link, Some(pid));
        }
        self.takeover = Some(Takeover { link, pid, phase: Phase::Sending(0) });
        let listeners = u16::try_from(self.listeners.len()).unwrap_or(u16::MAX);
        let welcome = Message::Welcome { pid: self.pid, generation: self.generation, listeners };
        vec![Action::Tell(Notice::Begun { pid }), Action::Send(link, welcome), Action::Wait(link, Some(Wait::Answer))]
    }

    /// Why nobody can take over now.
    fn refuse(&self, link: Link, pid: Option<u32>) -> Vec<Action> {
        let this = self.pid;
        let why = match (&self.stage, &self.takeover) {
            (Stage::Starting, _) => format!("process {this} is still starting"),
            (Stage::Superseded { by, .. }, _) => format!("process {this} drains, and process {by} is in charge"),
            (Stage::Stopping, _) => format!("process {this} is stopping: start again when it has ended"),
            (Stage::Serving, Some(other)) => {
                format!("process {} is just taking over from process {this}: one at a time", other.pid)
            }
            (Stage::Serving, None) => format!("process {this} has waited for too long"),
        };
        vec![
            Action::Send(link, Message::Refused { why: why.clone() }),
            Action::Dismiss(link),
            Action::Tell(Notice::Rejected { pid, why }),
        ]
    }

    /// The bytes of a link are written.
    pub(crate) fn written(&mut self, link: Link) -> Vec<Action> {
        let is_answered = |it: &mut Takeover| it.link == link && it.phase == Phase::Answering;
        let Some(Takeover { pid, .. }) = self.takeover.take_if(is_answered) else { return Vec::new() };
        // Only now: a successor that has gone meanwhile could not be written to.
        self.stage = Stage::Superseded { by: pid, link: Some(link) };
        let strangers = std::mem::take(&mut self.strangers);
        let mut actions = vec![Action::Superseded(pid)];
        actions.extend(strangers.into_iter().flat_map(|it| self.refuse(it, None)));
        actions
    }

    pub(crate) fn closed(&mut self, link: Link, why: String) -> Vec<Action> {
        self.strangers.remove(&link);
        if let Some(Takeover { pid, .. }) = self.takeover.take_if(|it| it.link == link) {
            return vec![Action::Wait(link, None), Action::Tell(Notice::Failed { pid, why })];
        }
        match &mut self.stage {
            Stage::Superseded { link: successor, .. } if *successor == Some(link) => *successor = None,
            _ => return Vec::new(),
        }
        let waiting = std::mem::take(&mut self.waiting).into_iter().map(|it| it.id);
        let kept = std::mem::take(&mut self.unanswered).into_iter().chain(waiting);
        kept.map(|id| Action::Settle(id, Fate::Kept)).collect()
    }

    /// What comes on the link is no message, or comes at the wrong time.
    pub(crate) fn failed(&mut self, link: Link, why: String) -> Vec<Action> {
        let refused = Action::Send(link, Message::Refused { why: why.clone() });
        let mut actions = vec![refused, Action::Dismiss(link)];
        if self.strangers.contains(&link) {
            actions.push(Action::Tell(Notice::Rejected { pid: None, why: why.clone() }));
        }
        actions.extend(self.closed(link, why));
        actions
    }

    pub(crate) fn expired(&mut self, link: Link) -> Vec<Action> {
        if self.strangers.contains(&link) {
            return self.failed(link, "it said nothing in time".to_owned());
        }
        let Some(Takeover { pid, phase, .. }) = self.takeover.take_if(|it| it.link == link) else { return Vec::new() };
        let why = match phase {
            Phase::Starting => "it was not ready in time",
            Phase::Sending(_) | Phase::Answering => "it did not answer in time",
        };
        let why = format!("process {pid} took too long: {why}");
        vec![
            Action::Send(link, Message::Refused { why: why.clone() }),
            Action::Dismiss(link),
            Action::Tell(Notice::Failed { pid, why }),
        ]
    }

    pub(crate) fn give(&mut self, offer: Offer) -> Vec<Action> {
        if self.successor().is_none() {
            return vec![Action::Settle(offer.id, Fate::Kept)];
        }
        self.waiting.push_back(offer);
        self.send_waiting()
    }

    fn answered(&mut self, id: u32, fate: Fate) -> Vec<Action> {
        if !self.unanswered.remove(&id) {
            return Vec::new();
        }
        let mut actions = vec![Action::Settle(id, fate)];
        actions.extend(self.send_waiting());
        actions
    }

    fn send_waiting(&mut self) -> Vec<Action> {
        let Some(link) = self.successor() else { return Vec::new() };
        let mut actions = Vec::new();
        while self.unanswered.len() < MOST_UNANSWERED {
            let Some(offer) = self.waiting.pop_front() else { break };
            self.unanswered.insert(offer.id);
            actions.push(Action::Send(link, Message::Connection(offer)));
        }
        actions
    }

    /// Tells the successor, if there is one.
    pub(crate) fn tell(&self, message: Message) -> Vec<Action> {
        self.successor().map(|link| Action::Send(link, message)).into_iter().collect()
    }

    fn successor(&self) -> Option<Link> {
        match self.stage {
            Stage::Superseded { link, .. } => link,
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_most_64_connections_are_unanswered_and_the_others_follow_one_by_one() {
        let link = Link(1);
        let mut this = Predecessor::new(7, 0);
        this.ready(Vec::new());
        this.connected(link);
        for message in [Message::Hello { pid: 8 }, Message::Received, Message::Ready] {
            this.received(link, message);
        }
        assert_eq!(this.written(link)[0], Action::Superseded(8));
        let sent = |actions: Vec<Action>| {
            actions.iter().filter(|it| matches!(it, Action::Send(_, Message::Connection(_)))).count()
        };
        let offer = |id| Offer { id, listener: "api".into(), peer: String::new(), state: Vec::new() };
        let count: usize = (0..100).map(|id| sent(this.give(offer(id)))).sum();
        assert_eq!(count, MOST_UNANSWERED);
        assert_eq!(sent(this.received(link, Message::Adopted { id: 0 })), 1);
        assert_eq!(sent(this.received(link, Message::Declined { id: 1 })), 1);
        // One that is answered twice makes no room.
        assert_eq!(sent(this.received(link, Message::Adopted { id: 0 })), 0);
        let kept =
            this.closed(link, String::new()).into_iter().filter(|it| matches!(it, Action::Settle(_, Fate::Kept)));
        assert_eq!(kept.count(), 98);
    }
}
