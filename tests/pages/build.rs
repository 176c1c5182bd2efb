//! Takes the programs out of the pages: those that are whole and end by a signal, so that a test can run them.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

/// Each page that shows such a program, by its path from the root.
const PAGES: [&str; 10] = [
    "README.md",
    "adapters/async-h1/README.md",
    "adapters/async-std/README.md",
    "adapters/hyper/README.md",
    "adapters/signal/README.md",
    "adapters/smol/README.md",
    "adapters/tokio/README.md",
    "docs/from-axum.md",
    "docs/from-tokio-graceful-shutdown.md",
    "docs/from-tokio-util.md",
];

/// What the programs listen on, and what they get instead.
const ADDRESS: [&str; 2] = ["\"127.0.0.1:8080\"", "crate::address()"];

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let (mut modules, mut names) = (String::new(), String::new());
    for page in PAGES {
        let path = root.join(page);
        println!("cargo::rerun-if-changed={}", path.display());
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{page}: {error}"));
        let program = program(page, &text).replace(ADDRESS[0], ADDRESS[1]);
        let name: String = page.chars().map(|it| if it.is_alphanumeric() { it } else { '_' }).collect();
        write!(
            modules,
            "mod {name} {{\n{program}\n\
             pub(super) fn run() -> std::process::ExitCode {{ std::process::Termination::report(main()) }}\n}}\n"
        )
        .expect("memory");
        write!(names, "(\"{page}\", {name}::run), ").expect("memory");
    }
    let programs =
        format!("{modules}\npub(crate) const PROGRAMS: &[(&str, fn() -> std::process::ExitCode)] = &[{names}];\n");
    fs::write(Path::new(&env::var_os("OUT_DIR").expect("cargo sets it")).join("programs.rs"), programs)
        .expect("written");
}

/// The page's whole program: the last one, for what comes before it leads up to it.
fn program(page: &str, text: &str) -> String {
    let is_whole = |it: &&str| it.contains("fn main()") && it.contains("Signals::new()");
    let blocks = text.split("\n```rust").skip(1).filter_map(|it| it.split("\n```").next());
    let block =
        blocks.filter(is_whole).last().unwrap_or_else(|| panic!("{page} shows no program that ends by a signal"));
    // Behind what its fence says; rustdoc hides lines that begin so.
    let lines = block.lines().skip(1).map(|it| it.strip_prefix("# ").unwrap_or(it));
    lines.collect::<Vec<_>>().join("\n")
}
