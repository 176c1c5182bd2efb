//! The core's whole life on the host, with no standard library linked.
//!
//! Were `std` pulled in by accident, this would not link: there can be one panic handler only.

#![no_std]
#![no_main]

use core::ffi::c_int;
use core::fmt::{self, Arguments, Write};
use core::panic::PanicInfo;

use ebbtide_bare_life::{Machine, interrupts_on, live, sections, tick};
use embedded_alloc::LlffHeap as Heap;

#[global_allocator]
static HEAP: Heap = Heap::empty();

const MACHINE: Machine = Machine {
    say: |line| say(line),
    heap: || HEAP.used(),
    interrupts_on,
    sections,
    wait: tick, // no timer: waiting for the interrupt is having it
};

#[expect(unsafe_code, reason = "what starts a program looks for this name")]
// SAFETY: the one function of this name.
#[unsafe(no_mangle)]
extern "C" fn main() -> c_int {
    #[expect(unsafe_code, reason = "nobody but the program knows which memory is the heap's")]
    // SAFETY: called once, before the first allocation.
    unsafe {
        embedded_alloc::init!(HEAP, 64 * 1024);
    }
    live(MACHINE);
    0
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    say(format_args!("{info}"));
    exit(1)
}

#[expect(unsafe_code, reason = "the C library is all there is to print with and to exit by")]
// SAFETY: as ISO C declares them (C17, sections 7.21.7.8 and 7.22.4.4); neither asks anything of its caller.
#[link(name = "c")]
unsafe extern "C" {
    safe fn putchar(byte: c_int) -> c_int;
    safe fn exit(status: c_int) -> !;
}

struct Output;

impl Write for Output {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            putchar(byte.into());
        }
        Ok(())
    }
}

fn say(line: Arguments<'_>) {
    // It never fails.
    let _ = writeln!(Output, "{line}");
}
