//! Whole processes that take over from each other. A process is this test binary again, which runs [`child`] alone.

mod hostile;
mod killed;
mod process;
mod replaced;
mod restart;
mod systemd;

use std::io::{self, BufRead, Read};
use std::os::unix::net::UnixStream;
use std::sync::Mutex;
use std::time::Duration;
use std::{env, process as std_process};

use ebbtide::Drain;
use futures_lite::AsyncWriteExt;
use futures_lite::future::block_on;

use crate::{Handover, Program};

/// The process that the other tests start. It answers every connection with its process number.
#[test]
fn child() {
    let Some(path) = env::var_os("EBBTIDE_PATH") else { return };
    if env::var_os("EBBTIDE_ONLY_LISTENS").is_some() {
        let mut heard = Vec::new();
        let stream = UnixStream::connect(path).expect("it listens");
        drop((&stream).read_to_end(&mut heard));
        println!("heard: {}", String::from_utf8_lossy(&heard));
        return;
    }
    if env::args().any(|it| it == CHECK) {
        println!("checked");
        std_process::exit(env::var("EBBTIDE_CHECK").map_or(0, |it| it.parse().expect("a number")));
    }
    let number = |name: &str, default| env::var(name).ok().and_then(|it| it.parse().ok()).unwrap_or(default);
    let patience = Duration::from_millis(number("EBBTIDE_PATIENCE_MS", 30_000));
    let started = Handover::at(path).patience(patience).on_event(|it| println!("event: {it}")).start();
    let handover = started.unwrap_or_else(|error| {
        println!("error: {error}");
        std_process::exit(3)
    });
    let drain = Drain::new();
    handover.drains(&drain);
    let listeners = number("EBBTIDE_LISTENERS", 1);
    for at in 0..listeners {
        let port = if at == 0 { number("EBBTIDE_PORT", 0) } else { 0 };
        let address = (std::net::Ipv4Addr::LOCALHOST, u16::try_from(port).expect("a port"));
        let listener = handover.tcp(&format!("l{at}"), address).expect("an address");
        if at == 0 {
            println!("port {} {:?}", listener.get_ref().local_addr().expect("bound").port(), listener.origin());
        }
        serve(listener.map(smol::net::TcpListener::try_from).expect("a listener"), &drain);
    }
    if let Some(path) = env::var_os("EBBTIDE_UNIX") {
        let listener = handover.unix("unix", path).expect("an address");
        println!("unix {:?}", listener.origin());
        serve(listener.map(smol::net::unix::UnixListener::try_from).expect("a listener"), &drain);
    }
    println!("started");
    if env::var_os("EBBTIDE_WAITS").is_some() {
        io::stdin().lock().read_line(&mut String::new()).expect("it is open");
    }
    if let Err(error) = handover.ready() {
        println!("error: {error}");
        std_process::exit(4);
    }
    if env::var_os("EBBTIDE_OBEYS").is_some() {
        obey(&handover, &drain);
    }
    println!("ready {}", std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count));
    block_on(async {
        drain.watcher().await;
        drain.start().await.expect("nothing is cut");
    });
    println!("drained");
}

/// What the test harness takes, and the program takes for a check.
const CHECK: &str = "--include-ignored";

/// Does what is said, a line each. It ends with the test that says it.
fn obey(handover: &Handover, drain: &Drain) {
    let program = match env::var_os("EBBTIDE_PROGRAM") {
        Some(program) => Program::at(program, []),
        None => Program::this().expect("a path").check(CHECK),
    };
    let (replacer, drain, guard) = (
        handover.replacer(program),
        drain.clone(),
        Mutex::new(drain.guard().filter(|_| env::var_os("EBBTIDE_HOLDS").is_some())),
    );
    // Inherited: a line of the test is for whichever process reads it.
    std::thread::spawn(move || {
        let mut line = String::new();
        while io::stdin().read_line(&mut line).is_ok_and(|it| it > 0) {
            match line.trim() {
                "replace" => match block_on(replacer.replace()) {
                    // The next lines are for that one.
                    Ok(pid) => return println!("replaced by {pid}"),
                    Err(error) => println!("error: {error}"),
                },
                "stop" => drop(drain.start()),
                "let go" => drop(guard.lock().expect("no panic").take()),
                _ => {}
            }
            line.clear();
        }
        std_process::exit(0);
    });
}

fn serve<L>(listener: L, drain: &Drain)
where
    L: ebbtide_accept::Listener<ebbtide_smol::Smol, Stream: futures_lite::AsyncWrite + Send + Unpin> + Send + 'static,
    L::Socket: Send,
    <L::Socket as ebbtide_accept::Socket>::Stream: Send,
{
    let guard = drain.guard().expect("running");
    let answer = |mut stream: L::Stream, _| async move {
        drop(stream.write_all(std_process::id().to_string().as_bytes()).await);
    };
    smol::spawn(ebbtide_smol::serve(listener, guard, answer)).detach();
}
