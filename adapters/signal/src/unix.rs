//! Unix: handlers that write to a pipe, and a thread that reads it.

use std::io;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;
use signal_hook::low_level;

use crate::signal::Signal;

pub(crate) const DEFAULT: &[Signal] = &[Signal::Interrupt, Signal::Terminate];

const NUMBERS: [(Signal, i32); 6] = [
    (Signal::Interrupt, SIGINT),
    (Signal::Terminate, SIGTERM),
    (Signal::Hangup, SIGHUP),
    (Signal::Quit, SIGQUIT),
    (Signal::User1, SIGUSR1),
    (Signal::User2, SIGUSR2),
];

pub(crate) fn supports(signal: Signal) -> bool {
    number(signal).is_some()
}

fn number(signal: Signal) -> Option<i32> {
    NUMBERS.iter().find(|(it, _)| *it == signal).map(|(_, number)| *number)
}

pub(crate) fn install(signals: &[Signal], deliver: impl Fn(Signal) + Send + 'static) -> io::Result<()> {
    let mut arriving = Signals::new(signals.iter().filter_map(|it| number(*it)))?;
    let listen = move || {
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
