//! Makes the other form of each program: the same with the one line changed that its diff has.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

const PROGRAMS: [&str; 6] =
    ["graceful_shutdown", "sse", "tls_rustls", "unix_domain_socket", "websockets", "websockets_http2"];

fn main() {
    let (root, out) = (env::var_os("CARGO_MANIFEST_DIR").expect("cargo's"), env::var_os("OUT_DIR").expect("cargo's"));
    let (root, out) = (Path::new(&root), Path::new(&out));
    println!("cargo::rerun-if-changed=programs");
    println!("cargo::rerun-if-changed=diffs");
    let [mut axum, mut ebbtide, mut all] = [const { String::new() }; 3];
    for name in PROGRAMS {
        let path = root.join("programs").join(name).with_extension("rs");
        let program = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let diff = root.join("diffs").join(name).with_extension("diff");
        let diff = fs::read_to_string(&diff).unwrap_or_else(|error| panic!("{}: {error}", diff.display()));
        let changed = out.join(name).with_extension("rs");
        fs::write(&changed, patched(name, &program, &diff)).expect("written");
        writeln!(axum, "#[path = {path:?}] pub(crate) mod {name};").expect("memory");
        writeln!(ebbtide, "#[path = {changed:?}] pub(crate) mod {name};").expect("memory");
        write!(all, "(\"{name}\", [axum::{name}::main, ebbtide::{name}::main]), ").expect("memory");
    }
    let programs = format!(
        "mod axum {{\n{axum}}}\nmod ebbtide {{\n{ebbtide}}}\ntype Forms = [fn(); 2];\nconst PROGRAMS: &[(&str, Forms)] = &[{all}];\n"
    );
    fs::write(out.join("programs.rs"), programs).expect("written");
}

/// The program with its one line changed.
fn patched(name: &str, program: &str, diff: &str) -> String {
    let [old, new] = *diff.lines().collect::<Vec<_>>() else { panic!("{name}: its diff has two lines") };
    let (Some(old), Some(new)) = (old.strip_prefix('-'), new.strip_prefix('+')) else {
        panic!("{name}: its diff is of one line")
    };
    assert_eq!(program.lines().filter(|it| *it == old).count(), 1, "{name}: {old}");
    program.replacen(&format!("{old}\n"), &format!("{new}\n"), 1)
}
