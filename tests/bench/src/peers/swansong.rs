//! swansong: one event and one counter for all.

use std::future::Future;

use swansong::{Guard, ShuttingDown};

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
    type Clone = ShuttingDown;

    fn watcher(&self) -> swansong::Swansong {
        self.0.clone()
    }

    fn clone_of(watcher: &swansong::Swansong) -> ShuttingDown {
        watcher.shutting_down()
    }

    fn wait(clone: ShuttingDown) -> impl Future<Output = ()> + Send + 'static {
        clone
    }
}
