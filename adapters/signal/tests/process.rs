//! Signals sent to a real process: this test's own binary, run once more as a child.
#![cfg(unix)]

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use ebbtide::Drain;
use ebbtide_signal::{InstallError, Signal, Signals, escalate};
use futures_lite::future::block_on;
use rustix::process::{Pid, Signal as Sent, getpid, kill_process};

/// Longer than any of this takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A child that runs `role` and says a line at each step.
struct Process {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn run(role: &str) -> Self {
        Self::run_by(Command::new(itself()), role)
    }

    /// By a program that ends as its arguments say.
    fn run_by(mut command: Command, role: &str) -> Self {
        let mut child = command
            .args(["--exact", "child", "--nocapture"])
            .env("ROLE", role)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the test's own binary");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        Self { child, lines }
    }

    fn says(&mut self, word: &str) {
        let said = self.lines.by_ref().map(|line| line.expect("text")).find(|line| line.ends_with(word));
        assert!(said.is_some(), "the child ended without saying {word:?}");
    }

    fn send(&self, signal: Sent) {
        kill_process(Pid::from_child(&self.child), signal).expect("it is alive");
    }

    fn end(mut self) -> ExitStatus {
        self.child.wait().expect("a child")
    }
}

fn itself() -> PathBuf {
    std::env::current_exe().expect("a path")
}

/// A waker that panics.
struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("the waker's");
    }
}

/// A shell that ignores a signal, and becomes this binary.
fn ignoring(signal: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("trap '' {signal}; exec \"$0\" \"$@\"")]).arg(itself());
    shell
}

/// A program that does this to signals, which are inherited over exec, and becomes this binary. `None`, and a word about it,
/// where there is no such program.
fn by_env(option: &str) -> Option<Command> {
    if !Command::new("env").args([option, "true"]).output().is_ok_and(|it| it.status.success()) {
        println!("SKIPPED: no `env {option}` here (GNU coreutils 8.31)");
        return None;
    }
    let mut env = Command::new("env");
    env.arg(option).arg(itself());
    Some(env)
}

/// Not a test by itself: what the children run.
#[test]
fn child() {
    let Ok(role) = std::env::var("ROLE") else { return };
    // What never comes fails the test that waits for it, and leaves nothing behind.
    std::thread::spawn(|| {
        std::thread::sleep(PATIENCE);
        std::process::exit(3);
    });
    let drain = Drain::new();
    let guard = drain.guard();
    let signals = Signals::new().expect("the first");
    match role.as_str() {
        "escalates" => {
            escalate(drain.clone(), signals);
            println!("ready");
            block_on(drain.watcher());
            println!("draining");
            println!("because of {}", drain.cause().expect("it has begun"));
            let overdue = block_on(drain.start()).expect_err("a guard is held");
            println!("cut {}", overdue.guards());
            loop {
                std::thread::park();
            }
        }
        "splits off" => split_off(&drain, signals),
        "wakes what panics" => {
            // Both lists are woken from the signals' thread: the watchers by the first signal, the guards by the second.
            let (mut watcher, mut work) =
                (drain.watcher(), guard.expect("running").during(std::future::pending::<()>()));
            let waker = Arc::new(Panics).into();
            let mut context = Context::from_waker(&waker);
            assert!(Pin::new(&mut watcher).poll(&mut context).is_pending());
            assert!(Pin::new(&mut work).poll(&mut context).is_pending());
            escalate(drain.clone(), signals);
            println!("ready");
            block_on(drain.watcher());
            println!("draining");
            let overdue = block_on(drain.start()).expect_err("a guard is held");
            println!("cut {}", overdue.guards());
            loop {
                std::thread::park();
            }
        }
        "streams to what panics" => {
            let mut signals = signals;
            let waker = Arc::new(Panics).into();
            let mut context = Context::from_waker(&waker);
            assert!(pin!(signals.recv()).poll(&mut context).is_pending());
            println!("ready");
            // Not by a waker that is woken: of the second signal somebody hears only if the thread is still there.
            let mut heard = 0;
            while heard < 2 {
                let first = pin!(signals.recv()).poll(&mut Context::from_waker(Waker::noop()));
                let Poll::Ready(signal) = first else {
                    std::thread::yield_now();
                    continue;
                };
                println!("{signal}");
                heard += 1;
            }
            return;
        }
        "signals itself" => {
            escalate(drain.clone(), signals);
            for _ in 0..3 {
                kill_process(getpid(), Sent::TERM).expect("it is alive");
                // The same signal within 100 ms is a repeat.
                std::thread::sleep(Duration::from_millis(250));
            }
        }
        "closes" => {
            escalate(drain.clone(), signals);
            drop((guard, drain.start()));
            println!("closed");
        }
        "counts" => {
            escalate(drain.clone(), signals);
            println!("ready");
            block_on(drain.watcher());
            println!("draining");
            // Longer than a repeat is one: whatever came with the first signal has come.
            std::thread::sleep(Duration::from_millis(250));
            println!("{:?}", drain.state());
            return;
        }
        "streams" => {
            let mut signals = signals;
            println!("ready");
            for _ in 0..2 {
                println!("heard {}", block_on(signals.recv()));
            }
            return;
        }
        "drops" => {
            drop(signals);
            println!("dropped");
        }
        other => panic!("no role {other}"),
    }
    loop {
        std::thread::park();
    }
}

fn split_off(drain: &Drain, mut signals: Signals) {
    let mut hangups = signals.split_off(Signal::Hangup);
    escalate(drain.clone(), signals);
    println!("ready");
    assert_eq!(block_on(hangups.recv()), Signal::Hangup);
    println!("heard it, and goes on: {}", drain.state() == ebbtide::State::Running);
    assert_eq!(block_on(hangups.recv()), Signal::Hangup);
    drop(hangups);
    println!("has dropped it");
    loop {
        std::thread::park();
    }
}

#[test]
fn the_first_signal_starts_the_second_forces_the_third_kills_by_itself() {
    let mut process = Process::run("escalates");
    process.says("ready");
    process.send(Sent::TERM);
    process.says("draining");
    process.says("because of SIGTERM");
    process.send(Sent::INT);
    process.says("cut 1");
    process.send(Sent::TERM);
    assert_eq!(process.end().signal(), Some(Sent::TERM.as_raw()));
}

#[test]
fn a_signal_that_is_split_off_starts_no_drain_and_kills_once_it_is_dropped() {
    let mut process = Process::run("splits off");
    process.says("ready");
    process.send(Sent::HUP);
    process.says("heard it, and goes on: true");
    process.send(Sent::HUP);
    process.says("has dropped it");
    process.send(Sent::HUP);
    assert_eq!(process.end().signal(), Some(Sent::HUP.as_raw()));
}

/// As in a container, where the kernel ignores what would kill the first process.
#[cfg(target_os = "linux")]
#[test]
fn a_waker_that_panics_keeps_no_later_signal_from_being_heard() {
    let mut process = Process::run("wakes what panics");
    process.says("ready");
    process.send(Sent::TERM);
    process.says("draining");
    process.send(Sent::INT);
    process.says("cut 1");
    process.send(Sent::TERM);
    assert_eq!(process.end().signal(), Some(Sent::TERM.as_raw()));

    let mut process = Process::run("streams to what panics");
    process.says("ready");
    process.send(Sent::TERM);
    process.says("SIGTERM");
    process.send(Sent::INT);
    process.says("SIGINT");
    assert!(process.end().success());
}

#[test]
fn the_third_signal_ends_process_1_with_its_code() {
    let first = || {
        let mut unshare = Command::new("unshare");
        unshare.args(["--map-root-user", "--pid", "--fork"]);
        unshare
    };
    if !first().arg("true").status().is_ok_and(|it| it.success()) {
        println!("SKIPPED: no process namespaces here");
        return;
    }
    let child = first().arg(itself()).args(["--exact", "child", "--nocapture"]).env("ROLE", "signals itself").output();
    assert_eq!(child.expect("it runs").status.code(), Some(128 + Sent::TERM.as_raw()));
}

#[test]
fn a_signal_that_finds_the_drain_closed_kills() {
    let mut process = Process::run("closes");
    process.says("closed");
    process.send(Sent::INT);
    assert_eq!(process.end().signal(), Some(Sent::INT.as_raw()));
}

/// Sends an interrupt as soon as the first has arrived. Returns whether the drain goes on.
fn second_interrupt_is_a_repeat() -> bool {
    let mut process = Process::run("counts");
    process.says("ready");
    process.send(Sent::INT);
    process.says("draining");
    process.send(Sent::INT);
    let state = process.lines.next().expect("a state").expect("text");
    assert!(process.end().success());
    state == "Draining"
}

#[test]
fn an_interrupt_that_arrives_twice_is_one() {
    // On a busy machine more than 100 ms may pass between the two; but not again and again.
    assert!((0..5).any(|_| second_interrupt_is_a_repeat()), "the second one forces");
}

#[cfg(target_os = "linux")]
#[test]
fn a_terminal_that_closes_starts_the_drain() {
    // Whatever the tests were started by may ignore it, as nohup does.
    let Some(env) = by_env("--default-signal=HUP") else { return };
    let mut process = Process::run_by(env, "counts");
    process.says("ready");
    process.send(Sent::HUP);
    process.says("draining");
    process.says("Draining");
    assert!(process.end().success());
}

#[test]
fn a_hangup_stays_ignored_if_the_parent_ignores_it() {
    let mut process = Process::run_by(ignoring("HUP"), "counts");
    process.says("ready");
    process.send(Sent::HUP);
    // Were it listened to, this would be the second signal of two kinds, and force.
    process.send(Sent::TERM);
    process.says("draining");
    process.says("Draining");
    assert!(process.end().success());
}

#[test]
fn what_asks_to_end_is_heard_though_the_parent_ignores_it() {
    for (name, signal) in [("TERM", Sent::TERM), ("INT", Sent::INT)] {
        let mut process = Process::run_by(ignoring(name), "counts");
        process.says("ready");
        process.send(signal);
        process.says("draining");
        assert!(process.end().success());
    }
}

/// A mask is inherited over exec; only who starts a process can block what it hears.
#[test]
fn what_the_parent_has_blocked_arrives() {
    let Some(env) = by_env("--block-signal=TERM") else { return };
    let mut process = Process::run_by(env, "counts");
    process.says("ready");
    process.send(Sent::TERM);
    process.says("draining");
    assert!(process.end().success());
}

/// A machine that is busy may leave a process alone in the midst of [`Signals::new`]: this one does so each time.
#[cfg(target_os = "linux")]
#[test]
fn a_signal_that_comes_while_its_handler_is_made_is_heard() {
    let mut strace = Command::new("strace");
    strace.args(["-D", "-f", "-o", "/dev/null", "-e", "trace=rt_sigaction"]);
    strace.args(["-e", "inject=rt_sigaction:delay_exit=100000"]);
    let mut can = Command::new("strace");
    if !can.args(["-e", "inject=rt_sigaction:delay_exit=1", "true"]).output().is_ok_and(|it| it.status.success()) {
        println!("SKIPPED: no strace here that may trace (Debian: apt-get install strace)");
        return;
    }
    let mut process = Process::run_by(
        {
            strace.arg(itself());
            strace
        },
        "counts",
    );
    let status = format!("/proc/{}/status", process.child.id());
    let catches = |status: &str| {
        let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).expect("proc_pid_status(5)");
        u64::from_str_radix(mask.trim(), 16).expect("hexadecimal") >> (Sent::TERM.as_raw() - 1) & 1 == 1
    };
    while !catches(&std::fs::read_to_string(&status).expect("it is alive")) {
        std::thread::sleep(Duration::from_millis(1));
    }
    process.send(Sent::TERM);
    process.says("draining");
    assert!(process.end().success());
}

#[test]
fn signals_are_a_stream_for_any_executor() {
    let mut process = Process::run("streams");
    process.says("ready");
    // One after the other: of two that are on their way together either may come first.
    for (sent, heard) in [(Sent::INT, "heard SIGINT"), (Sent::TERM, "heard SIGTERM")] {
        process.send(sent);
        process.says(heard);
    }
    assert!(process.end().success());
}

#[test]
fn dropped_signals_have_their_default_action_again() {
    let mut process = Process::run("drops");
    process.says("dropped");
    process.send(Sent::TERM);
    assert_eq!(process.end().signal(), Some(Sent::TERM.as_raw()));
}

#[test]
fn a_second_installation_is_a_clear_error() {
    let first = Signals::of([Signal::User2]).expect("the first");
    let error = Signals::new().expect_err("the second");
    assert!(matches!(error, InstallError::Twice));
    assert!(error.to_string().contains("already"), "{error}");
    assert_eq!(format!("{error:?}"), error.to_string(), "as a main prints it that ends with it");
    drop(first);
}

#[test]
fn a_signal_of_another_platform_is_a_clear_error() {
    let error = Signals::of([Signal::Logoff]).expect_err("not on Unix");
    assert_eq!(error.to_string(), "this platform has no CTRL_LOGOFF_EVENT");
}
