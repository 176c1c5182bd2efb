//! `Generation`: one process in the line.

use super::message::{Entry, Message};
use super::predecessor::Predecessor;
use super::successor::Successor;
use super::{Action, Event, Link};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Generation {
    pid: u32,
    back: Option<Successor>,
    ahead: Predecessor,
    is_in_charge: bool,
    is_refused: bool,
    /// The listeners, once the process can serve.
    ready: Option<Vec<Entry>>,
}

impl Generation {
    /// The first of a line: it is in charge.
    pub(crate) fn first(pid: u32) -> Self {
        let ahead = Predecessor::new(pid, 0);
        Self { pid, back: None, ahead, is_in_charge: true, is_refused: false, ready: None }
    }

    /// One that is connected to the process in charge.
    pub(crate) fn after(pid: u32) -> (Self, Vec<Action>) {
        let (back, actions) = Successor::new(pid);
        (Self { back: Some(back), is_in_charge: false, ..Self::first(pid) }, actions)
    }

    /// Whether it accepts on the control socket.
    pub(crate) fn is_in_charge(&self) -> bool {
        self.is_in_charge && !self.ahead.is_superseded()
    }

    /// Whether it has said that it can serve, and may.
    #[cfg(test)]
    pub(crate) fn serves(&self) -> bool {
        self.ready.is_some() && !self.is_refused && !self.ahead.is_superseded()
    }

    pub(crate) fn on(&mut self, event: Event) -> Vec<Action> {
        let actions = match event {
            Event::Received(Link::BACK, message) => self.heard(message),
            Event::Closed(Link::BACK) => self.back(Successor::closed),
            Event::Failed(Link::BACK, why) => self.back(|it| it.failed(why)),
            Event::Expired(Link::BACK) => self.back(Successor::expired),
            Event::Written(Link::BACK) => Vec::new(),
            Event::Connected(link) => self.ahead.connected(link),
            Event::Received(link, message) => self.ahead.received(link, message),
            Event::Written(link) => self.ahead.written(link),
            Event::Closed(link) => self.ahead.closed(link, "it has ended".to_owned()),
            Event::Failed(link, why) => self.ahead.failed(link, why),
            Event::Expired(link) => self.ahead.expired(link),
            Event::Ready(listeners) => {
                self.ready = Some(listeners);
                self.back(Successor::ready)
            }
            Event::Stopping => self.ahead.stopping(),
            Event::Give(offer) => self.ahead.give(offer),
            Event::Report(text) => self.ahead.tell(Message::Report { text }),
            Event::Bye(text) => self.ahead.tell(Message::Bye { text }),
        };
        self.apply(&actions);
        actions
    }

    fn heard(&mut self, message: Message) -> Vec<Action> {
        if let (Message::Welcome { generation, .. }, false) = (&message, self.is_in_charge) {
            self.ahead = Predecessor::new(self.pid, generation.saturating_add(1));
        }
        self.back(|it| it.received(message))
    }

    fn back(&mut self, act: impl FnOnce(&mut Successor) -> Vec<Action>) -> Vec<Action> {
        self.back.as_mut().map(act).unwrap_or_default()
    }

    /// What one half decides, the other hears.
    fn apply(&mut self, actions: &[Action]) {
        for action in actions {
            match action {
                Action::InCharge => self.is_in_charge = true,
                Action::Refused(_) => self.is_refused = true,
                Action::Superseded(_) => {
                    if let Some(back) = &mut self.back {
                        back.superseded();
                    }
                }
                _ => {}
            }
        }
        if self.is_in_charge {
            if let Some(listeners) = &self.ready {
                self.ahead.ready(listeners.clone());
            }
        }
    }
}
