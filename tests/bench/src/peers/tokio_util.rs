//! tokio-util: a `TaskTracker` counts, a `CancellationToken` tells.

use std::future::Future;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::peer::{Guards, Peer};

pub(crate) struct TokioUtil {
    tracker: TaskTracker,
    token: CancellationToken,
}

impl Guards for TokioUtil {
    type Source = TaskTracker;
    type Guard = TaskTrackerToken;

    fn new() -> Self {
        Self { tracker: TaskTracker::new(), token: CancellationToken::new() }
    }

    fn source(&self) -> TaskTracker {
        self.tracker.clone()
    }

    fn guard(source: &TaskTracker) -> TaskTrackerToken {
        source.token()
    }

    fn start(self) -> impl Sized {
        self.tracker.close();
        self.token.cancel();
        self
    }
}

impl Peer for TokioUtil {
    type Watcher = CancellationToken;
    type Clone = CancellationToken;

    fn watcher(&self) -> CancellationToken {
        self.token.clone()
    }

    fn clone_of(watcher: &CancellationToken) -> CancellationToken {
        watcher.clone()
    }

    fn wait(clone: CancellationToken) -> impl Future + Send + 'static {
        clone.cancelled_owned()
    }
}
