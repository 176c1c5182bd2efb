//! An example as a child process: its lines, its signals, its end.

#![allow(dead_code, reason = "each test has use for some of it")]

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// Longer than any of this takes; a test that waits so long fails instead of hanging.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Process {
    child: Child,
    lines: Receiver<String>,
}

impl Process {
    pub(crate) fn run(example: &str, arguments: &[&str]) -> Self {
        let program = program(example);
        let mut child = Command::new(&program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{}: {error}; `cargo build --examples -p` its package builds it", program.display())
            });
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let (said, lines) = channel();
        thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| said.send(line)));
        Self { child, lines }
    }

    /// Waits for the line that begins with these words. Returns the rest of it.
    pub(crate) fn says(&self, words: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("it never said {words:?}"));
            if let Some(rest) = line.strip_prefix(words) {
                return rest.to_owned();
            }
        }
    }

    pub(crate) fn send(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("it is a child, alive or not yet waited for");
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_none()
    }

    /// How it ended, and what it said of errors.
    pub(crate) fn end(&mut self) -> (ExitStatus, String) {
        // The end of its output is its own end.
        let open = loop {
            if let Err(end) = self.lines.recv_timeout(PATIENCE) {
                break end == RecvTimeoutError::Timeout;
            }
        };
        assert!(!open, "it does not end");
        let mut errors = String::new();
        self.child.stderr.take().expect("once").read_to_string(&mut errors).expect("text");
        (self.child.wait().expect("a child"), errors)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A test that failed in the middle leaves nothing behind.
        drop((self.child.kill(), self.child.wait()));
    }
}

/// Tests lie in `deps`, beside `examples`.
fn program(example: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a path");
    let profile = test.parent().and_then(|deps| deps.parent()).expect("target/<profile>/deps");
    profile.join("examples").join(example)
}
