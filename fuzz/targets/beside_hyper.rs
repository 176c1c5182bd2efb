//! The same bytes to async-h1 and to hyper: async-h1 sees no request that hyper does not see.
#![no_main]

use ebbtide_pairs::hostile::compare;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let [_, bytes @ ..] = bytes else { return };
    assert_eq!(compare(bytes), Ok(()));
});
