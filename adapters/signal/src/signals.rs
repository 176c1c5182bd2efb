//! The signals as they arrive.

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use futures_core::Stream;

use crate::escalate::{Escalation, contain};
use crate::platform;
use crate::signal::Signal;

/// The signals of the process: a stream that never ends, on any executor.
///
/// From its making on the signals no longer have their default action. Once it is dropped they have it again, so that a
/// service which stopped listening can still be killed.
///
/// # Examples
///
/// ```no_run
/// # async fn reload() {}
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// use ebbtide_signal::{Signal, Signals};
///
/// let mut signals = Signals::of([Signal::Hangup, Signal::Terminate])?;
/// while signals.recv().await == Signal::Hangup {
///     reload().await;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "once dropped, signals have their default action again"]
pub struct Signals {
    inbox: Arc<Inbox>,
    escalated: bool,
}

/// Where the platform's thread delivers.
#[derive(Debug)]
pub(crate) struct Inbox(Mutex<Receiver>);

#[derive(Debug)]
pub(crate) enum Receiver {
    /// Somebody polls.
    Stream { arrived: VecDeque<(Signal, Instant)>, waker: Option<Waker> },
    /// A drain is taken from step to step.
    Escalation(Escalation),
    /// Nobody: the default action.
    Nobody,
}

/// Signals can not be listened to.
#[non_exhaustive]
pub enum InstallError {
    /// [`Signals`] were installed before in this process. Handlers are the process's, and two owners would each see
    /// some of the signals: share the one there is.
    Twice,
    /// The platform does not have this signal.
    Unsupported(Signal),
    /// The operating system refused.
    System(io::Error),
}

static INSTALLED: AtomicBool = AtomicBool::new(false);

impl Signals {
    /// Listens to what asks a service to end: `SIGINT`, `SIGTERM` and `SIGHUP`; on Windows the five console events.
    ///
    /// `SIGHUP`, which says that the terminal has closed, only if the process was not started with it ignored: then
    /// `nohup` asked for a service that outlives its terminal. Whether it was is known on Linux; on another Unix it
    /// keeps the action that it has, which without `nohup` ends the process.
    ///
    /// `SIGINT` and `SIGTERM` are listened to though the parent has ignored them (`trap '' TERM`, a background job of a
    /// shell script), as Go and Node do: somebody must be able to end a service. To leave one alone, see
    /// [`of`](Self::of).
    ///
    /// Do it before the service listens, so that no signal finds it unprepared.
    ///
    /// # Errors
    ///
    /// See [`InstallError`]; nothing has changed then.
    pub fn new() -> Result<Self, InstallError> {
        Self::of(platform::default())
    }

    /// Listens to these signals, whether the parent has ignored them or not.
    ///
    /// What the parent has blocked (a mask is inherited, too) is unblocked on the signals' own thread, and there alone.
    ///
    /// # Errors
    ///
    /// See [`InstallError`]; nothing has changed then.
    pub fn of(signals: impl IntoIterator<Item = Signal>) -> Result<Self, InstallError> {
        let signals: Vec<Signal> = signals.into_iter().collect();
        if let Some(unknown) = signals.iter().find(|it| !platform::supports(**it)) {
            return Err(InstallError::Unsupported(*unknown));
        }
        if INSTALLED.swap(true, Ordering::SeqCst) {
            return Err(InstallError::Twice);
        }
        let inbox = Arc::new(Inbox(Mutex::new(Receiver::Stream { arrived: VecDeque::new(), waker: None })));
        let delivered = inbox.clone();
        if let Err(error) = platform::install(&signals, move |signal| delivered.deliver(signal)) {
            INSTALLED.store(false, Ordering::SeqCst);
            return Err(InstallError::System(error));
        }
        Ok(Self { inbox, escalated: false })
    }

    /// The next signal.
    ///
    /// # Cancel safety
    ///
    /// Dropping it loses no signal.
    pub fn recv(&mut self) -> Recv<'_> {
        Recv { signals: self }
    }

    /// Hands what comes, and what has come, to an escalation; for the rest of the process.
    pub(crate) fn escalate(mut self, escalation: &Escalation) {
        self.escalated = true;
        let before = self.inbox.with(|it| std::mem::replace(it, Receiver::Escalation(escalation.clone())));
        if let Receiver::Stream { arrived, .. } = before {
            for (signal, at) in arrived {
                escalation.step(signal, at);
            }
        }
    }
}

impl Inbox {
    fn with<R>(&self, f: impl FnOnce(&mut Receiver) -> R) -> R {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Called on the platform's thread.
    fn deliver(&self, signal: Signal) {
        enum Then {
            Wake(Option<Waker>),
            Step(Escalation),
            Die,
        }
        let at = Instant::now();
        let then = self.with(|receiver| match receiver {
            Receiver::Stream { arrived, waker } => {
                arrived.push_back((signal, at));
                Then::Wake(waker.take())
            }
            Receiver::Escalation(escalation) => Then::Step(escalation.clone()),
            Receiver::Nobody => Then::Die,
        });
        // Wakers and drains run foreign code: outside the lock.
        match then {
            Then::Wake(waker) => contain(|| waker.map_or((), Waker::wake)),
            Then::Step(escalation) => escalation.step(signal, at),
            Then::Die => platform::die(signal),
        }
    }
}

impl Stream for Signals {
    type Item = Signal;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Signal>> {
        let clone = cx.waker().clone();
        let (signal, _dropped_outside_the_lock) = self.inbox.with(|receiver| match receiver {
            Receiver::Stream { arrived, waker } => match arrived.pop_front() {
                Some((signal, _)) => (Some(signal), Some(clone)),
                None => (None, waker.replace(clone)),
            },
            _ => (None, Some(clone)),
        });
        signal.map_or(Poll::Pending, |signal| Poll::Ready(Some(signal)))
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        if !self.escalated {
            let _dropped_outside_the_lock = self.inbox.with(|it| std::mem::replace(it, Receiver::Nobody));
        }
    }
}

/// The future of [`Signals::recv`].
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Recv<'a> {
    signals: &'a mut Signals,
}

impl Future for Recv<'_> {
    type Output = Signal;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Signal> {
        match Pin::new(&mut *self.signals).poll_next(cx) {
            Poll::Ready(Some(signal)) => Poll::Ready(signal),
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }
}

impl fmt::Display for InstallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Twice => f.write_str("signals are already listened to in this process; share those `Signals`"),
            Self::Unsupported(signal) => write!(f, "this platform has no {signal}"),
            Self::System(error) => write!(f, "cannot listen to signals: {error}"),
        }
    }
}

// What a `main` prints that ends with it.
impl fmt::Debug for InstallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for InstallError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::System(error) => Some(error),
            Self::Twice | Self::Unsupported(_) => None,
        }
    }
}
