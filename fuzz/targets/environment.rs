//! An environment that names sockets: any answer is one that can be acted upon, and an error is a line.
#![no_main]

use ebbtide_examples::inherited::Said;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    assert_eq!(Said::by_bytes(bytes).check(7), Ok(()));
});
