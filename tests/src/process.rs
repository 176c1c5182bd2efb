//! An example server as a child process: `server`, or the one that the variable `EBBTIDE_SERVER` names.

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitOptions, kill_process, waitpid};

pub use rustix::process::Signal;

use ebbtide_testkit::PATIENCE;
use ebbtide_testkit::client::{Client, Response};

/// A server that runs, until it is dropped.
#[derive(Debug)]
pub struct Server {
    process: Process,
    /// Main listener.
    pub main: SocketAddr,
    /// Diagnostics listener.
    pub diagnostics: SocketAddr,
    /// The application over TLS, where that was asked for.
    pub tls: Option<SocketAddr>,
}

/// How a process ended, and what it said.
#[derive(Debug)]
pub struct Exit {
    /// Its exit code, unless a signal killed it.
    pub code: Option<i32>,
    /// The signal that killed it.
    pub signal: Option<i32>,
    /// Its lines, without those that say where it listens.
    pub stdout: Vec<String>,
    /// What went wrong.
    pub stderr: String,
}

#[derive(Debug)]
struct Process {
    child: Child,
    lines: Receiver<String>,
    stderr: Option<JoinHandle<String>>,
}

/// Ports of its own.
const PORTS: [&str; 4] = ["--addr", "127.0.0.1:0", "--diag-addr", "127.0.0.1:0"];

/// Between two looks at what has no event to wait for: leaves the server its core.
const PAUSE: Duration = Duration::from_millis(2);

/// Runs the server with flags that it cannot start with, to its end.
#[must_use]
pub fn fail(flags: &[&str]) -> Exit {
    Process::start(flags, Stdio::piped()).exit()
}

/// As [`fail`], with a descriptor that it inherits as systemd passes one, or with none, and with what else the environment
/// says of it.
#[must_use]
pub fn fail_inheriting(descriptor: Option<OwnedFd>, variables: &[(&str, &str)]) -> Exit {
    Process::spawn(inheriting(descriptor, variables).args(PORTS)).exit()
}

impl Server {
    /// Starts it with these flags, on ports of its own unless they say otherwise.
    #[must_use]
    pub fn start(flags: &[&str]) -> Self {
        let mut all = flags.to_vec();
        for flag in ["--addr", "--diag-addr"] {
            if !flags.contains(&flag) {
                all.extend([flag, "127.0.0.1:0"]);
            }
        }
        Self::listening(Process::start(&all, Stdio::piped()))
    }

    fn listening(process: Process) -> Self {
        let (mut diagnostics, mut tls) = (None, None);
        loop {
            let line = process.line().unwrap_or_else(|| panic!("it ended: {:?}", process.stderr));
            let addr = |scheme| line.strip_prefix(scheme).map(|it: &str| it.parse().expect("an address"));
            diagnostics = diagnostics.or(addr("diagnostics on http://"));
            tls = tls.or(addr("serving on https://"));
            if let Some(main) = addr("serving on http://") {
                let diagnostics = diagnostics.expect("said before");
                return Self { process, main, diagnostics, tls };
            }
        }
    }

    /// Starts it with a main listener that it inherits, and with what else the environment says of it.
    #[must_use]
    pub fn start_inheriting(listener: TcpListener, variables: &[(&str, &str)]) -> Self {
        Self::listening(Process::spawn(inheriting(Some(listener.into()), variables).args(PORTS)))
    }

    /// Starts it with a stdout that is not for us, on ports that were free a moment ago.
    #[must_use]
    pub fn start_on(stdout: impl Into<Stdio>, flags: &[&str]) -> Self {
        let free = || TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a port");
        let (main, diagnostics) = (free(), free());
        let ports = ["--addr", &main.to_string(), "--diag-addr", &diagnostics.to_string()];
        let process = Process::start(&[flags, &ports].concat(), stdout.into());
        let server = Self { process, main, diagnostics, tls: None };
        let ready = eventually(|| server.ask("/ready").is_some_and(|it| it.status == 200));
        assert!(ready, "it does not start: {:?}", server.process.stderr);
        server
    }

    /// A connection that the server has accepted and that has said nothing: one that came later was served.
    #[must_use]
    pub fn silent(&self) -> Client {
        let client = Client::connect(self.main);
        drop(Client::idle(self.main));
        client
    }

    /// An upload in flight: of its two bytes one is sent.
    #[must_use]
    pub fn upload(&self) -> Client {
        let mut client = Client::connect(self.main);
        client.begin_upload(2);
        client.send("1");
        self.until_status("Running, 1 in flight");
        client
    }

    /// What the diagnostics say, if they still do.
    #[must_use]
    pub fn ask(&self, path: &str) -> Option<Response> {
        let mut client = Client::reach(self.diagnostics).ok()?;
        client.get(path);
        client.answer().ok()
    }

    /// Waits until the diagnostics say this of the drain and of what is in flight.
    pub fn until_status(&self, expected: &str) {
        let mut last = String::new();
        let said = eventually(|| {
            last = self.ask("/status").map_or_else(String::new, |it| it.text().to_owned());
            last == expected
        });
        assert!(said, "{last:?} instead of {expected:?}");
    }

    /// Waits for a line that it prints.
    pub fn until_said(&self, expected: &str) {
        while self.process.line().expect("it ended instead") != expected {}
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.process.pid(), signal).expect("it is alive");
    }

    /// Sends a signal so long after another that it is no repeat of that one, which it is within 150 ms.
    pub fn signal_later(&self, signal: Signal) {
        thread::sleep(Duration::from_millis(250));
        self.signal(signal);
    }

    /// Starts the drain, and waits until it is known to have begun.
    pub fn drain(&self) {
        self.signal(Signal::TERM);
        let begun = eventually(|| self.ask("/ready").is_none_or(|it| it.status == 503));
        assert!(begun, "still ready after SIGTERM");
    }

    /// Waits until the main listener's port is closed.
    pub fn until_refused(&self) {
        assert!(eventually(|| Client::reach(self.main).is_err()), "still listening");
    }

    /// Leaves it so many descriptors, those included that it has.
    #[cfg(target_os = "linux")]
    pub fn limit_descriptors(&self, count: u64) {
        let limit = rustix::process::Rlimit { current: Some(count), maximum: Some(count) };
        let set = rustix::process::prlimit(Some(self.process.pid()), rustix::process::Resource::Nofile, limit);
        set.expect("less than before");
    }

    /// How many descriptors it has, once there are so few as `idle`, or [`PATIENCE`] is over.
    #[cfg(target_os = "linux")]
    #[must_use]
    pub fn until_descriptors(&self, idle: usize) -> usize {
        eventually(|| self.descriptors() <= idle);
        self.descriptors()
    }

    /// How many descriptors it has.
    #[cfg(target_os = "linux")]
    #[must_use]
    pub fn descriptors(&self) -> usize {
        self.proc("fd").read_dir().expect("it is alive").count()
    }

    /// How many bytes of memory are its own: no file's.
    #[cfg(target_os = "linux")]
    #[must_use]
    pub fn resident(&self) -> usize {
        let status = std::fs::read_to_string(self.proc("status")).expect("it is alive");
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("Linux 4.5");
        1024 * line.trim_end_matches("kB").trim().parse::<usize>().expect("a number")
    }

    #[cfg(target_os = "linux")]
    fn proc(&self, name: &str) -> PathBuf {
        format!("/proc/{}/{name}", self.process.child.id()).into()
    }

    /// Does something while no thread of the server runs, so that it finds all of it at once when it goes on.
    pub fn while_stopped(&self, act: impl FnOnce()) {
        self.signal(Signal::STOP);
        let stopped = waitpid(Some(self.process.pid()), WaitOptions::UNTRACED).expect("a child");
        assert!(stopped.is_some_and(|(_, status)| status.stopped()), "it ended instead");
        act();
        self.signal(Signal::CONT);
    }

    /// Waits for the end.
    #[must_use]
    pub fn exit(self) -> Exit {
        self.process.exit()
    }

    /// Waits for the end, which is to be a drain that cut nothing.
    pub fn drained(self) {
        let exit = self.exit();
        assert_eq!(exit.code, Some(0), "{exit:#?}");
    }

    /// Waits for the end, which is to be a drain that cut something, by force or by a bound. Returns the line that says what.
    #[must_use]
    pub fn cut(self) -> String {
        let mut exit = self.exit();
        assert_eq!(exit.code, Some(1), "{exit:#?}");
        exit.stdout.pop().expect("a report")
    }
}

impl Process {
    fn start(flags: &[&str], stdout: Stdio) -> Self {
        Self::spawn(Command::new(binary()).args(flags).stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped()))
    }

    fn spawn(command: &mut Command) -> Self {
        let mut child = command.spawn().expect("the example server");
        let stdout = child.stdout.take().map(BufReader::new).into_iter().flat_map(BufRead::lines);
        let mut stderr = child.stderr.take().expect("piped");
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || stdout.map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let stderr = thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).expect("text");
            text
        });
        Self { child, lines, stderr: Some(stderr) }
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Its next line; `None` at its end.
    fn line(&self) -> Option<String> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("it neither spoke nor ended in {PATIENCE:?}"),
        }
    }

    fn exit(mut self) -> Exit {
        // A standard library's child has no wait with a bound; but the last thing a process does is to close its output.
        let stdout = std::iter::from_fn(|| self.line()).collect();
        // If that is not for us, nothing tells.
        let ended = eventually(|| self.child.try_wait().expect("a child").is_some());
        assert!(ended, "it does not end");
        let status = self.child.wait().expect("a child");
        let stderr = self.stderr.take().map(|it| it.join().expect("it only reads")).unwrap_or_default();
        Exit { code: status.code(), signal: status.signal(), stdout, stderr }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail where it has ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Looks again and again. Returns whether it came true.
fn eventually(mut look: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while !look() {
        if begun.elapsed() > PATIENCE {
            return false;
        }
        thread::sleep(PAUSE);
    }
    true
}

/// The server by a shell, which passes it a descriptor as systemd does: `sd_listen_fds(3)`. What the environment is to say
/// otherwise is in the variables.
fn inheriting(descriptor: Option<OwnedFd>, variables: &[(&str, &str)]) -> Command {
    let third = if descriptor.is_some() { "3<&0 0</dev/null" } else { "3<&-" };
    let script = format!("export LISTEN_PID=${{LISTEN_PID-$$}}; exec \"$0\" \"$@\" {third}");
    let mut command = Command::new("sh");
    command.args(["-c", &script]).arg(binary()).env("LISTEN_FDS", "1").envs(variables.iter().copied());
    command.stdin(descriptor.map_or_else(Stdio::null, Stdio::from)).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The server, built once per test run.
fn binary() -> &'static PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let server = std::env::var("EBBTIDE_SERVER").unwrap_or_else(|_| "server".into());
        let mut build = escargot::CargoBuild::new()
            .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
            // With the features that `cargo test --workspace` has built it with, so that it is not built again.
            .arg("--workspace")
            .example(server);
        // What cargo says of this package is not true of others, and some are built anew for it.
        for (name, _) in std::env::vars_os() {
            let about = name.to_string_lossy();
            if about.starts_with("CARGO_PKG_") || about.starts_with("CARGO_MANIFEST_") {
                build = build.env_remove(&name);
            }
        }
        build.run().expect("the example server builds").path().to_owned()
    })
}
