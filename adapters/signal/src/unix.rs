//! Unix: handlers that write to a pipe, and a thread that reads it.

use std::thread;
use std::{fs, io};

use nix::sys::signal::SigSet;
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
    let mut arriving = Signals::new(signals.iter().filter_map(|it| number(*it)))?;
    let asked_for: SigSet = signals.iter().filter_map(|it| number(*it)?.try_into().ok()).collect();
    let listen = move || {
        // A parent's mask is inherited over exec: what it has blocked would be pending for ever. One thread that takes
        // a signal is enough, and the others' masks are theirs. It cannot fail: the set is one of signals.
        let _ = asked_for.thread_unblock();
        for number in arriving.forever() {
            if let Some((signal, _)) = NUMBERS.iter().find(|(_, it)| *it == number) {
                deliver(*signal);
            }
        }
    };
    thread::Builder::new().name("ebbtide-signal".into()).spawn(listen).map(drop)
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
