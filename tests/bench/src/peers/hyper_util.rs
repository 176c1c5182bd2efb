//! hyper-util: a guard is its public `Watcher`. What that waits on is reachable only through a hyper connection, so
//! the waiting is measured on the same `watch` channel of tokio, used in the same way.

use std::future::Future;

use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::sync::watch;

use crate::peer::{Guards, Peer};

pub(crate) struct HyperUtil {
    graceful: std::sync::Arc<GracefulShutdown>,
    channel: watch::Sender<()>,
}

impl Guards for HyperUtil {
    type Source = std::sync::Arc<GracefulShutdown>;
    type Guard = Watcher;

    fn new() -> Self {
        Self { graceful: GracefulShutdown::new().into(), channel: watch::Sender::new(()) }
    }

    fn source(&self) -> Self::Source {
        self.graceful.clone()
    }

    fn guard(source: &Self::Source) -> Watcher {
        source.watcher()
    }

    fn start(self) -> impl Sized {
        // The error says that nobody watches.
        let _ = self.channel.send(());
        self
    }
}

impl Peer for HyperUtil {
    type Watcher = watch::Receiver<()>;
    type Clone = watch::Receiver<()>;

    fn watcher(&self) -> watch::Receiver<()> {
        self.channel.subscribe()
    }

    fn clone_of(watcher: &watch::Receiver<()>) -> watch::Receiver<()> {
        watcher.clone()
    }

    fn wait(mut clone: watch::Receiver<()>) -> impl Future + Send + 'static {
        async move {
            let _ = clone.changed().await;
        }
    }
}
