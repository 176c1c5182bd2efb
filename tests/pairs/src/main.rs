//! The table: every promise, kept or not by every pair.
//!
//! `cargo run --release -p ebbtide-pairs [-- --times 5] [--only PART]`

use std::process::ExitCode;
use std::time::Instant;

use ebbtide_pairs::suites;
use ebbtide_pairs::table::Table;
use ebbtide_testkit::Report;
use lexopt::{Arg, Parser, ValueExt};

/// What was asked for.
struct Options {
    times: usize,
    only: String,
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(error) => {
            eprintln!("pairs: {error}");
            return ExitCode::from(2);
        }
    };
    let kept = (0..options.times).filter(|_| is_kept(&options.only)).count();
    if kept < options.times {
        eprintln!("pairs: something broke in {} of {} runs", options.times - kept, options.times);
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn options() -> Result<Options, lexopt::Error> {
    let mut options = Options { times: 1, only: String::new() };
    let mut arguments = Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Arg::Long("times") => options.times = arguments.value()?.parse()?,
            Arg::Long("only") => options.only = arguments.value()?.string()?,
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(options)
}

/// Runs every suite once, and shows the table.
fn is_kept(only: &str) -> bool {
    let begun = Instant::now();
    let run = |suite: ebbtide_testkit::Suite| {
        let begun = Instant::now();
        let report = suite.only(only).run();
        eprintln!("{} in {:.1} s", report.server(), begun.elapsed().as_secs_f32());
        report
    };
    let reports: Vec<Report> = suites().into_iter().map(run).collect();
    println!("{}\n\nin {:.1} s", Table(&reports), begun.elapsed().as_secs_f32());
    reports.iter().all(|it| it.broken().next().is_none())
}
