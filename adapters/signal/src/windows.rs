//! Windows: the console events.

use std::io;
use std::thread;

use tokio::signal::windows;

use crate::signal::Signal;

const EVENTS: [Signal; 5] = [Signal::Interrupt, Signal::Break, Signal::Close, Signal::Logoff, Signal::Shutdown];

pub(crate) fn default() -> Vec<Signal> {
    EVENTS.to_vec()
}

pub(crate) fn supports(signal: Signal) -> bool {
    EVENTS.contains(&signal)
}

pub(crate) fn install(signals: &[Signal], deliver: impl Fn(Signal) + Send + 'static) -> io::Result<()> {
    let chosen = signals.to_vec();
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let (mut interrupt, mut break_) = (windows::ctrl_c()?, windows::ctrl_break()?);
    // For these three, Windows ends the process once the handler returns. tokio's does not return, so the drain has the time
    // that Windows allows, about 5 s.
    let (mut close, mut logoff, mut shutdown) =
        (windows::ctrl_close()?, windows::ctrl_logoff()?, windows::ctrl_shutdown()?);
    let listen = async move {
        loop {
            let signal = tokio::select! {
                Some(()) = interrupt.recv() => Signal::Interrupt,
                Some(()) = break_.recv() => Signal::Break,
                Some(()) = close.recv() => Signal::Close,
                Some(()) = logoff.recv() => Signal::Logoff,
                Some(()) = shutdown.recv() => Signal::Shutdown,
                else => return,
            };
            if chosen.contains(&signal) {
                deliver(signal);
            } else {
                die(signal);
            }
        }
    };
    thread::Builder::new().name("ebbtide-signal".into()).spawn(move || runtime.block_on(listen)).map(drop)
}

/// Ends the process as the event does by default.
pub(crate) fn die(_: Signal) -> ! {
    // STATUS_CONTROL_C_EXIT, 0xC000013A as the 32 bits of an exit code.
    std::process::exit(-0x3FFF_FEC6)
}
