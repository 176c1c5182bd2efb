//! Whole processes that take over from each other. A process is this test binary again, which runs [`child`] alone.

mod hostile;
mod killed;
mod process;
mod restart;

use std::io::{self, BufRead, Read};
use std::os::unix::net::UnixStream;
use std::time::Duration;
use std::{env, process as std_process};

use ebbtide::Drain;
use futures_lite::AsyncWriteExt;
use futures_lite::future::block_on;

use crate::Handover;

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
    println!("ready {}", std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count));
    block_on(async {
        handover.superseded().await;
        drain.start().await.expect("nothing is cut");
    });
    println!("drained");
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
