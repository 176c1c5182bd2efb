//! Thousands of clients that mean no good, among a few that do.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::attack::Attack;
use crate::load::{Kind, Load};
use crate::server::Server;
use crate::subject::Subject;
use crate::table::{Table, ms};
use crate::tally::Tally;
use crate::{Error, Options};

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

/// Two tables: a server that goes on, and one that drains.
pub(crate) async fn measure(options: &Options) -> Result<Vec<String>, Error> {
    let mut missed = waves(options).await?;
    missed.extend(drains().await?);
    Ok(missed)
}

/// The same wave again and again: what is left behind grows with every one, and what is only kept for re-use does not.
async fn waves(options: &Options) -> Result<Vec<String>, Error> {
    let title = format!("hostile: waves of {} clients among honest ones, {} kinds", options.clients, Attack::ALL.len());
    let columns = ["when", "honest answered", "lost", "reset", "non-2xx", "descriptors", "resident"];
    let mut table = Table::new(title, &columns);
    let mut server = Server::start(Subject::Ebbtide)?;
    let begin = server.descriptors()?;
    let mut row = |when: String, tally: Tally, server: &Server| -> Result<(u64, u64), Error> {
        let (descriptors, memory) = (server.descriptors()?, server.memory()?);
        let counts = [tally.answered, tally.lost, tally.reset, tally.other, descriptors];
        let cells = counts.map(|count| count.to_string());
        table.row(
            std::iter::once(when)
                .chain(cells)
                .chain([format!("{:.1} MiB", f64::from(u32::try_from(memory)?) / 1024.0)]),
        );
        Ok((descriptors, memory))
    };
    row("at the start".into(), Tally::default(), &server)?;
    let (mut left, mut resident, mut unserved) = (0, vec![], 0);
    for wave in 1..=WAVES {
        let honest = honest(&server);
        let mut hostile = JoinSet::new();
        for at in 0..options.clients {
            let (addr, attack) = (server.addr, Attack::ALL[at % Attack::ALL.len()]);
            let delay = RAMP.mul_f64(f64::from(u32::try_from(at)?) / f64::from(u32::try_from(options.clients)?));
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
        unserved += tally.lost + tally.reset + tally.other;
        let (descriptors, memory) = row(format!("after wave {wave}"), tally, &server)?;
        left = descriptors.saturating_sub(begin);
        resident.push(memory);
    }
    println!("{table}");
    server.drain()?;
    server.exit(BOUNDS).await?;
    let mut missed = vec![];
    if unserved > 0 {
        missed.push("hostile: every honest request served".into());
    }
    if left > 0 {
        missed.push(format!("hostile: {left} descriptors left behind"));
    }
    // An allocator keeps what the most crowded moment so far took, so single waves differ; a leak raises all of them.
    let (first, last) = resident.split_at(WAVES / 2);
    let most = first.iter().max().map(|most| most + most / 20);
    if last.iter().min() > most.as_ref() {
        missed.push("hostile: memory grows from wave to wave".into());
    }
    Ok(missed)
}

/// Drains in the middle of it: by the connections' own bounds, and by a deadline.
async fn drains() -> Result<Vec<String>, Error> {
    let columns = ["hostile clients", "honest answered", "lost", "reset", "non-2xx", "exit code", "drain"];
    let mut table = Table::new("hostile: drains under attack, honest clients at full load", &columns);
    let mut missed = vec![];
    for attack in Attack::ALL {
        let bounded = attack != Attack::SlowBody;
        let attacks = vec![attack; PRESENT];
        missed.extend(drain(&mut table, &format!("{attack:?}"), attacks, bounded).await?);
    }
    let bounded = Attack::ALL.into_iter().filter(|attack| *attack != Attack::SlowBody);
    let bounded = bounded.cycle().take(PRESENT * (Attack::ALL.len() - 1)).collect();
    missed.extend(drain(&mut table, "all but SlowBody", bounded, true).await?);
    let all = Attack::ALL.into_iter().cycle().take(PRESENT * Attack::ALL.len()).collect();
    missed.extend(drain(&mut table, "all", all, false).await?);
    println!("{table}");
    Ok(missed)
}

async fn drain(table: &mut Table, name: &str, attacks: Vec<Attack>, bounded: bool) -> Result<Option<String>, Error> {
    let mut command = Subject::Ebbtide.command()?;
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
    let honest = [Kind::KeptAlive, Kind::Http2].map(|kind| Load::begin(server.addr, kind, 4, Duration::ZERO));
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
    Ok((!well).then(|| format!("hostile: {name}: honest ones served, exit code {expected}, within {limit:?}")))
}

/// A few of every kind, at an easy pace.
fn honest(server: &Server) -> Vec<Load> {
    let kinds = [(Kind::KeptAlive, 8), (Kind::PerRequest, 4), (Kind::Http2, 1)];
    kinds.map(|(kind, clients)| Load::begin(server.addr, kind, clients, Duration::from_millis(5))).into()
}
