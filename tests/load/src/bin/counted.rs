//! ebbtide on a pair, named by the only argument, in a process whose heap is counted.

use ebbtide_load::{Error, Heap, Serve};
use peak_alloc::PeakAlloc;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

fn main() -> Result<(), Error> {
    let pair = std::env::args().nth(1).ok_or("on which pair?")?.parse()?;
    Serve::Counted(pair, Heap(|| HEAP.current_usage())).run()
}
