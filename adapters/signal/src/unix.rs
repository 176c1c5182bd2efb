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

/// What asks a service to end: `SIGHUP` among them unless the process was started with it ignored, as `nohup` does.
///
/// `SIGINT` and `SIGTERM` are listened to though they were ignored: a service that nothing ends is worse than a
/// background job of a shell that hears its Ctrl-C.
pub(crate) fn default() -> Vec<Signal> {
    let mut signals = vec![Signal::Interrupt, Signal::Terminate];
    if fs::read_to_string("/proc/self/status").is_ok_and(|status| !ignores(&status, SIGHUP)) {
        signals.push(Signal::Hangup);
    }
    signals
}

/// Whether a process of this status, `proc_pid_status(5)`, ignores a signal. If it does not say, it does.
///
/// There is no call that asks and changes nothing, but `sigaction`, which is unsafe everywhere.
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
    // The thread first: once there are handlers, nothing may fail.
    let (hand_over, handed_over) = mpsc::sync_channel::<Signals>(1);
    let listen = move || {
        let Ok(mut arriving) = handed_over.recv() else { return };
        // A parent's mask is inherited over exec: what it has blocked would be pending for ever. One thread that takes
        // a signal is enough, and the others' masks are theirs. It cannot fail: the set is one of signals.
        let _ = asked_for.thread_unblock();
        let told = |number| {
            if let Some((signal, _)) = NUMBERS.iter().find(|(_, it)| *it == number) {
                deliver(*signal);
            }
        };
        // What was noted has arrived as well, or will at once: then it is told twice, and the second is a repeat.
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

/// The signals that came, a [`bit`] each, from when [`note_early`] was called. Only what it says at first is looked at.
static EARLY: AtomicU32 = AtomicU32::new(0);

fn bit(number: i32) -> u32 {
    u32::try_from(number).ok().and_then(|it| 1_u32.checked_shl(it)).unwrap_or(0)
}

/// A signal handler. What it does is allowed in one: an atomic operation without a lock (signal-safety(7)).
extern "C" fn note(number: i32) {
    EARLY.fetch_or(bit(number), Ordering::SeqCst);
}

/// Has each of these signals noted before signal-hook listens to it. Returns the actions that they had.
///
/// signal-hook-registry makes the kernel call its handler before its own table says what the handler is to do. A signal
/// that comes in between is handed to the action which it had before, and if that was the default one it is dropped: the
/// process that was asked to end never hears of it. The time between is some microseconds, or as long as a busy machine has
/// something else to do. Of 8,000 processes that were signalled while they started, on two busy cores, two lived on. With
/// this the action from before is [`note`].
///
/// That is why there is unsafe code here, and nowhere else: no safe call makes a handler that is complete at once. To block
/// the signal for that time is no way out: another thread would take it.
#[expect(unsafe_code, reason = "see above")]
fn note_early(signals: &SigSet) -> io::Result<Vec<(nix::sys::signal::Signal, SigAction)>> {
    let noted = SigAction::new(SigHandler::Handler(note), SaFlags::SA_RESTART, SigSet::empty());
    let mut before = Vec::new();
    for signal in signals {
        // SAFETY: the handler does nothing but what one may do.
        let action = match unsafe { sigaction(signal, &noted) } {
            Ok(action) => action,
            Err(error) => {
                give_back(before);
                return Err(error.into());
            }
        };
        match action.handler() {
            SigHandler::SigDfl | SigHandler::SigIgn => before.push((signal, action)),
            // Somebody listens to it already, in signal-hook's table or by a handler that this is to call.
            SigHandler::Handler(_) | SigHandler::SigAction(_) => restore(signal, &action),
        }
    }
    Ok(before)
}

/// Gives these signals their actions back. One that came meanwhile has its action now.
fn give_back(actions: Vec<(nix::sys::signal::Signal, SigAction)>) {
    for (signal, action) in actions {
        restore(signal, &action);
        if EARLY.load(Ordering::SeqCst) & bit(signal as i32) != 0 {
            drop(low_level::raise(signal as i32));
        }
    }
}

/// Gives a signal the action back that it had.
#[expect(unsafe_code, reason = "see note_early")]
fn restore(signal: nix::sys::signal::Signal, action: &SigAction) {
    // SAFETY: it was the action before, so whoever made it has seen to that.
    let _cannot_fail = unsafe { sigaction(signal, action) };
}

/// Ends the process as the signal does by default.
pub(crate) fn die(signal: Signal) -> ! {
    let number = number(signal).unwrap_or(SIGTERM);
    // Not process 1: the kernel ignores its fatal signals, and the emulation would end it by a fault. 128 + n is what a
    // shell makes of death by signal.
    if std::process::id() != 1 {
        drop(low_level::emulate_default_handler(number));
    }
    low_level::exit(128 + number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ignored_is_read_from_the_status_and_what_it_does_not_say_counts_as_ignored() {
        let status = "Name:\tx\nSigBlk:\tffffffffffffffff\nSigIgn:\t0000000000001001\nSigCgt:\t0\n";
        assert!(ignores(status, SIGHUP));
        assert!(!ignores(status, SIGINT));
        assert!(!ignores(status, SIGTERM));
        assert!(ignores("Name:\tx\n", SIGTERM));
    }
}
