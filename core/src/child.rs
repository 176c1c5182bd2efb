//! Child drains: drains that start and close with another.

use crate::cause::Cause;
use crate::drain::Drain;
use crate::guard::Guard;
use crate::label::Label;
use crate::links::{Forced, Links};
use crate::state::State;
use crate::sync::Lock;
use crate::watcher::Watcher;

impl Watcher {
    /// A new drain that is a child of this one. It starts when this one does, or before. This one waits for it, and a forced
    /// close of this one closes it too.
    ///
    /// Use it for a part that may end while the rest goes on, such as a tenant, a subsystem or a library. Nothing has to be
    /// polled for it. [`Drain::held`] of the parent lists the child under `label` until it has closed. If the child is closed
    /// by force while the parent drains, the outcome of both names what was cut.
    ///
    /// Dropping the last `Drain` of the child starts the child alone. If this drain is draining already, the child is returned
    /// closed.
    ///
    /// It is absent on targets without compare-and-swap.
    ///
    /// # Examples
    ///
    /// ```
    /// use ebbtide::{Drain, State};
    ///
    /// let service = Drain::new();
    /// let tenant = service.watcher().child("tenant 7");
    /// let other = service.watcher().child("tenant 8");
    ///
    /// let _ = tenant.start();
    /// assert_eq!((service.state(), other.state()), (State::Running, State::Running));
    ///
    /// let request = other.guard();
    /// let _ = service.start();
    /// assert_eq!((service.state(), other.state()), (State::Draining, State::Draining));
    ///
    /// drop(request);
    /// assert_eq!((service.state(), other.state()), (State::Closed, State::Closed));
    /// ```
    pub fn child(&self, label: impl Into<Label>) -> Drain {
        let (child, label) = (Drain::new(), label.into());
        let Some(guard) = self.labelled(label.clone()) else {
            drop(child.start_by(self.cause().unwrap_or(Cause::Dropped)));
            return child;
        };
        // Watchers of the child and not its `Drain`: the drop of the last `Drain` must still start it. And not `self`, which
        // may have a turn of its own in a lame duck time.
        let (parent, part) = (guard.watcher(), child.watcher());
        let (guard, closed) = (Lock::new(Some(guard)), part.clone());
        let links = Links::until(part.closed(), move || {
            let Some(guard) = guard.with(Option::take) else { return };
            if guard.state() == State::Draining {
                guard.report_part(&closed, &label);
            }
            drop(guard);
        });
        let (forced, started) = (Forced::new(&parent), parent.clone());
        let (of, whole) = (part.clone(), parent.clone());
        links.link(started, move || of.start_with(&whole));
        links.link(forced, move || {
            part.start_with(&parent);
            part.shared().close();
        });
        child
    }

    /// Starts this drain, with the cause of the other one.
    pub(crate) fn start_with(&self, other: &Self) {
        if let Some(cause) = other.cause() {
            self.shared().start(cause);
        }
    }
}

impl Guard {
    /// Adds what `part` has cut to the outcome of this guard's drain.
    pub(crate) fn report_part(&self, part: &Watcher, label: &Label) {
        if let Some(Err(cut)) = part.shared().outcome() {
            self.shared().record_loss(cut.of_part(label));
        }
    }
}
