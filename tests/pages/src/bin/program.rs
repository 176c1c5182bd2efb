//! The programs of the pages, to be run: `program PAGE ADDRESS`, where a program that listens does so on that address.

use std::env;
use std::process::ExitCode;

#[allow(non_snake_case, clippy::all, clippy::pedantic, reason = "they are as their pages show them")]
mod pages {
    include!(concat!(env!("OUT_DIR"), "/programs.rs"));
}

fn address() -> String {
    env::args().nth(2).expect("an address")
}

fn main() -> ExitCode {
    let page = env::args().nth(1);
    let Some((_, run)) = pages::PROGRAMS.iter().find(|(name, _)| page.as_deref() == Some(name)) else {
        for (name, _) in pages::PROGRAMS {
            println!("{name}");
        }
        return ExitCode::SUCCESS;
    };
    run()
}
