//! How the policy of a connection tells HTTP/2 from HTTP/1: by the preface and nothing else, in whatever pieces it comes.
#![no_main]

use ebbtide_pairs::hostile::check_preface;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let [piece, bytes @ ..] = bytes else { return };
    assert_eq!(check_preface(bytes, (*piece).into()), Ok(()));
});
