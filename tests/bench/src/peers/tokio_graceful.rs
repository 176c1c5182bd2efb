//! tokio-graceful: a guard owns all that a watcher owns, and a counter. Needs a runtime, which it gets here.

use std::future::Future;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio_graceful::{Shutdown, ShutdownGuard, WeakShutdownGuard};

use crate::peer::{Guards, Peer};

pub(crate) struct TokioGraceful {
    runtime: Runtime,
    start: oneshot::Sender<()>,
    shutdown: Shutdown,
}

impl Guards for TokioGraceful {
    type Source = ShutdownGuard;
    type Guard = ShutdownGuard;

    fn new() -> Self {
        let runtime = Builder::new_current_thread().build().expect("a runtime without drivers");
        let (start, started) = oneshot::channel();
        let shutdown = {
            let _inside = runtime.enter();
            Shutdown::new(started)
        };
        Self { runtime, start, shutdown }
    }

    fn source(&self) -> ShutdownGuard {
        self.shutdown.guard()
    }

    fn guard(source: &ShutdownGuard) -> ShutdownGuard {
        source.clone()
    }

    fn start(self) -> impl Sized {
        self.start.send(()).expect("its task listens");
        // Its own task passes the signal on.
        self.runtime.block_on(tokio::task::yield_now());
        (self.runtime, self.shutdown)
    }
}

impl Peer for TokioGraceful {
    type Watcher = WeakShutdownGuard;
    type Clone = WeakShutdownGuard;

    fn watcher(&self) -> WeakShutdownGuard {
        self.shutdown.guard_weak()
    }

    fn clone_of(watcher: &WeakShutdownGuard) -> WeakShutdownGuard {
        watcher.clone()
    }

    fn wait(clone: WeakShutdownGuard) -> impl Future + Send + 'static {
        clone.into_cancelled()
    }
}
