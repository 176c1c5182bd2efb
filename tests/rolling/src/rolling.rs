//! One rolling restart, and what was noticed of it.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::Error;
use crate::grpc::TOLD;
use crate::load::Load;
use crate::options::Options;
use crate::proxy::Proxy;
use crate::replica::Replica;
use crate::setup::{Setup, Subject};
use crate::websocket::GOODBYE;

/// What was noticed.
#[derive(Debug)]
pub(crate) struct Noticed {
    /// How many requests failed.
    pub(crate) failures: u64,
    /// Everything that should not have been.
    pub(crate) wrong: Vec<String>,
    /// In how many restarts the proxy had not noticed by the end of the lame duck time. Then it had none, whatever the cause.
    pub(crate) late: u32,
}

const REPLICAS: u8 = 3;
/// Before the first restart, for every client to have connected.
const START: Duration = Duration::from_secs(1);

/// Restarts the replicas, and prints what came of it.
pub(crate) async fn run(subject: &Subject, setup: Setup, options: &Options) -> Result<Noticed, Error> {
    let folder = format!("ebbtide-rolling-{}-{}-{setup}", std::process::id(), subject.name);
    let folder = std::env::temp_dir().join(folder);
    // Of a run before that was void.
    drop(fs::remove_dir_all(&folder));
    fs::create_dir_all(&folder)?;
    let network = network();
    let mut replicas = Vec::new();
    for at in 1..=REPLICAS {
        let [a, b, c, _] = network.octets();
        let addr = Ipv4Addr::new(a, b, c, at + if setup == Setup::HaproxyGrpc { 20 } else { 10 });
        let log = folder.join(format!("replica-{at}.log"));
        replicas.push(Replica::start(options.programs.join(subject.path), addr, options.lame_duck, log).await?);
    }
    let proxy = Proxy::start(setup, &folder, network, options.faster).await?;
    let mut load = Load::start(proxy.addr, setup)?;
    let begun = Instant::now();
    tokio::time::sleep(START).await;

    let signal = if options.kill { Signal::KILL } else { Signal::TERM };
    let mut late = 0;
    let (mut ends, mut times): (BTreeMap<String, u32>, Vec<Duration>) = Default::default();
    for _ in 0..options.rounds {
        for (at, replica) in replicas.iter_mut().enumerate() {
            let noticed = async {
                let in_time = tokio::time::timeout(options.lame_duck, proxy.until_unused(at)).await;
                in_time.map_or(Ok(false), |unused| unused.map(|()| true))
            };
            let (ended, in_time) = tokio::join!(replica.end(signal), noticed);
            let (status, time) = ended?;
            late += u32::from(!in_time? && setup.is_haproxy());
            *ends.entry(status.to_string()).or_default() += 1;
            times.push(time.saturating_sub(options.lame_duck));
            replica.start_again().await?;
            proxy.until_all_are_used().await?;
        }
    }
    let (seen, took) = (proxy.seen().await?, begun.elapsed());
    load.end().await?;

    times.sort_unstable();
    let (requests, failures) = (load.answers(), load.failures());
    println!(
        "{} behind {setup}: {} rounds of {REPLICAS} restarts by {} in {:.0} s, lame duck time {} ms: {requests} answered, {failures} failed",
        subject.name,
        options.rounds,
        if options.kill { "SIGKILL" } else { "SIGTERM" },
        took.as_secs_f64(),
        options.lame_duck.as_millis(),
    );
    println!("| client | answered | failed | 99.9 % | worst | failed by | noted |\n|---|---|---|---|---|---|---|");
    for (kind, tally) in &load.tallies {
        println!("| {kind} | {} |", tally.borrow());
    }
    let (shortest, longest) = (times.first().copied().unwrap_or_default(), times.last().copied().unwrap_or_default());
    println!("proxy: {seen}");
    println!(
        "replicas: {ends:?}; drain behind the lame duck time {} to {} ms",
        shortest.as_millis(),
        longest.as_millis()
    );

    let mut wrong: Vec<_> = seen.wrong().collect();
    if failures > 0 {
        wrong.push(format!("{failures} requests failed"));
    }
    wrong.extend(ends.keys().filter(|end| *end != "exit status: 0").map(|end| format!("a replica ended by {end}")));
    for (kind, tally) in &load.tallies {
        let tally = tally.borrow();
        let goodbyes = match *kind {
            "WebSocket" => tally.notes(GOODBYE),
            "count" => tally.notes(TOLD),
            _ => u64::MAX,
        };
        if tally.answers() == 0 || (goodbyes == 0 && !options.kill) {
            wrong.push(format!("{kind}: nothing was tried"));
        }
    }
    if wrong.is_empty() || options.control {
        fs::remove_dir_all(&folder)?;
    } else {
        println!("logs: {}", folder.display());
    }
    Ok(Noticed { failures, wrong, late })
}

/// The first of 256 addresses of the loopback network that are this process's own: the ports are those of examples/deploy, and
/// no outgoing connection, which comes from 127.0.0.1, can have one of them while a replica is not there.
fn network() -> Ipv4Addr {
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 1 + high % 200, low, 0)
}
