//! Hostile bytes on every engine: the same requests are seen, and the same end comes of them, or it is said why not.

mod cases;
mod random;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use ebbtide_pairs::hostile::{Engine, check, check_preface, compare};

use crate::cases::Case;

const SECOND: &[u8] = b"GET /second HTTP/1.1\r\nhost: x\r\n\r\n";
/// What is known of every input.
const TABLE: &str = "tests/hostile/table.md";
/// More than any input has.
const WHOLE: usize = 1 << 20;

impl Case {
    /// With another request behind it.
    fn bytes(&self) -> Vec<u8> {
        [&self.input, SECOND].concat()
    }

    /// For people.
    fn name(&self) -> String {
        let name = self.input.escape_ascii().to_string().replace("\\\"", "\"");
        let name = name.replace("POST / HTTP/1.1\\r\\nhost: x\\r\\n", "… ").replace('|', "\\|");
        if name.len() > 100 { format!("{}… ({} B)", &name[..60], self.input.len()) } else { name }
    }
}

#[test]
fn every_difference_between_the_engines_is_on_the_list_with_its_reason() {
    let mut table = String::from(
        "What becomes of hostile bytes, each followed by `GET /second`: the requests that the application sees (`!`: with a \
         body that fails), the\nstatuses, and whether the connection stays open. `hostile/main.rs` makes this table, and fails \
         if it is another one.\n\nBytes that nobody chose are compared as well, by `hostile/random.rs` and by the fuzz target \
         `beside_hyper`, request by request and\nto the same end. What may differ there: async-h1 may refuse what hyper takes, and \
         then it closes behind its answer (RFC 9112,\nsection 2.2: a parser need not be lenient); a connection of HTTP/1.0 may \
         close (section 9.3); a target is compared as a URL has\nit, for http-types encodes it. Left out are bytes with one of \
         `` <>\"`{}|^ ``, which no target may have (RFC 3986, section 2) and which\nhyper refuses and http-types encodes, and more \
         than 100 lines: hyper takes no more fields than that.\n\n| input | async-h1 | hyper | why they differ |\n|---|---|---|---|\n",
    );
    let mut unlike = Vec::new();
    for case in cases::all() {
        let [h1, hyper] = [Engine::H1, Engine::Hyper].map(|it| it.sees(&case.bytes(), WHOLE));
        if (h1 == hyper) != case.why.is_none() {
            unlike.push(format!(
                "{}\nasync-h1: {}\nhyper: {}\n",
                case.name(),
                short(&h1.to_string()),
                short(&hyper.to_string())
            ));
        }
        let hyper = if h1 == hyper { "the same".into() } else { short(&hyper.to_string()) };
        let _ = writeln!(
            table,
            "| `{}` | {} | {hyper} | {} |",
            case.name(),
            short(&h1.to_string()),
            case.why.unwrap_or_default()
        );
    }
    assert!(unlike.is_empty(), "{}", unlike.concat());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(TABLE);
    if std::env::var_os("EBBTIDE_WRITE_TABLE").is_some() {
        fs::write(&path, &table).unwrap();
    }
    assert!(fs::read_to_string(path).unwrap() == table, "{TABLE} is out of date: EBBTIDE_WRITE_TABLE=1 writes it");
}

fn short(seen: &str) -> String {
    if seen.len() > 160 { format!("{}…{}", &seen[..60], &seen[seen.len() - 20..]) } else { seen.into() }
}

/// A fuzzer starts from these, and leaves here what it finds.
#[test]
fn what_was_ever_found_is_not_found_again() {
    let seeds = |of: &str| {
        let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(of);
        fs::read_dir(seeds).expect("there are some").map(|it| fs::read(it.unwrap().path()).unwrap()).collect::<Vec<_>>()
    };
    // The first byte is the length of the pieces.
    for seed in seeds("http") {
        assert_eq!(check(&seed[1..], seed[0].into()), Ok(()));
        assert_eq!(compare(&seed[1..]), Ok(()));
    }
    for seed in seeds("preface") {
        assert_eq!(check_preface(&seed[1..], seed[0].into()), Ok(()));
    }
}

/// Where the bytes are cut says nothing.
#[test]
fn an_input_is_the_same_in_whatever_pieces_it_comes() {
    for case in cases::all().iter().filter(|it| it.input.len() < 1000) {
        for engine in [Engine::H1, Engine::Hyper] {
            let whole = engine.sees(&case.bytes(), WHOLE);
            for piece in [1, 2, 3, 7, 50] {
                assert_eq!(
                    engine.sees(&case.bytes(), piece),
                    whole,
                    "{engine:?}: {} in pieces of {piece}",
                    case.name()
                );
            }
        }
    }
}

/// What was found on async-h1 as it is, one by one.
#[test]
fn nothing_behind_what_is_malformed_is_a_request() {
    for case in cases::all() {
        let seen = Engine::H1.sees(&case.bytes(), WHOLE);
        let is_malformed =
            seen.requests.iter().any(|it| it.ends_with('!')) || seen.statuses.iter().any(|it| *it >= 400);
        let goes_on = seen.requests.iter().any(|it| it == "GET /second");
        assert!(!(is_malformed && goes_on), "{}: {seen}", case.name());
    }
}
