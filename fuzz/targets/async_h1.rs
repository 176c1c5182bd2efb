//! Heads and bodies in front of async-h1: no bytes are another request, or another end, in other pieces, and none panic.
#![no_main]

use ebbtide_pairs::hostile::check;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let [piece, bytes @ ..] = bytes else { return };
    assert_eq!(check(bytes, (*piece).into()), Ok(()));
});
