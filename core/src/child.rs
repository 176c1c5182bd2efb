//! A drain that is a part of another.

use crate::cause::Cause;
use crate::drain::Drain;
use crate::guard::Guard;
use crate::label::Label;
use crate::links::{Forced, Links};
use crate::state::State;
use crate::sync::Lock;
use crate::watcher::Watcher;

impl Watcher {
    /// A drain of its own that is also a part of this one: it starts with this one or before it, this one waits for it, and
    /// a forced close of this one closes it too.
    ///
    /// It is for what may end while the rest goes on, a tenant or a subsystem, and for a library in an application. Nothing
    /// has to be polled for it. The label is what [`Drain::held`] lists while it is waited for. What a forced close of the
    /// child has cut is in the outcome of both, if it came while this one was draining.
    ///
    /// Dropping the last `Drain` of the child starts the child, and nothing else. If draining has begun already, the child
    /// is closed when it comes.
    ///
    /// There is none on a target without compare-and-swap, like [`Order`](crate::Order).
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
        // Watchers of the child, and no drain: who drops the last of those starts it. And not `self`, which may have a turn
        // of its own in a lame duck time.
        let (parent, part) = (guard.watcher(), child.watcher());
        let (guard, closed) = (Lock::new(Some(guard)), part.clone());
        let links = Links::until(part.closed(), move || {
            let Some(guard) = guard.with(Option::take) else { return };
            if guard.state() == State::Draining {
                guard.tell_of(&closed, &label);
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

    /// Starts this one, for the reason for which the other one has.
    pub(crate) fn start_with(&self, other: &Self) {
        if let Some(cause) = other.cause() {
            self.shared().start(cause);
        }
    }
}

impl Guard {
    /// Has the outcome of the drain tell what a part of it has cut.
    pub(crate) fn tell_of(&self, part: &Watcher, label: &Label) {
        if let Some(Err(cut)) = part.shared().outcome() {
            self.shared().lose(cut.of_part(label));
        }
    }
}
