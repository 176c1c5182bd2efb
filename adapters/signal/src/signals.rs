//! `Signals`: the stream of signals that arrive.

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use futures_core::Stream;

use crate::escalation::{Escalation, contain};
use crate::platform;
use crate::signal::Signal;

/// The signals that the process receives, as a stream that never ends, on any executor.
///
/// While it exists, the signals do not have their default action. Once it is dropped they have it again, so that a service
/// which does not listen any more can still be killed.
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

/// Where the signals' thread delivers them.
#[derive(Debug)]
pub(crate) struct Inbox {
    receiver: Mutex<Receiver>,
    /// Signals that arrive elsewhere.
    split_off: Mutex<Vec<(Signal, Arc<Inbox>)>>,
}

#[derive(Debug)]
pub(crate) enum Receiver {
    /// A [`Signals`] is polled.
    Stream { arrived: VecDeque<(Signal, Instant)>, waker: Option<Waker> },
    /// Signals act on a drain, by [`escalate`](crate::escalate()).
    Escalation(Escalation),
    /// None: signals have their default action.
    Nobody,
}

/// The error of [`Signals::new`] and [`Signals::of`].
#[non_exhaustive]
pub enum InstallError {
    /// There is a [`Signals`] in this process already. Signal handlers belong to the process, and two owners would each see some
    /// of the signals. Share the first one.
    Twice,
    /// The platform does not have this signal.
    Unsupported(Signal),
    /// The operating system refused.
    System(io::Error),
}

static INSTALLED: AtomicBool = AtomicBool::new(false);

impl Signals {
    /// Listens to the signals that ask a service to end: `SIGINT`, `SIGTERM` and `SIGHUP`; on Windows the five console events.
    ///
    /// `SIGHUP` is left out if the process was started with it ignored, as by `nohup`: then the service should outlive its
    /// terminal. Whether it was ignored is known on Linux only. On other Unix systems `SIGHUP` keeps its action.
    ///
    /// `SIGINT` and `SIGTERM` are included though the parent has ignored them (`trap '' TERM`, a background job of a shell
    /// script). Go and Node do the same: it must be possible to end a service. To choose the signals, see [`of`](Self::of).
    ///
    /// Call it before the service listens on its port, so that no signal kills it meanwhile.
    ///
    /// # Errors
    ///
    /// See [`InstallError`]; nothing has changed then.
    pub fn new() -> Result<Self, InstallError> {
        Self::of(platform::default())
    }

    /// Listens to these signals, whether or not the parent has ignored them.
    ///
    /// A signal that the parent has blocked (the mask is inherited) is unblocked on the signals' own thread only.
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
        let inbox = Arc::new(Inbox::new(VecDeque::new()));
        let delivered = inbox.clone();
        if let Err(error) = platform::install(&signals, move |signal| delivered.deliver(signal)) {
            INSTALLED.store(false, Ordering::SeqCst);
            return Err(InstallError::System(error));
        }
        Ok(Self { inbox, escalated: false })
    }

    /// A future of the next signal.
    ///
    /// # Cancel safety
    ///
    /// Dropping it loses no signal.
    pub fn recv(&mut self) -> Recv<'_> {
        Recv { signals: self }
    }

    /// Splits one signal off, those of it that have arrived too: this stream does not have it any more, the returned one has
    /// no other.
    ///
    /// So a `SIGHUP` can mean "restart", while the others end the service by [`escalate`](crate::escalate()). Once the returned
    /// stream is dropped, the signal has its default action again.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn restart() {}
    /// # async fn run(drain: ebbtide::Drain) -> Result<(), Box<dyn std::error::Error>> {
    /// use ebbtide_signal::{Signal, Signals, escalate};
    ///
    /// let mut signals = Signals::of([Signal::Interrupt, Signal::Terminate, Signal::Hangup])?;
    /// let mut hangups = signals.split_off(Signal::Hangup);
    /// escalate(drain, signals);
    /// loop {
    ///     hangups.recv().await;
    ///     restart().await;
    /// }
    /// # }
    /// ```
    pub fn split_off(&mut self, signal: Signal) -> Self {
        let mut elsewhere = self.inbox.split_off();
        let arrived = self.inbox.with(|receiver| match receiver {
            Receiver::Stream { arrived, .. } => {
                let (split, kept) = arrived.drain(..).partition(|(it, _)| *it == signal);
                *arrived = kept;
                split
            }
            Receiver::Escalation(_) | Receiver::Nobody => VecDeque::new(),
        });
        let inbox = Arc::new(Inbox::new(arrived));
        elsewhere.retain(|(it, _)| *it != signal);
        elsewhere.push((signal, inbox.clone()));
        drop(elsewhere);
        Self { inbox, escalated: false }
    }

    /// Gives all signals, those that have arrived too, to an escalation, for the rest of the process.
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
    fn new(arrived: VecDeque<(Signal, Instant)>) -> Self {
        Self { receiver: Mutex::new(Receiver::Stream { arrived, waker: None }), split_off: Mutex::default() }
    }

    fn with<R>(&self, f: impl FnOnce(&mut Receiver) -> R) -> R {
        f(&mut self.receiver.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn split_off(&self) -> MutexGuard<'_, Vec<(Signal, Arc<Self>)>> {
        self.split_off.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Called on the signals' thread.
    fn deliver(&self, signal: Signal) {
        enum Then {
            Wake(Option<Waker>),
            Step(Escalation),
            Die,
        }
        let at = Instant::now();
        // Held until it is delivered here: what is split off meanwhile takes it along.
        let split_off = self.split_off();
        if let Some((_, inbox)) = split_off.iter().find(|(it, _)| *it == signal) {
            let inbox = inbox.clone();
            drop(split_off);
            return inbox.deliver(signal);
        }
        let then = self.with(|receiver| match receiver {
            Receiver::Stream { arrived, waker } => {
                arrived.push_back((signal, at));
                Then::Wake(waker.take())
            }
            Receiver::Escalation(escalation) => Then::Step(escalation.clone()),
            Receiver::Nobody => Then::Die,
        });
        // Outside the locks: wakers run foreign code, and so may the drain.
        drop(split_off);
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

/// The future of [`Signals::recv`]: the next signal.
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

// A `main` that returns an error prints its `Debug`.
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
