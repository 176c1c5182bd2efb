//! Each program of the pages, signalled at a hundred instants of its life: from its first breath, in the midst of what its
//! client sends, and when it has nothing to do. It ends by itself, says nothing of a failure, and loses nothing.

#![cfg(unix)]

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How the programs talk, by their pages.
const PROGRAMS: [(&str, Talk); 16] = [
    ("README.md", HTTP),
    ("README.md, 2", AXUM),
    ("README.md, 3", Talk { says: "flushed\n", tells: true, ..GREETING }),
    ("adapters/async-h1/README.md", HTTP),
    ("adapters/async-std/README.md", GREETING),
    ("adapters/axum/README.md", AXUM),
    ("adapters/hyper/README.md", HTTP),
    ("adapters/service/README.md", Talk { says: "flushed\n", tells: true, ..GREETING }),
    ("adapters/signal/README.md", Talk::NONE),
    ("adapters/smol/README.md", GREETING),
    ("adapters/tokio/README.md", GREETING),
    ("adapters/tonic/README.md", GRPC),
    ("docs/from-axum.md", AXUM),
    ("docs/from-spring-and-dotnet.md", Talk { tells: true, ..Talk::NONE }),
    ("docs/from-tokio-graceful-shutdown.md", Talk { tells: true, ..Talk::NONE }),
    ("docs/from-tokio-util.md", Talk { says: "flushed\n", ..LINES }),
];

/// What passes between a program and its client.
#[derive(Clone, Copy)]
struct Talk {
    asks: &'static str,
    /// How the answer ends.
    answer: &'static str,
    /// What the program prints.
    says: &'static str,
    /// It listens to clients before it listens to signals, since what it moves from does: a signal in between ends it, and
    /// with it whoever has connected.
    binds_first: bool,
    /// Its last line, on stderr, is the outcome of its service.
    tells: bool,
}

const HTTP: Talk =
    Talk { asks: "GET / HTTP/1.1\r\nhost: pages\r\n\r\n", answer: "hello", says: "", binds_first: false, tells: false };
const AXUM: Talk = Talk { binds_first: true, ..HTTP };
/// No call, but an answer: that there is no such service.
const GRPC: Talk = Talk { answer: "\r\n\r\n", ..AXUM };
const GREETING: Talk = Talk { asks: "", answer: "hello\n", says: "", binds_first: false, tells: false };
const LINES: Talk = Talk { asks: "a line\n", answer: "a line\n", says: "", binds_first: false, tells: false };

impl Talk {
    /// Of a program that does not listen.
    const NONE: Self = Self { asks: "", answer: "", says: "", binds_first: false, tells: false };

    fn listens(&self) -> bool {
        !self.answer.is_empty()
    }
}

/// When the signal comes.
#[derive(Clone, Copy, Debug)]
enum When {
    /// So long after the process was made, whatever it is doing then.
    Born(Duration),
    /// When so many bytes of the client's request are sent.
    Asking(usize),
    /// When the client has its answer.
    Answered,
}

/// How long anything may take on a slow machine. A drain here has nothing to wait for.
const PATIENCE: Duration = Duration::from_secs(60);

struct Program {
    child: Child,
    address: SocketAddr,
}

impl Program {
    fn start(page: &str, address: SocketAddr) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_program"));
        command.arg(page).arg(address.to_string()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { child: command.spawn().expect("built"), address }
    }

    fn signal(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("it was not waited for");
    }

    /// A connection, once there is one to be had; `None` if the program ended.
    fn connect(&mut self) -> Option<TcpStream> {
        loop {
            if let Ok(stream) = TcpStream::connect(self.address) {
                stream.set_read_timeout(Some(PATIENCE)).expect("open");
                return Some(stream);
            }
            if self.child.try_wait().expect("ours").is_some() {
                return None;
            }
            thread::sleep(Duration::from_micros(200));
        }
    }

    /// `None` if it does not.
    fn end(mut self) -> Option<(ExitStatus, String, String)> {
        let deadline = Instant::now() + PATIENCE;
        while self.child.try_wait().expect("ours").is_none() {
            if Instant::now() > deadline {
                drop(self.child.kill());
                return None;
            }
            thread::sleep(Duration::from_millis(1));
        }
        let output = self.child.wait_with_output().expect("ours");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        Some((output.status, text(output.stdout), text(output.stderr)))
    }
}

/// Sends what is left to be sent, and receives the answer.
fn talk(stream: &mut TcpStream, rest: &[u8], answer: &str) -> io::Result<()> {
    stream.write_all(rest)?;
    let (mut received, mut space) = (Vec::new(), [0; 1024]);
    while !received.ends_with(answer.as_bytes()) {
        match stream.read(&mut space)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            more => received.extend_from_slice(&space[..more]),
        }
    }
    Ok(())
}

/// Lives to the signal and to the end. The error is what is wrong.
fn live(page: &str, address: SocketAddr, with: Talk, when: When) -> Result<(), String> {
    let mut program = Program::start(page, address);
    let wrong = |what: &str| Err(format!("{page}, {when:?}: {what}"));
    let asks = with.asks.as_bytes();
    let mut stream;
    // What a client has sent, and what it has begun, when the signal comes, is answered.
    let talked = if let When::Born(after) = when {
        let pid = Pid::from_child(&program.child);
        let signal = thread::spawn(move || {
            thread::sleep(after);
            kill_process(pid, Signal::TERM)
        });
        stream = if with.listens() { program.connect() } else { None };
        let talked = stream.as_mut().map_or(Ok(()), |it| talk(it, asks, with.answer));
        // It may have ended, though only by this.
        let _ = signal.join().expect("no panic");
        talked
    } else {
        stream = program.connect();
        let Some(stream) = &mut stream else { return wrong("it does not come up") };
        if let When::Asking(sent) = when {
            let begun = stream.write_all(&asks[..sent]);
            program.signal();
            begun.and_then(|()| talk(stream, &asks[sent..], with.answer))
        } else {
            let talked = talk(stream, asks, with.answer);
            program.signal();
            talked.and_then(|()| match stream.read(&mut [0])? {
                0 => Ok(()),
                _ => Err(io::Error::other("more than the answer")),
            })
        }
    };
    let has_connected = stream.is_some();
    drop(stream);
    let Some((status, said, complained)) = program.end() else { return wrong("it does not end") };
    // Before it listens to signals it is ended by one.
    let is_early = status.signal() == Some(Signal::TERM.as_raw()) && said.is_empty() && complained.is_empty();
    if is_early && (with.binds_first || !has_connected) {
        return Ok(());
    }
    if let Err(error) = talked {
        return wrong(&format!("its client has no answer: {error}; {status}, {complained}"));
    }
    let outcome = complained.starts_with("drained in ") && complained.ends_with(" s (SIGTERM)\n");
    let is_told = if with.tells { outcome && complained.lines().count() == 1 } else { complained.is_empty() };
    if !is_told {
        return wrong(&complained);
    }
    if status.code() != Some(0) || said != with.says {
        return wrong(&format!("{status}, and said {said:?}"));
    }
    Ok(())
}

/// Addresses that nobody listens on, below those that the system gives to whoever asks for any: so no client that looks for
/// one connects to itself. To be asked for before a process is made, for that has a copy of what it looks with, for a moment.
fn free_addresses() -> impl Iterator<Item = SocketAddr> {
    (20_000..30_000).map(|port| ([127, 0, 0, 1], port).into()).filter(|it| TcpListener::bind(it).is_ok())
}

fn instants(with: Talk) -> Vec<When> {
    let mut instants: Vec<_> = (0..50).map(|it| When::Born(Duration::from_micros(300 * it))).collect();
    if with.listens() {
        instants.extend((0..=with.asks.len()).map(When::Asking));
        instants.push(When::Answered);
    }
    // It has come up by then, and has nothing to do.
    let idle = (50..).map(|it| When::Born(Duration::from_millis(2 * it)));
    let missing = 100 - instants.len();
    instants.extend(idle.take(missing));
    instants
}

#[test]
fn every_program_of_the_pages_ends_well_at_whatever_instant_it_is_signalled() {
    let output = Command::new(env!("CARGO_BIN_EXE_program")).output().expect("built");
    let listed: Vec<_> = str::from_utf8(&output.stdout).expect("text").lines().map(str::to_owned).collect();
    assert_eq!(listed, PROGRAMS.map(|(page, _)| page), "each is run");
    let lives = PROGRAMS.map(|(page, with)| (page, with, instants(with)));
    let mut addresses = free_addresses();
    let lives = lives.map(|(page, with, instants)| {
        let lives: Vec<_> = addresses.by_ref().zip(instants).collect();
        (page, with, lives)
    });
    let wrong: Vec<_> = thread::scope(|scope| {
        let pages = lives.map(|(page, with, lives)| {
            scope.spawn(move || {
                let lives = lives.into_iter().map(|(address, when)| live(page, address, with, when));
                lives.filter_map(Result::err).collect::<Vec<_>>()
            })
        });
        pages.into_iter().flat_map(|it| it.join().expect("no panic")).collect()
    });
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), 100 * PROGRAMS.len(), wrong.join("\n"));
}
