//! What users build on without being told: auto traits, and sizes.

#![cfg(not(loom))]

use std::cell::Cell;
use std::error::Error;
use std::fmt::{Debug, Display};
use std::future::{Future, Ready};
use std::marker::PhantomPinned;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::rc::Rc;

use ebbtide::{Deadline, Drain, Drained, Guard, Overdue, State, Until, Watcher};

/// Does not compile where a type has the trait: then there are two answers to choose from.
macro_rules! lacks {
    ($trait:path: $($type:ty),+) => {{
        struct Has;
        trait Answers<A> {
            fn answer() {}
        }
        impl<T: ?Sized> Answers<()> for T {}
        impl<T: ?Sized + $trait> Answers<Has> for T {}
        $(<$type as Answers<_>>::answer();)+
    }};
}

fn goes_anywhere<T: Clone + Debug + Send + Sync + Unpin + UnwindSafe + RefUnwindSafe + 'static>() {}

#[test]
fn handles_go_anywhere() {
    goes_anywhere::<Drain>();
    goes_anywhere::<Watcher>();
    goes_anywhere::<Guard>();
    goes_anywhere::<Drained>();
    goes_anywhere::<Overdue>();
    goes_anywhere::<State>();
}

#[test]
fn an_overdue_is_an_error_that_crosses_threads() {
    fn is_error<T: Error + Display + PartialEq + Send + Sync + 'static>() {}
    is_error::<Overdue>();
}

#[test]
fn wrappers_are_what_they_wrap() {
    fn crosses<T: Send + Sync + Unpin>() {}
    crosses::<Deadline<Ready<()>>>();
    crosses::<Until<Guard, Ready<()>>>();
    crosses::<Until<Watcher, Ready<()>>>();
    lacks!(Send: Deadline<Rc<()>>, Until<Guard, Rc<()>>, Until<Watcher, Rc<()>>);
    lacks!(Sync: Deadline<Cell<()>>, Until<Guard, Cell<()>>, Until<Watcher, Cell<()>>);
    lacks!(Unpin: Deadline<PhantomPinned>, Until<Guard, PhantomPinned>, Until<Watcher, PhantomPinned>);
}

#[test]
fn a_watcher_goes_where_a_future_of_nothing_is_asked_for() {
    fn with_graceful_shutdown<F: Future<Output = ()> + Send + Sync + 'static>(_: F) {}
    with_graceful_shutdown(Drain::new().watcher());
}

#[test]
fn a_match_on_the_state_needs_no_last_arm() {
    let takes_work = |state| match state {
        State::Running => true,
        State::Draining | State::Closed => false,
    };
    assert!(takes_work(Drain::new().state()));
}

/// Not a promise: a figure that should not grow unseen, for a guard is kept in every request.
#[test]
#[cfg(target_pointer_width = "64")]
fn handles_stay_small() {
    assert_eq!(size_of::<Drain>(), 8);
    assert_eq!(size_of::<Watcher>(), 32);
    assert_eq!(size_of::<Guard>(), 32);
    assert_eq!(size_of::<Option<Guard>>(), size_of::<Guard>());
    assert_eq!(size_of::<Drained>(), 32);
    assert_eq!(size_of::<Result<(), Overdue>>(), 32);
    assert_eq!(size_of::<Until<Guard, ()>>(), size_of::<Guard>() + 8);
    assert_eq!(size_of::<State>(), 1);
}
