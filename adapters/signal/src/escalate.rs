//! `escalate`: the first signal starts the drain, the second closes it by force, the third kills.

use ebbtide::Drain;

use crate::escalation::Escalation;
#[cfg(doc)]
use crate::signal::Signal;
use crate::signals::Signals;

/// Has signals end the service: the first starts the drain, the second closes it by force, the third kills the process.
///
/// The third uses the default action of the signal. Once the drain is closed, any signal kills.
///
/// The same signal within 150 ms of one that counted is a repeat, and does not count. One Ctrl-C often arrives twice: from the
/// terminal, and from a parent that passes its own on (npm, supervisors). A `SIGHUP` within that time after another signal
/// does not count either: a terminal that closes sends both, and so does systemd with `SendSIGHUP`. The time is taken when the
/// signals' thread reads the signal.
///
/// The signal that started the drain is its [`Cause`](ebbtide::Cause): a [`Signal`] as a value, and `SIGTERM` or the like as
/// text.
///
/// It returns at once, and acts on the signals' own thread for the rest of the process. It keeps a [`Drain`] there, so dropping
/// yours does not start the drain. If a waker panics there, the panic is caught, and all others are woken. With
/// `panic = "abort"` it ends the process.
///
/// # Examples
///
/// See the [crate's](crate). Which signal started the drain:
///
/// ```
/// use ebbtide::{Cause, Drain};
/// use ebbtide_signal::Signal;
///
/// fn is_reload(drain: &Drain) -> bool {
///     let Some(Cause::Said(what)) = drain.cause() else { return false };
///     what.downcast_ref::<Signal>() == Some(&Signal::Hangup)
/// }
/// # let drain = Drain::new();
/// # let _ = drain.start_because(ebbtide::Label::live(Signal::Hangup));
/// # assert!(is_reload(&drain));
/// ```
pub fn escalate(drain: Drain, signals: Signals) {
    signals.escalate(&Escalation::new(drain));
}
