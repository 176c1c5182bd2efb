//! What `docs/misuse.md` says of tests.

use std::fs;
use std::path::{Path, PathBuf};

/// The sources of the tests that the page may name.
fn tests(root: &Path) -> String {
    let folders = [
        "core/tests",
        "adapters/tokio/tests",
        "adapters/service/tests",
        "adapters/signal/tests",
        "examples/tests",
        "testkit/tests",
    ];
    let files = folders.iter().flat_map(|folder| fs::read_dir(root.join(folder)).expect("it is there"));
    let paths = files.map(|file| file.expect("readable").path()).filter(|path| path.is_file());
    paths.map(|path| fs::read_to_string(path).expect("text")).collect()
}

#[test]
fn every_test_that_the_page_of_misuses_names_is_there_and_every_row_has_one_or_says_where_else() {
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let page = fs::read_to_string(root.join("docs/misuse.md")).expect("it is there");
    let tests = tests(&root);
    let rows: Vec<_> =
        page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| the program")).collect();
    assert!(rows.len() > 20, "the page has another form");
    let mut without = 0;
    for row in rows {
        let shown = row.trim_end_matches('|').trim_end().rsplit(" | ").next().expect("a column");
        let names: Vec<_> =
            shown.split('`').skip(1).step_by(2).filter(|it| it.len() > 20 && !it.contains('/')).collect();
        for name in &names {
            assert!(tests.contains(&format!("fn {name}(")), "no test {name}: {row}");
        }
        without += usize::from(names.is_empty() && !shown.starts_with("[below](#"));
    }
    // That of somebody else's `with_graceful_shutdown`, whose losses are theirs.
    assert_eq!(without, 1);
}
