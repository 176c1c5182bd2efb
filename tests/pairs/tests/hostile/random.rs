//! Requests at random, as they should be and with a byte wrong here and there.

use ebbtide_pairs::hostile::{End, Engine, check, compare};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// What could mean something to somebody.
const BYTES: &[u8] = b"\r\n\0\t :;,=+-.0123aAfFgxX/?*%@[]\x7f\x80\xc3\xa9\xff";

#[derive(Clone, Debug)]
enum Mistake {
    Instead(u8),
    Before(u8),
    Left,
    Again,
}

fn fields() -> impl Strategy<Value = String> {
    let field =
        select(vec!["x: y\r\n", "x:\r\n", "x:  y \r\n", "Accept: a, b\r\n", "te: trailers\r\n", "x_y: \t z\r\n"]);
    vec(field, 0..3).prop_map(|it| it.concat())
}

fn chunks() -> impl Strategy<Value = String> {
    let extension = select(vec!["", "", ";x", ";x=y", " ; x=\"y;\"", ";\u{e9}"]);
    let chunk = (0..20_usize, extension.clone(), any::<bool>()).prop_map(|(length, extension, upper)| {
        let size = if upper { format!("{:X}", length + 1) } else { format!("0{:x}", length + 1) };
        format!("{size}{extension}\r\n{}\r\n", "\r\n0abc".repeat(5)[..=length].replace('\0', ""))
    });
    let last = (extension, select(vec!["", "", "x: y\r\n", "x: y\r\nz:\r\n"]));
    (vec(chunk, 0..3), last)
        .prop_map(|(chunks, (extension, trailers))| format!("{}0{extension}\r\n{trailers}\r\n", chunks.concat()))
}

fn body() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("\r\n".to_owned()),
        "[a-z\r\n]{0,20}".prop_map(|it| format!("Content-Length: {}\r\n\r\n{it}", it.len())),
        chunks().prop_map(|it| format!("Transfer-Encoding: chunked\r\n\r\n{it}")),
    ]
}

fn request() -> impl Strategy<Value = String> {
    let method = select(vec!["GET", "POST", "PUT", "DELETE", "HEAD"]);
    let target = select(vec!["/", "/a", "/a/b?c=d", "//a", "http://y/a?b", "/%41"]);
    let host = select(vec!["x", "x:80", "[::1]", "127.0.0.1:8080"]);
    (method, target, host, fields(), body()).prop_map(|(method, target, host, fields, body)| {
        format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n{fields}{body}")
    })
}

fn mistake() -> impl Strategy<Value = Mistake> {
    let byte = || prop_oneof![8 => select(BYTES), 1 => any::<u8>()];
    prop_oneof![
        byte().prop_map(Mistake::Instead),
        byte().prop_map(Mistake::Before),
        Just(Mistake::Left),
        Just(Mistake::Again),
    ]
}

fn mistaken(requests: &[String], mistakes: &[(Index, Mistake)]) -> Vec<u8> {
    let mut bytes = requests.concat().into_bytes();
    for (at, mistake) in mistakes {
        let at = at.index(bytes.len());
        match mistake {
            Mistake::Instead(byte) => bytes[at] = *byte,
            Mistake::Before(byte) => bytes.insert(at, *byte),
            Mistake::Left => drop(bytes.remove(at)),
            Mistake::Again => bytes.insert(at, bytes[at]),
        }
    }
    bytes
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_is_as_it_should_be_is_served_alike(requests in vec(request(), 1..4), piece in 1..100_usize) {
        let bytes = requests.concat().into_bytes();
        let h1 = Engine::H1.sees(&bytes, piece);
        prop_assert_eq!(&h1, &Engine::Hyper.sees(&bytes, piece));
        prop_assert_eq!((h1.requests.len(), h1.end), (requests.len(), End::Open));
        prop_assert!(h1.statuses.iter().all(|it| *it == 200));
    }

    #[test]
    fn what_is_not_is_no_other_request(
        requests in vec(request(), 1..4),
        mistakes in vec((any::<Index>(), mistake()), 1..4),
        piece in 1..100_usize,
    ) {
        let bytes = mistaken(&requests, &mistakes);
        prop_assert_eq!(check(&bytes, piece), Ok(()));
        prop_assert_eq!(compare(&bytes), Ok(()));
    }

    #[test]
    fn what_is_nothing_at_all_is_no_request(bytes in vec(prop_oneof![select(BYTES), any::<u8>()], 1..200), piece in 1..100_usize) {
        prop_assert_eq!(check(&bytes, piece), Ok(()));
        prop_assert_eq!(compare(&bytes), Ok(()));
    }
}

/// Two thousand of each, and more if `PROPTEST_CASES` says so.
fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig { cases: default.cases.max(2000), failure_persistence: None, ..default }
}
