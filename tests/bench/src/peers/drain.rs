//! drain: two channels of tokio, one to tell and one to count.

use std::future::Future;
use std::task::{Context, Waker};

use drain::{ReleaseShutdown, Signal, Watch};

use crate::peer::{Guards, Peer};

pub(crate) struct Drain {
    signal: Signal,
    watch: Watch,
}

impl Guards for Drain {
    type Source = Watch;
    type Guard = ReleaseShutdown;

    fn new() -> Self {
        let (signal, watch) = drain::channel();
        Self { signal, watch }
    }

    fn source(&self) -> Watch {
        self.watch.clone()
    }

    fn guard(source: &Watch) -> ReleaseShutdown {
        source.clone().ignore_signaled()
    }

    fn start(self) -> impl Sized {
        let mut drained = Box::pin(self.signal.drain());
        // It starts when it is first polled.
        assert!(drained.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        (drained, self.watch)
    }
}

impl Peer for Drain {
    type Watcher = Watch;
    type Clone = Watch;

    fn watcher(&self) -> Watch {
        self.watch.clone()
    }

    fn clone_of(watcher: &Watch) -> Watch {
        watcher.clone()
    }

    fn wait(clone: Watch) -> impl Future + Send + 'static {
        async move {
            drop(clone.signaled().await);
        }
    }
}
