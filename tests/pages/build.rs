//! Takes the programs out of the pages: those that are whole and end by a signal, so that a test can run them.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

/// Each page that shows such programs, by its path from the root.
const PAGES: [&str; 14] = [
    "README.md",
    "adapters/async-h1/README.md",
    "adapters/async-std/README.md",
    "adapters/axum/README.md",
    "adapters/hyper/README.md",
    "adapters/service/README.md",
    "adapters/signal/README.md",
    "adapters/smol/README.md",
    "adapters/tokio/README.md",
    "adapters/tonic/README.md",
    "docs/from-axum.md",
    "docs/from-spring-and-dotnet.md",
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
        for (at, program) in programs(&text).enumerate() {
            let name = if at == 0 { page.to_owned() } else { format!("{page}, {}", at + 1) };
            let module: String = name.chars().map(|it| if it.is_alphanumeric() { it } else { '_' }).collect();
            let program = program.replace(ADDRESS[0], ADDRESS[1]);
            let run = "pub(super) fn run() -> std::process::ExitCode { std::process::Termination::report(main()) }";
            write!(modules, "mod {module} {{\n{program}\n{run}\n}}\n").expect("memory");
            write!(names, "(\"{name}\", {module}::run), ").expect("memory");
        }
    }
    let list = format!("pub(crate) const PROGRAMS: &[(&str, fn() -> std::process::ExitCode)] = &[{names}];");
    let out = Path::new(&env::var_os("OUT_DIR").expect("cargo sets it")).join("programs.rs");
    fs::write(out, format!("{modules}\n{list}\n")).expect("written");
}

/// The programs of a page that are whole, and end by a signal.
fn programs(text: &str) -> impl Iterator<Item = String> {
    const ENDED_BY_SIGNALS: [&str; 4] =
        ["Signals::new()", "Service::new()", "ebbtide_axum::serve", "ebbtide_tonic::serve"];
    let ends = |it: &str| ENDED_BY_SIGNALS.iter().any(|by| it.contains(by));
    let blocks = text.split("\n```rust").skip(1).filter_map(|it| it.split("\n```").next());
    blocks.filter(move |it| it.contains("fn main()") && ends(it)).map(|block| {
        // Behind what its fence says; rustdoc hides lines that begin so.
        let lines = block.lines().skip(1).map(|it| it.strip_prefix("# ").unwrap_or(it));
        lines.collect::<Vec<_>>().join("\n")
    })
}
