//! `Successor`: what a process is to the one before it.

use super::message::Message;
use super::{Action, Link, Notice, Wait};

/// The side that takes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Successor {
    phase: Phase,
    /// Whether connections are adopted. Not any more, once the process has a successor itself.
    adopts: bool,
    last_words: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Phase {
    Greeting,
    /// So many listeners are still to come.
    Receiving(usize),
    Starting,
    /// It has said that it is ready.
    Asking,
    /// It is in charge, and the predecessor drains.
    InCharge,
    /// There is no predecessor, or it is of no interest any more.
    Alone,
}

impl Successor {
    pub(crate) fn new(pid: u32) -> (Self, Vec<Action>) {
        let this = Self { phase: Phase::Greeting, adopts: true, last_words: None };
        let hello = Action::Send(Link::BACK, Message::Hello { pid });
        (this, vec![hello, Action::Wait(Link::BACK, Some(Wait::Answer))])
    }

    pub(crate) fn received(&mut self, message: Message) -> Vec<Action> {
        let received = |left: usize, first| {
            let mut actions = vec![first, Action::Send(Link::BACK, Message::Received)];
            actions.push(Action::Wait(Link::BACK, (left > 0).then_some(Wait::Answer)));
            if left == 0 {
                actions.push(Action::Whole);
            }
            actions
        };
        let phase_with = |left: usize| if left == 0 { Phase::Starting } else { Phase::Receiving(left) };
        match (self.phase, message) {
            (Phase::Greeting, Message::Welcome { listeners, .. }) => {
                self.phase = phase_with(listeners.into());
                received(listeners.into(), Action::KeepControl)
            }
            (Phase::Receiving(left), Message::Listeners(entries)) if (1..=left).contains(&entries.len()) => {
                let left = left - entries.len();
                self.phase = phase_with(left);
                received(left, Action::KeepListeners(entries))
            }
            (Phase::Greeting | Phase::Receiving(_) | Phase::Starting | Phase::Asking, Message::Refused { why }) => {
                self.refused(why)
            }
            (Phase::Asking, Message::Draining) => {
                self.phase = Phase::InCharge;
                vec![Action::Wait(Link::BACK, None), Action::InCharge]
            }
            (Phase::InCharge, Message::Connection(offer)) => {
                let id = offer.id;
                if !self.adopts {
                    return vec![Action::Send(Link::BACK, Message::Declined { id })];
                }
                // Served before it is answered: what is not answered at the end of this process stays with the other.
                vec![Action::Serve(offer), Action::Send(Link::BACK, Message::Adopted { id })]
            }
            (Phase::InCharge, Message::Report { text }) => vec![Action::Tell(Notice::Predecessor { says: text })],
            (Phase::InCharge, Message::Bye { text }) => {
                self.last_words = Some(text);
                Vec::new()
            }
            (_, message) => {
                let mut actions = self.failed(format!("the predecessor said {message:?} at the wrong time"));
                actions.push(Action::Dismiss(Link::BACK));
                actions
            }
        }
    }

    /// The predecessor is dead, since one that lives says `Refused` before it closes.
    pub(crate) fn closed(&mut self) -> Vec<Action> {
        let ended = Action::Tell(Notice::Ended { last_words: self.last_words.take() });
        let phase = std::mem::replace(&mut self.phase, Phase::Alone);
        let mut actions = vec![Action::Wait(Link::BACK, None)];
        match phase {
            Phase::Greeting => actions.push(Action::Retry),
            Phase::Receiving(_) => actions.extend([ended, Action::Whole, Action::InCharge]),
            Phase::Starting | Phase::Asking => actions.extend([ended, Action::InCharge]),
            Phase::InCharge => actions.push(ended),
            Phase::Alone => {}
        }
        actions
    }

    /// What comes from the predecessor is no message, or comes at the wrong time.
    pub(crate) fn failed(&mut self, why: String) -> Vec<Action> {
        match self.phase {
            Phase::Greeting | Phase::Receiving(_) | Phase::Starting => self.refused(why),
            // It may have stopped accepting: to serve without need does less harm than not to serve.
            Phase::Asking | Phase::InCharge | Phase::Alone => self.closed(),
        }
    }

    pub(crate) fn expired(&mut self) -> Vec<Action> {
        let mut actions = self.failed("the predecessor does not answer".to_owned());
        actions.push(Action::Dismiss(Link::BACK));
        actions
    }

    pub(crate) fn ready(&mut self) -> Vec<Action> {
        match self.phase {
            Phase::Starting => {
                self.phase = Phase::Asking;
                // Without a limit: the predecessor may read it, and stop accepting, at any time.
                vec![Action::Send(Link::BACK, Message::Ready)]
            }
            _ => Vec::new(),
        }
    }

    pub(crate) fn superseded(&mut self) {
        self.adopts = false;
    }

    fn refused(&mut self, why: String) -> Vec<Action> {
        self.phase = Phase::Alone;
        vec![Action::Wait(Link::BACK, None), Action::Refused(why)]
    }
}
