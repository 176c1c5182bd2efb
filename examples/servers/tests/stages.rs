//! The five parts of `stages_tokio` and `stages_smol`, as processes: the same program, with the same ends.
#![cfg(unix)]

#[path = "../../tests/process/mod.rs"]
mod process;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use process::{PATIENCE, Process};
use rustix::process::Signal;

const PROGRAMS: [&str; 2] = ["stages_tokio", "stages_smol"];

fn start(program: &str) -> (Process, String) {
    let stages = Process::run(program, &["127.0.0.1:0"]);
    let address = stages.says("http: listening on ");
    stages.says("ready");
    (stages, address)
}

fn get(address: &str, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a duration that is not zero");
    write!(stream, "GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").expect("it reads");
    stream
}

fn answer(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an end, not a reset");
    answer
}

/// A request that the service has begun to answer.
fn begun(address: &str, path: &str) -> TcpStream {
    let stream = get(address, path);
    // Whoever comes behind it has an answer by then.
    assert!(answer(get(address, "/0")).ends_with("done\n"));
    stream
}

#[test]
fn the_programs_differ_in_their_imports_their_titles_and_their_mains() {
    let common = |program: &str| {
        let body = program.split_once("\n/// Answers after").expect("it does").1;
        body.split_once("\nfn main()").expect("it has one").0.to_owned()
    };
    let [tokio, smol] = [include_str!("../stages_tokio.rs"), include_str!("../stages_smol.rs")].map(common);
    assert_eq!(tokio, smol);
}

#[test]
fn requests_then_jobs_then_the_database_then_the_metrics() {
    for program in PROGRAMS {
        let (mut stages, address) = start(program);
        answer(get(&address, "/job/5"));
        let request = begun(&address, "/1");
        stages.send(Signal::TERM);
        assert_eq!(stages.says("draining: "), "SIGTERM");
        for line in ["job 5 is done", "the database is closed", "the metrics are flushed"] {
            stages.says(line);
        }
        assert!(answer(request).ends_with("done\n"));
        let (status, outcome) = stages.end();
        assert!(status.success() && outcome.starts_with("drained in 1."), "{program}: {status}, {outcome}");
    }
}

#[test]
fn a_stage_that_takes_too_long_is_cut_and_named_and_the_rest_ends_well() {
    for program in PROGRAMS {
        let (mut stages, address) = start(program);
        let _request = begun(&address, "/60");
        stages.send(Signal::TERM);
        stages.says("the database is closed");
        stages.says("the metrics are flushed");
        let (status, outcome) = stages.end();
        let cut = outcome.starts_with("closed by force after 4.") && outcome.contains("http: closed by force: 1 guard");
        assert!(status.code() == Some(1) && cut, "{program}: {status}, {outcome}");
    }
}

#[test]
fn a_job_that_fails_or_panics_drains_all_and_is_the_reason() {
    for program in PROGRAMS {
        for (job, why) in [(666, "job 666 is cursed"), (667, "it panicked: assertion")] {
            let (mut stages, address) = start(program);
            let request = begun(&address, "/1");
            answer(get(&address, &format!("/job/{job}")));
            stages.says("the metrics are flushed");
            assert!(answer(request).ends_with("done\n"));
            let (status, outcome) = stages.end();
            let said = outcome.lines().any(|line| line.starts_with(&format!("worker failed: {why}")));
            assert!(status.code() == Some(1) && said, "{program}: {status}, {outcome}");
        }
    }
}

#[test]
fn the_second_signal_cuts_and_the_database_is_closed_all_the_same() {
    for program in PROGRAMS {
        let (mut stages, address) = start(program);
        let _request = begun(&address, "/60");
        stages.send(Signal::TERM);
        stages.says("draining: ");
        // A signal so soon after the first would be the same one.
        thread::sleep(Duration::from_millis(300));
        stages.send(Signal::TERM);
        stages.says("the database is closed");
        stages.says("the metrics are flushed");
        let (status, outcome) = stages.end();
        assert!(status.code() == Some(1) && outcome.starts_with("closed by force after 0."), "{program}: {outcome}");
    }
}
