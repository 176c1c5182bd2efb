//! The worker as a process that is restarted again and again, with jobs under way.
#![cfg(unix)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use std::{env, fs, process};

use ebbtide_queue::{Counts, Queue};
use rustix::process::{Pid, Signal, kill_process};

const JOBS: u32 = 10_000;
const RESTARTS: usize = 20;

/// A folder that goes when the test does.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = env::temp_dir().join(format!("ebbtide-queue-{name}-{}", process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn worker(program: &str, database: &Path) -> Child {
    let mut child = Command::new(program).arg(database).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let ready = BufReader::new(child.stdout.take().unwrap()).lines().next();
    assert_eq!(ready.unwrap().unwrap(), "ready");
    child
}

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Most jobs are short; one in two hundred takes longer than the worker has when it is stopped.
fn times() -> impl Iterator<Item = Duration> {
    (0..JOBS).map(|at| Duration::from_millis(if at % 200 == 7 { 1_200 } else { u64::from(at % 5) }))
}

fn loses_and_doubles_nothing(name: &str, program: &str, signals: &[Signal]) {
    let folder = Folder::new(name);
    let database = folder.0.join("queue.sqlite");
    let queue = Queue::open(&database).unwrap();
    queue.add(times()).unwrap();
    let mut given_back = 0;
    for restart in 0..RESTARTS {
        let before = queue.counts().unwrap().done;
        let mut child = worker(program, &database);
        // Until it has done something, and has more under way.
        let target = before + 1 + u32::try_from(restart).unwrap() % 7 * 20;
        let since = Instant::now();
        while queue.counts().unwrap().done < target.min(JOBS) && since.elapsed() < Duration::from_secs(30) {
            thread::sleep(Duration::from_millis(1));
        }
        let under_way = queue.counts().unwrap().taken;
        for signal in signals {
            send(&child, *signal);
        }
        let status = child.wait().unwrap();
        assert_eq!(status.code(), Some(0), "nothing of it was cut");
        let counts = queue.counts().unwrap();
        assert_eq!((counts.taken, counts.doubled), (0, 0), "after restart {restart}: {counts:?}");
        given_back += u32::from(under_way > 0);
    }
    assert!(given_back > 0, "no restart has met a job that was under way");
    // The rest, so that all of them are seen to be done once.
    let mut child = worker(program, &database);
    let since = Instant::now();
    while queue.counts().unwrap().done < JOBS && since.elapsed() < Duration::from_secs(300) {
        thread::sleep(Duration::from_millis(20));
    }
    send(&child, Signal::TERM);
    assert!(child.wait().unwrap().success());
    assert_eq!(queue.counts().unwrap(), Counts { waiting: 0, taken: 0, done: JOBS, doubled: 0 });
}

#[test]
fn the_worker_on_tokio_loses_and_doubles_no_job_in_twenty_restarts() {
    loses_and_doubles_nothing("tokio", env!("CARGO_BIN_EXE_queue_tokio"), &[Signal::TERM]);
}

#[test]
fn the_worker_on_smol_loses_and_doubles_no_job_in_twenty_restarts() {
    loses_and_doubles_nothing("smol", env!("CARGO_BIN_EXE_queue_smol"), &[Signal::TERM]);
}

/// The control: what is killed gives nothing back, and the test sees it.
#[test]
fn a_worker_that_is_killed_leaves_its_jobs_taken() {
    let folder = Folder::new("killed");
    let database = folder.0.join("queue.sqlite");
    let queue = Queue::open(&database).unwrap();
    queue.add([Duration::from_secs(60); 8]).unwrap();
    let mut child = worker(env!("CARGO_BIN_EXE_queue_tokio"), &database);
    let since = Instant::now();
    while queue.counts().unwrap().taken < 8 {
        assert!(since.elapsed() < Duration::from_secs(30), "it takes none");
        thread::sleep(Duration::from_millis(1));
    }
    send(&child, Signal::KILL);
    child.wait().unwrap();
    assert_eq!(queue.counts().unwrap().taken, 8);
}
