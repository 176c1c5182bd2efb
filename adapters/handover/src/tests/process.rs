//! A child process, and its clients.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{env, fs, io};

use rustix::process::{Pid, Signal, kill_process};

/// Longer than any of this takes on a busy machine. A test that waits so long fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(60);

/// A directory for a control socket, removed at the end.
pub(super) struct Place(PathBuf);

impl Place {
    pub(super) fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("ebbtide-handover-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.0.join("control")
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A process that has said that it is ready. Returns its port, too.
    pub(super) fn first(&self) -> (Process, u16) {
        let first = self.start(&[]);
        let port = first.port();
        first.says("ready");
        (first, port)
    }

    /// A process with these variables.
    pub(super) fn start(&self, variables: &[(&str, &str)]) -> Process {
        self.start_by(env::current_exe().expect("a path").as_os_str(), &[], variables)
    }

    pub(super) fn start_by(&self, program: &OsStr, arguments: &[&OsStr], variables: &[(&str, &str)]) -> Process {
        let mut command = Command::new(program);
        command.args(arguments).args(["tests::child", "--exact", "--nocapture", "--test-threads=1"]);
        command.env("EBBTIDE_PATH", self.socket()).envs(variables.iter().copied());
        Process::spawn(&mut command)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

pub(super) struct Process {
    child: Child,
    lines: Receiver<String>,
    /// What it has said, and nobody has asked for.
    said: RefCell<Vec<String>>,
}

impl Process {
    fn spawn(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("the test itself");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let (said, lines) = channel();
        thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| said.send(line)));
        Self { child, lines, said: RefCell::default() }
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line that begins with these words. Returns the rest of it.
    pub(super) fn says(&self, words: &str) -> String {
        let mut said = self.said.borrow_mut();
        loop {
            // The test harness writes without an end of line before the first.
            if let Some(at) = said.iter().position(|it| it.contains(words)) {
                return said.remove(at).split_once(words).expect("found").1.trim().to_owned();
            }
            let Ok(line) = self.lines.recv_timeout(PATIENCE) else { panic!("it never said {words:?}, but {said:?}") };
            said.push(line);
        }
    }

    pub(super) fn port(&self) -> u16 {
        let said = self.says("port ");
        said.split(' ').next().and_then(|it| it.parse().ok()).expect("a number")
    }

    /// Has it go on, if it lives.
    pub(super) fn goes_on(&mut self) {
        self.hears("");
    }

    /// Tells it this line, if it lives.
    pub(super) fn hears(&mut self, line: &str) {
        drop(self.child.stdin.as_mut().expect("piped").write_all(format!("{line}\n").as_bytes()));
    }

    pub(super) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it is not waited for yet");
    }

    /// Kills it, and waits until it has ended.
    pub(super) fn kill(mut self) {
        self.child.kill().expect("it is not waited for yet");
        self.child.wait().expect("a child");
    }

    pub(super) fn ends(mut self) {
        while self.lines.recv_timeout(PATIENCE).is_ok() {}
        self.child.wait().expect("a child");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A test that failed in the middle leaves nothing behind.
        drop((self.child.kill(), self.child.wait()));
    }
}

/// Who answers at this port.
pub(super) fn ask(port: u16) -> io::Result<u32> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    answer.parse().map_err(|_| io::Error::other(format!("it answered {answer:?}")))
}

/// Waits until this process answers, and no other.
pub(super) fn until_answered_by(port: u16, process: &Process) {
    let since = std::time::Instant::now();
    while ask(port).ok() != Some(process.id()) {
        assert!(since.elapsed() < PATIENCE, "{:?} answers", ask(port));
    }
}

/// Clients that come without a pause.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<Vec<String>>>,
}

impl Load {
    pub(super) const CLIENTS: usize = 4;

    pub(super) fn on(port: u16) -> Self {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let client = |_| {
            let (stop, answered) = (stop.clone(), answered.clone());
            thread::spawn(move || {
                let mut failures = Vec::new();
                while !stop.load(Ordering::SeqCst) {
                    match ask(port) {
                        Ok(_) => drop(answered.fetch_add(1, Ordering::SeqCst)),
                        Err(error) => failures.push(error.to_string()),
                    }
                }
                failures
            })
        };
        let clients = (0..Self::CLIENTS).map(client).collect();
        Self { stop, answered, clients }
    }

    /// Waits for some more answers.
    pub(super) fn goes_on(&self) {
        let before = self.answered.load(Ordering::SeqCst);
        while self.answered.load(Ordering::SeqCst) < before + 100 {
            thread::yield_now();
        }
    }

    /// How many were answered, and what failed.
    pub(super) fn end(self) -> (usize, Vec<String>) {
        self.stop.store(true, Ordering::SeqCst);
        let failures = self.clients.into_iter().flat_map(|it| it.join().expect("no panic")).collect();
        (self.answered.load(Ordering::SeqCst), failures)
    }
}

/// How many descriptors a process has.
pub(super) fn descriptors(process: &Process) -> usize {
    fs::read_dir(Path::new("/proc").join(process.id().to_string()).join("fd")).map_or(0, Iterator::count)
}
