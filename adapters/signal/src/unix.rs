//! Unix: handlers that write to a pipe, and a thread that reads it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::{fs, io, thread};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, sigaction};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;
use signal_hook::low_level;

use crate::signal::Signal;

const NUMBERS: [(Signal, i32); 6] = [
    (Signal::Interrupt, SIGINT),
    (Signal::Terminate, SIGTERM),
    (Signal::Hangup, SIGHUP),
    (Signal::Quit, SIGQUIT),
    (Signal::User1, SIGUSR1),
    (Signal::User2, SIGUSR2),
];

/// The signals that ask a service to end; `SIGHUP` only if the process was not started with it ignored, as `nohup` does.
///
/// `SIGINT` and `SIGTERM` are included though they were ignored. A service that cannot be ended is worse than a shell's
/// background job that receives a Ctrl-C.
pub(crate) fn default() -> Vec<Signal> {
    let mut signals = vec![Signal::Interrupt, Signal::Terminate];
    if fs::read_to_string("/proc/self/status").is_ok_and(|status| !ignores(&status, SIGHUP)) {
        signals.push(Signal::Hangup);
    }
    signals
}

/// Whether a process with this status, `proc_pid_status(5)`, ignores a signal. If the status does not say, it counts as ignored.
///
/// The only call that asks without a change is `sigaction`, which is unsafe in every crate.
fn ignores(status: &str, number: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
    mask.is_none_or(|mask| mask >> (number - 1) & 1 == 1)
}

pub(crate) fn supports(signal: Signal) -> bool {
    number(signal).is_some()
}

fn number(signal: Signal) -> Option<i32> {
    NUMBERS.iter().find(|(it, _)| *it == signal).map(|(_, number)| *number)
}

pub(crate) fn install(signals: &[Signal], deliver: impl Fn(Signal) + Send + 'static) -> io::Result<()> {
    let numbers = || signals.iter().filter_map(|it| number(*it));
    let asked_for: SigSet = numbers().filter_map(|it| it.try_into().ok()).collect();
    // The thread first: once the handlers are installed, nothing may fail.
    let (hand_over, handed_over) = mpsc::sync_channel::<Signals>(1);
    let listen = move || {
        let Ok(mut arriving) = handed_over.recv() else { return };
        // The mask of the parent is inherited over exec: a blocked signal would be pending for ever. One thread that takes it
        // is enough, and the masks of others stay as they are. It cannot fail: the set has valid signals only.
        let _ = asked_for.thread_unblock();
        let told = |number| {
            if let Some((signal, _)) = NUMBERS.iter().find(|(_, it)| *it == number) {
                deliver(*signal);
            }
        };
        // A noted signal may arrive here as well. Then it is delivered twice, and the second is a repeat.
        let noted = EARLY.load(Ordering::SeqCst);
        let early = arriving.pending().fold(noted, |early, number| early | bit(number));
        (0..32).filter(|it| early & bit(*it) != 0).for_each(told);
        arriving.forever().for_each(told);
    };
    thread::Builder::new().name("ebbtide-signal".into()).spawn(listen)?;
    let before = note_early(&asked_for)?;
    match Signals::new(numbers()) {
        Ok(arriving) => drop(hand_over.send(arriving)),
        Err(error) => {
            give_back(before);
            return Err(error);
        }
    }
    Ok(())
}

/// The signals that came since [`note_early`], a [`bit`] each. It is read once.
static EARLY: AtomicU32 = AtomicU32::new(0);

fn bit(number: i32) -> u32 {
    u32::try_from(number).ok().and_then(|it| 1_u32.checked_shl(it)).unwrap_or(0)
}

/// A signal handler. It is async-signal-safe: one atomic operation without a lock (signal-safety(7)).
extern "C" fn note(number: i32) {
    EARLY.fetch_or(bit(number), Ordering::SeqCst);
}

/// Installs [`note`] as the handler of each signal, before signal-hook installs its own. Returns the previous actions.
///
/// signal-hook-registry installs its handler before its own table has the action for it. A signal that comes in between gets
/// its previous action. If that was the default one, the registry drops the signal, and the process never learns that it should
/// end. The time between is some microseconds, or longer on a busy machine. Of 8,000 processes that were signalled while they
/// started, on two busy cores, two lived on. With this, the previous action is [`note`].
///
/// This is the only unsafe code, since no safe call installs a complete handler at once. To block the signal for that time does
/// not help: another thread would take it.
#[expect(unsafe_code, reason = "see above")]
fn note_early(signals: &SigSet) -> io::Result<Vec<(nix::sys::signal::Signal, SigAction)>> {
    let noted = SigAction::new(SigHandler::Handler(note), SaFlags::SA_RESTART, SigSet::empty());
    let mut before = Vec::new();
    for signal in signals {
        // SAFETY: the handler is async-signal-safe.
        let action = match unsafe { sigaction(signal, &noted) } {
            Ok(action) => action,
            Err(error) => {
                give_back(before);
                return Err(error.into());
            }
        };
        match action.handler() {
            SigHandler::SigDfl | SigHandler::SigIgn => before.push((signal, action)),
            // There is a handler already, in signal-hook's table or one that signal-hook calls.
            SigHandler::Handler(_) | SigHandler::SigAction(_) => restore(signal, &action),
        }
    }
    Ok(before)
}

/// Restores the actions of these signals. For a signal that came meanwhile, its action is executed now.
fn give_back(actions: Vec<(nix::sys::signal::Signal, SigAction)>) {
    for (signal, action) in actions {
        restore(signal, &action);
        if EARLY.load(Ordering::SeqCst) & bit(signal as i32) != 0 {
            drop(low_level::raise(signal as i32));
        }
    }
}

/// Restores the action of a signal.
#[expect(unsafe_code, reason = "see note_early")]
fn restore(signal: nix::sys::signal::Signal, action: &SigAction) {
    // SAFETY: it was the action before, so its safety is that of the code which installed it.
    let _cannot_fail = unsafe { sigaction(signal, action) };
}

/// Ends the process as the signal does by default.
pub(crate) fn die(signal: Signal) -> ! {
    let number = number(signal).unwrap_or(SIGTERM);
    // Not for process 1: the kernel ignores its fatal signals, and the emulation would end it by a fault. A shell shows death
    // by signal as 128 + n.
    if std::process::id() != 1 {
        drop(low_level::emulate_default_handler(number));
    }
    low_level::exit(128 + number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_from_the_status_and_without_one_all_count_as_ignored() {
        let status = "Name:\tx\nSigBlk:\tffffffffffffffff\nSigIgn:\t0000000000001001\nSigCgt:\t0\n";
        assert!(ignores(status, SIGHUP));
        assert!(!ignores(status, SIGINT));
        assert!(!ignores(status, SIGTERM));
        assert!(ignores("Name:\tx\n", SIGTERM));
    }
}
