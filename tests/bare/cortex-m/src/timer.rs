//! The processor's timer.

use core::cell::RefCell;

use cortex_m::peripheral::syst::SystClkSource;
use cortex_m::peripheral::{SCB, SYST};
use critical_section::Mutex;

static TIMER: Mutex<RefCell<Option<Timer>>> = Mutex::new(RefCell::new(None));

struct Timer {
    device: SYST,
    once: bool,
}

/// Gives this module the device.
pub fn own(device: SYST) {
    critical_section::with(|section| TIMER.replace(section, Some(Timer { device, once: false })));
}

/// An interrupt every so many cycles.
pub fn every(cycles: u32) {
    with(|timer| timer.run(cycles, false));
}

/// One interrupt, in so many cycles.
pub fn once(cycles: u32) {
    with(|timer| timer.run(cycles, true));
}

/// No more interrupts.
pub fn stop() {
    with(Timer::stop);
}

/// To be called by the interrupt handler.
pub fn expired() {
    with(|timer| {
        if timer.once {
            timer.stop();
        }
    });
}

fn with(f: impl FnOnce(&mut Timer)) {
    critical_section::with(|section| f(TIMER.borrow_ref_mut(section).as_mut().expect("owned at the start")));
}

impl Timer {
    fn run(&mut self, cycles: u32, once: bool) {
        self.once = once;
        self.device.set_reload(cycles);
        self.device.set_clock_source(SystClkSource::Core);
        self.device.clear_current();
        self.device.enable_interrupt();
        self.device.enable_counter();
    }

    fn stop(&mut self) {
        self.device.disable_counter();
        self.device.disable_interrupt();
        SCB::clear_pendst();
    }
}
