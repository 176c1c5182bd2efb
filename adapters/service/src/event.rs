//! What happens to a service, told while it happens.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use ebbtide::{Cause, Drain, Drained, Held, Label, Overdue};

use crate::outcome::{Outcome, PartError};

/// Something that happened to a [`Service`](crate::Service). Its `Display` is a line for a log.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A part begins to accept.
    Listening {
        /// Which.
        part: Label,
        /// Where: an address, or the path of a Unix socket.
        address: String,
    },
    /// All parts have started.
    Ready,
    /// The drain is about to begin: the service is not ready any more, and goes on as before for so long.
    LameDuck {
        /// Why.
        cause: Cause,
        /// How long.
        time: Duration,
    },
    /// The drain of the first stage has begun.
    Draining {
        /// Why.
        cause: Cause,
    },
    /// The drain goes on. It is told once a second.
    Waiting {
        /// Since when the drain goes on, a lame duck time not counted.
        elapsed: Duration,
        /// Which parts of the stage are waited for, and what they hold.
        parts: Vec<(Label, Vec<Held>)>,
    },
    /// A part is about to be cut.
    LastCall {
        /// Which.
        part: Label,
    },
    /// A part was cut.
    Cut {
        /// Which.
        part: Label,
        /// What it held.
        overdue: Overdue,
    },
    /// A part has failed. If it is not [optional](crate::Service::optional), that drains the service.
    Failed(PartError),
    /// A listener could not accept, or a connection ended with an error.
    Connection {
        /// Which part.
        part: Label,
        /// What went wrong.
        error: String,
    },
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listening { part, address } => write!(f, "{part}: listening on {address}"),
            Self::Ready => f.write_str("ready"),
            Self::LameDuck { cause, time } => write!(f, "lame duck, {:.1} s left: {cause}", time.as_secs_f64()),
            Self::Draining { cause } => write!(f, "draining: {cause}"),
            Self::Waiting { elapsed, parts } => {
                write!(f, "draining for {:.0} s, waiting for {}", elapsed.as_secs_f64(), Waiting(parts))
            }
            Self::LastCall { part } => write!(f, "last call for {part}"),
            Self::Cut { part, overdue } => write!(f, "{part}: {overdue}"),
            Self::Failed(error) => error.fmt(f),
            Self::Connection { part, error } => write!(f, "{part}: {error}"),
        }
    }
}

/// What is waited for, as a list for people.
pub(crate) struct Waiting<'a>(pub(crate) &'a [(Label, Vec<Held>)]);

impl fmt::Display for Waiting<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (part, held)) in self.0.iter().enumerate() {
            write!(f, "{}{part}", if at == 0 { "" } else { ", " })?;
            let inner: Vec<_> = held.iter().filter(|it| it.label() != part).map(ToString::to_string).collect();
            if !inner.is_empty() {
                write!(f, " ({})", inner.join(", "))?;
            }
        }
        Ok(())
    }
}

/// Who is told of events. Each on a thread of its own: a log that nobody reads holds up no drain.
#[derive(Clone, Default)]
pub(crate) struct Events {
    listeners: Vec<Sender<Message>>,
    /// Over when all of them have been told of everything.
    told: Drain,
}

/// What is told.
pub(crate) enum Message {
    Event(Event),
    #[cfg_attr(not(feature = "tracing"), expect(dead_code, reason = "only a subscriber is told of the outcome"))]
    End(Outcome),
}

impl Events {
    /// Has `told` told, too.
    pub(crate) fn add(&mut self, mut told: impl FnMut(Message) + Send + 'static) {
        let (sender, messages) = channel();
        let guard = self.told.guard();
        let tell = move || {
            let _until_here = guard;
            loop {
                // Without an end, the service was dropped with its runtime.
                let message = messages.recv().unwrap_or_else(|_| Message::End(Outcome::unknown()));
                let is_end = matches!(message, Message::End(_));
                // A panic of it is its own: the panic hook has told of it.
                drop(catch_unwind(AssertUnwindSafe(|| told(message))));
                if is_end {
                    break;
                }
            }
        };
        if thread::Builder::new().name("service events".into()).spawn(tell).is_ok() {
            self.listeners.push(sender);
        }
    }

    pub(crate) fn tell(&self, event: Event) {
        let Some((last, others)) = self.listeners.split_last() else { return };
        // What comes behind the end is heard by nobody.
        for listener in others {
            drop(listener.send(Message::Event(event.clone())));
        }
        drop(last.send(Message::Event(event)));
    }

    /// Nothing more is told. What is returned is ready when everything was.
    pub(crate) fn end(&self, outcome: &Outcome) -> Drained {
        for listener in &self.listeners {
            drop(listener.send(Message::End(outcome.clone())));
        }
        self.told.start()
    }

    pub(crate) fn is_heard(&self) -> bool {
        !self.listeners.is_empty()
    }
}
