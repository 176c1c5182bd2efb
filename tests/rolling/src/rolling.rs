//! One rolling restart, and what was noticed of it.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};
use std::{fmt, fs};

use rustix::process::Signal;

use crate::Error;
use crate::load::Load;
use crate::options::Options;
use crate::proxy::Proxy;
use crate::replica::Replica;
use crate::setup::{Setup, Subject};

/// What was noticed.
#[derive(Debug)]
pub(crate) struct Noticed {
    /// How many requests failed.
    pub(crate) failures: u64,
    /// Everything that should not have been.
    pub(crate) wrong: Vec<String>,
    /// How often the proxy noticed only behind the lame duck time, or took a replica for one that is not ready though it is.
    pub(crate) misjudged: u64,
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
    tokio::time::sleep(START).await;
    let restarts = Restarts::of(&mut replicas, &proxy, options).await?;
    let seen = proxy.seen().await?;
    load.end().await?;

    let (requests, failures) = (load.answers(), load.failures());
    println!("{} behind {setup}: {restarts}: {requests} answered, {failures} failed", subject.name);
    println!("{load}\nproxy: {seen}");
    let mut wrong: Vec<_> = seen.wrong().collect();
    wrong.extend(restarts.wrong());
    wrong.extend(load.wrong());
    if wrong.is_empty() || options.control {
        fs::remove_dir_all(&folder)?;
    } else {
        println!("logs: {}", folder.display());
    }
    let late = if setup.is_haproxy() { restarts.late.into() } else { 0 };
    Ok(Noticed { failures, wrong, misjudged: late + seen.downs_beyond(restarts.ends.values().sum()) })
}

/// What came of the restarts, as far as the replicas tell.
#[derive(Debug)]
struct Restarts {
    signal: Signal,
    lame_duck: Duration,
    /// How they ended, and how often so.
    ends: BTreeMap<String, u32>,
    /// From the end of the lame duck time to the end.
    shortest: Duration,
    longest: Duration,
    late: u32,
    took: Duration,
}

impl Restarts {
    /// Restarts each in turn, again and again. The next one waits until the proxy uses all.
    async fn of(replicas: &mut [Replica], proxy: &Proxy, options: &Options) -> Result<Self, Error> {
        let begun = Instant::now();
        let mut this = Self {
            signal: if options.kill { Signal::KILL } else { Signal::TERM },
            lame_duck: options.lame_duck,
            ends: BTreeMap::new(),
            shortest: Duration::MAX,
            longest: Duration::ZERO,
            late: 0,
            took: Duration::ZERO,
        };
        for _ in 0..options.rounds {
            for (at, replica) in replicas.iter_mut().enumerate() {
                let noticed = tokio::time::timeout(options.lame_duck, proxy.until_unused(at));
                let (ended, noticed) = tokio::join!(replica.end(this.signal), noticed);
                let (status, time) = ended?;
                match noticed {
                    Ok(unused) => unused?,
                    Err(_) => this.late += 1,
                }
                *this.ends.entry(status.to_string()).or_default() += 1;
                let time = time.saturating_sub(options.lame_duck);
                (this.shortest, this.longest) = (this.shortest.min(time), this.longest.max(time));
                replica.start_again().await?;
                proxy.until_all_are_used().await?;
            }
        }
        this.took = begun.elapsed();
        Ok(this)
    }

    fn wrong(&self) -> impl Iterator<Item = String> {
        let others = self.ends.keys().filter(|end| *end != "exit status: 0");
        others.map(|end| format!("a replica ended by {end}"))
    }
}

impl fmt::Display for Restarts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ends: Vec<_> = self.ends.iter().map(|(end, times)| format!("{times} x {end}")).collect();
        let (ends, signal) = (ends.join(", "), if self.signal == Signal::KILL { "SIGKILL" } else { "SIGTERM" });
        let (took, lame_duck) = (self.took.as_secs(), self.lame_duck.as_millis());
        let (shortest, longest) = (self.shortest.as_millis(), self.longest.as_millis());
        write!(
            f,
            "restarted by {signal} in {took} s ({ends}; {shortest} to {longest} ms behind {lame_duck} ms of lame duck time)"
        )
    }
}

/// The first of 256 addresses of the loopback network that are this process's own: the ports are those of examples/deploy, and
/// no outgoing connection, which comes from 127.0.0.1, can have one of them while a replica is not there.
fn network() -> Ipv4Addr {
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 1 + high % 200, low, 0)
}
