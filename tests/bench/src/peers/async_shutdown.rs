//! async-shutdown: all of it under one mutex.

use std::future::Future;

use async_shutdown::{DelayShutdownToken, ShutdownManager, ShutdownSignal};

use crate::peer::{Guards, Peer};

pub(crate) struct AsyncShutdown(ShutdownManager<()>);

impl Guards for AsyncShutdown {
    type Source = ShutdownManager<()>;
    type Guard = DelayShutdownToken<()>;

    fn new() -> Self {
        Self(ShutdownManager::new())
    }

    fn source(&self) -> ShutdownManager<()> {
        self.0.clone()
    }

    fn guard(source: &ShutdownManager<()>) -> DelayShutdownToken<()> {
        source.delay_shutdown_token().expect("running")
    }

    fn start(self) -> impl Sized {
        self.0.trigger_shutdown(()).expect("not started before");
        self
    }
}

impl Peer for AsyncShutdown {
    type Watcher = ShutdownSignal<()>;
    type Clone = ShutdownSignal<()>;

    fn watcher(&self) -> ShutdownSignal<()> {
        self.0.wait_shutdown_triggered()
    }

    fn clone_of(watcher: &ShutdownSignal<()>) -> ShutdownSignal<()> {
        watcher.clone()
    }

    fn wait(clone: ShutdownSignal<()>) -> impl Future + Send + 'static {
        clone
    }
}
