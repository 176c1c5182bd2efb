//! The core's whole life on an emulated microcontroller, and what its interrupt handlers may call.

#![no_std]
#![no_main]

mod sweep;
mod timer;

use core::panic::PanicInfo;

use cortex_m::register::primask;
use cortex_m_rt::{entry, exception};
use cortex_m_semihosting::{debug, hprintln};
use ebbtide_bare_life::{Machine, live, tick};
use embedded_alloc::LlffHeap as Heap;

#[global_allocator]
static HEAP: Heap = Heap::empty();

const MACHINE: Machine = Machine {
    say: |line| hprintln!("{line}"),
    heap: || HEAP.used(),
    interrupts_on: || primask::read().is_active(),
    sections: || 0, // they are the processor's own
    wait: cortex_m::asm::wfi,
};

#[entry]
fn main() -> ! {
    #[expect(unsafe_code, reason = "nobody but the program knows which memory is the heap's")]
    // SAFETY: called once, before the first allocation.
    unsafe {
        embedded_alloc::init!(HEAP, 8 * 1024);
    }
    let core = cortex_m::Peripherals::take().expect("taken once");
    timer::own(core.SYST);

    timer::every(10_000);
    live(MACHINE);
    timer::stop();

    sweep::sweep(MACHINE);
    debug::exit(debug::EXIT_SUCCESS);
    unreachable!("the emulator has ended")
}

#[exception]
fn SysTick() {
    timer::expired();
    tick();
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    hprintln!("{info}");
    debug::exit(debug::EXIT_FAILURE);
    loop {
        cortex_m::asm::wfi();
    }
}
