//! Instants that come once.

use std::future::Future;
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use crate::runtime::Runtime;

/// An instant: it has come, will come, or never does.
pub(crate) enum Moment {
    Past,
    Future(Pin<Box<dyn Future<Output = ()> + Send>>),
    Never,
}

impl Moment {
    /// In so much time, counted from now or from the first poll, as the runtime has it; `None` is never.
    pub(crate) fn after<R: Runtime>(time: Option<Duration>) -> Self {
        match time {
            None => Self::Never,
            Some(Duration::ZERO) => Self::Past,
            Some(time) => {
                let sleep = R::sleep(time);
                Self::Future(Box::pin(async {
                    sleep.await;
                }))
            }
        }
    }

    /// Whether it has come.
    pub(crate) fn has_come(&mut self, cx: &mut Context<'_>) -> bool {
        if let Self::Future(timer) = self {
            if timer.as_mut().poll(cx).is_pending() {
                return false;
            }
            *self = Self::Past;
        }
        matches!(self, Self::Past)
    }
}
