//! The core's whole life as WebAssembly, in Node.
//!
//! `run.mjs` instantiates it, brings what is imported here, and calls `run`.

#![no_std]

use core::arch::wasm32::unreachable;
use core::fmt::{self, Arguments, Write};
use core::panic::PanicInfo;

use ebbtide_bare_life::{Machine, interrupts_on, live, sections};
use embedded_alloc::LlffHeap as Heap;

#[global_allocator]
static HEAP: Heap = Heap::empty();

const MACHINE: Machine =
    Machine { say: |line| say(line), heap: || HEAP.used(), interrupts_on, sections, wait: || wait() };

#[expect(unsafe_code, reason = "what the script calls by this name")]
// SAFETY: the one function of this name.
#[unsafe(no_mangle)]
extern "C" fn run() {
    #[expect(unsafe_code, reason = "nobody but the program knows which memory is the heap's")]
    // SAFETY: called once, before the first allocation.
    unsafe {
        embedded_alloc::init!(HEAP, 64 * 1024);
    }
    live(MACHINE);
}

#[expect(unsafe_code, reason = "what the script calls by this name")]
// SAFETY: the one function of this name.
#[unsafe(no_mangle)]
extern "C" fn tick() {
    ebbtide_bare_life::tick();
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    say(format_args!("{info}"));
    unreachable()
}

#[expect(unsafe_code, reason = "what the script brings")]
// SAFETY: `run.mjs` has both, and neither touches this program's memory.
#[link(wasm_import_module = "machine")]
unsafe extern "C" {
    safe fn print(byte: u32);
    /// Calls `tick`.
    safe fn wait();
}

struct Output;

impl Write for Output {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(|byte| print(byte.into()));
        Ok(())
    }
}

fn say(line: Arguments<'_>) {
    // It never fails.
    let _ = writeln!(Output, "{line}");
}
