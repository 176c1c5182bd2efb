//! Thousands of clients that mean no good, among a few that do.

use std::time::Duration;

use ebbtide_load::{Error, Pair};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::Options;
use crate::attack::Attack;
use crate::load::{Kind, Load};
use crate::server::Server;
use crate::subject::Subject;
use crate::table::{Table, ms};
use crate::tally::Tally;

/// From the first to the last of a wave.
const RAMP: Duration = Duration::from_secs(3);
/// Of one hostile client.
const LIFE: Duration = Duration::from_secs(3);
/// After a wave: for what the server still has of it. It lingers for 3 s.
const SETTLE: Duration = Duration::from_secs(4);
/// Of each kind, present at a drain.
const PRESENT: usize = 20;
/// The longest bounds of one connection, one after the other: a PING's answer, then the last streams'. And a second for
/// the crowd.
const BOUNDS: Duration = Duration::from_secs(5 + 5 + 1);
/// A deadline for what has no bound: a request body that comes, though slowly.
const DEADLINE: Duration = Duration::from_secs(2);

/// How often the same wave comes.
const WAVES: usize = 6;
/// Bytes of heap for each client of a wave that it may leave behind: tables with an entry for each connection keep their
/// room, a power of two. A leak shows all the same: by the last wave, one of 22 bytes by each client is too much.
const KEPT: u64 = 128;

/// Two tables for each pair: a server that goes on, and one that drains.
pub(crate) async fn measure(options: &Options) -> Result<Vec<String>, Error> {
    let mut missed = vec![];
    for pair in options.few_pairs() {
        missed.extend(waves(*pair, options.clients).await?);
        missed.extend(drains(*pair).await?);
    }
    Ok(missed)
}

/// The same wave again and again. What it leaves behind is told by the heap and not by the resident pages, of which an
/// allocator keeps what the most crowded moment took.
async fn waves(pair: Pair, clients: usize) -> Result<Vec<String>, Error> {
    let subject = Subject::Counted(pair);
    let title =
        format!("hostile: {subject}, waves of {clients} clients among honest ones, {} kinds", Attack::ALL.len());
    let columns = ["when", "honest answered", "lost", "reset", "non-2xx", "descriptors", "resident", "live heap"];
    let mut table = Table::new(title, &columns);
    let mut server = Server::start(subject)?;
    let (mut left, mut unserved) = (vec![], 0);
    for wave in 0..=WAVES {
        let tally = if wave == 0 { Tally::default() } else { attacked(&server, pair, clients).await? };
        unserved += tally.lost + tally.reset + tally.other;
        let (descriptors, resident, heap) = (server.descriptors()?, server.memory()?, server.heap().await?);
        left.push((descriptors, heap));
        let when = if wave == 0 { "at the start".into() } else { format!("after wave {wave}") };
        let counts = [tally.answered, tally.lost, tally.reset, tally.other, descriptors];
        let sizes = [format!("{:.1} MiB", kib(resident * 1024)? / 1024.0), format!("{:.1} KiB", kib(heap)?)];
        table.row(std::iter::once(when).chain(counts.map(|count| count.to_string())).chain(sizes));
    }
    println!("{table}");
    server.drain()?;
    server.exit(BOUNDS).await?;
    let mut missed = vec![];
    if unserved > 0 {
        missed.push(format!("hostile, {subject}: every honest request served"));
    }
    if left[WAVES].0 > left[0].0 {
        missed.push(format!("hostile, {subject}: no descriptor left behind"));
    }
    if left[WAVES].1 > left[0].1 + KEPT * u64::try_from(clients)? {
        missed.push(format!("hostile, {subject}: {KEPT} bytes of heap left behind by each client of a wave at most"));
    }
    Ok(missed)
}

/// One wave, and its end. Returns what became of the honest requests.
async fn attacked(server: &Server, pair: Pair, clients: usize) -> Result<Tally, Error> {
    let honest = honest(server, pair);
    let mut hostile = JoinSet::new();
    for at in 0..clients {
        let (addr, attack) = (server.addr, Attack::ALL[at % Attack::ALL.len()]);
        let delay = RAMP.mul_f64(f64::from(u32::try_from(at)?) / f64::from(u32::try_from(clients)?));
        hostile.spawn_local(async move {
            sleep(delay).await;
            attack.run(addr, LIFE).await;
        });
    }
    while hostile.join_next().await.is_some() {}
    let mut tally = Tally::default();
    for load in honest {
        tally += load.end().await;
    }
    sleep(SETTLE).await;
    Ok(tally)
}

fn kib(bytes: u64) -> Result<f64, Error> {
    Ok(f64::from(u32::try_from(bytes)?) / 1024.0)
}

/// Drains in the middle of it: by the connections' own bounds, and by a deadline.
async fn drains(pair: Pair) -> Result<Vec<String>, Error> {
    let subject = Subject::Ebbtide(pair);
    let columns = ["hostile clients", "honest answered", "lost", "reset", "non-2xx", "exit code", "drain"];
    let mut table =
        Table::new(format!("hostile: {subject}, drains under attack, honest clients at full load"), &columns);
    let mut missed = vec![];
    for attack in Attack::ALL {
        let bounded = attack != Attack::SlowBody;
        let attacks = vec![attack; PRESENT];
        missed.extend(drain(&mut table, pair, &format!("{attack:?}"), attacks, bounded).await?);
    }
    let bounded = Attack::ALL.into_iter().filter(|attack| *attack != Attack::SlowBody);
    let bounded = bounded.cycle().take(PRESENT * (Attack::ALL.len() - 1)).collect();
    missed.extend(drain(&mut table, pair, "all but SlowBody", bounded, true).await?);
    let all = Attack::ALL.into_iter().cycle().take(PRESENT * Attack::ALL.len()).collect();
    missed.extend(drain(&mut table, pair, "all", all, false).await?);
    println!("{table}");
    Ok(missed)
}

async fn drain(
    table: &mut Table,
    pair: Pair,
    name: &str,
    attacks: Vec<Attack>,
    bounded: bool,
) -> Result<Option<String>, Error> {
    let subject = Subject::Ebbtide(pair);
    let mut command = subject.command()?;
    let limit = if bounded {
        BOUNDS
    } else {
        command.args(["--drain-timeout-ms", &DEADLINE.as_millis().to_string()]);
        DEADLINE + Duration::from_secs(1)
    };
    let mut server = Server::run(command)?;
    let mut hostile = JoinSet::new();
    for attack in attacks {
        hostile.spawn_local(attack.run(server.addr, BOUNDS * 2));
    }
    sleep(Duration::from_millis(300)).await;
    let honest: Vec<_> = [Kind::KeptAlive, Kind::Http2]
        .into_iter()
        .filter(|kind| kind.is_spoken(pair))
        .map(|kind| Load::begin(server.addr, kind, 4, Duration::ZERO))
        .collect();
    sleep(Duration::from_millis(100)).await;
    let start = server.drain()?;
    let exit = server.exit(limit * 2).await;
    let time = start.elapsed();
    let code = exit.ok().and_then(|exit| exit.status.code());
    drop(server);
    let mut tally = Tally::default();
    for load in honest {
        tally += load.end().await;
    }
    let counts = [tally.answered, tally.lost, tally.reset, tally.other].map(|count| count.to_string());
    let code_cell = code.map_or_else(|| "none".into(), |code| code.to_string());
    table.row(std::iter::once(name.to_owned()).chain(counts).chain([code_cell, ms(time)]));
    let expected = i32::from(!bounded);
    let well = tally.lost + tally.reset + tally.other == 0 && code == Some(expected) && time <= limit;
    Ok((!well)
        .then(|| format!("hostile, {subject}, {name}: honest ones served, exit code {expected}, within {limit:?}")))
}

/// A few of every kind, at an easy pace.
fn honest(server: &Server, pair: Pair) -> Vec<Load> {
    [(Kind::KeptAlive, 8), (Kind::PerRequest, 4), (Kind::Http2, 1)]
        .into_iter()
        .filter(|(kind, _)| kind.is_spoken(pair))
        .map(|(kind, clients)| Load::begin(server.addr, kind, clients, Duration::from_millis(5)))
        .collect()
}
