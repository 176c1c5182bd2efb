//! swansong, waited for by `interrupt`: its spread lists, where `shutting_down` has one list for all and is slower.

use std::future::{Future, Pending, pending};

use swansong::{Guard, Interrupt};

use crate::peer::{Guards, Peer};

pub(crate) struct Swansong(swansong::Swansong);

impl Guards for Swansong {
    type Source = swansong::Swansong;
    type Guard = Guard;

    fn new() -> Self {
        Self(swansong::Swansong::new())
    }

    fn source(&self) -> swansong::Swansong {
        self.0.clone()
    }

    fn guard(source: &swansong::Swansong) -> Guard {
        source.guard()
    }

    fn start(self) -> impl Sized {
        self.0.shut_down()
    }
}

impl Peer for Swansong {
    type Watcher = swansong::Swansong;
    type Clone = Interrupt<Pending<()>>;

    fn watcher(&self) -> swansong::Swansong {
        self.0.clone()
    }

    fn clone_of(watcher: &swansong::Swansong) -> Self::Clone {
        watcher.interrupt(pending())
    }

    fn wait(clone: Self::Clone) -> impl Future + Send + 'static {
        clone
    }
}
