//! Ourselves.

use std::future::Future;

use ebbtide::{Drain, Guard, Watcher};

use crate::peer::{Guards, Peer};

pub(crate) struct Ebbtide(Drain);

impl Guards for Ebbtide {
    type Source = Watcher;
    type Guard = Guard;

    fn new() -> Self {
        Self(Drain::new())
    }

    fn source(&self) -> Watcher {
        self.0.watcher()
    }

    fn guard(source: &Watcher) -> Guard {
        source.guard().expect("running")
    }

    fn start(self) -> impl Sized {
        self.0.start()
    }
}

impl Peer for Ebbtide {
    type Watcher = Watcher;
    type Clone = Watcher;

    fn watcher(&self) -> Watcher {
        self.0.watcher()
    }

    fn clone_of(watcher: &Watcher) -> Watcher {
        watcher.clone()
    }

    fn wait(clone: Watcher) -> impl Future + Send + 'static {
        clone
    }
}
