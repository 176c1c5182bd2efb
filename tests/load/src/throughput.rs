//! Requests per second, beside the same engine without ebbtide.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use ebbtide_load::{Error, Pair};

use crate::Options;
use crate::load::{Kind, Load};
use crate::server::Server;
use crate::subject::Subject;
use crate::table::Table;

/// Of one measurement.
const TIME: Duration = Duration::from_secs(1);
/// Of the engine's own requests per second.
const LEAST: f64 = 0.98;

/// A table for each pair.
pub(crate) async fn measure(options: &Options) -> Result<Vec<String>, Error> {
    let mut missed = Vec::new();
    for pair in options.pairs() {
        let ratio = compare(*pair, options.rounds).await?;
        if ratio < LEAST {
            missed.push(format!("throughput, {pair}: at least {LEAST} of the engine's alone"));
        }
    }
    Ok(missed)
}

/// The two servers are measured in turns, and who is first changes too. Returns the median ratio.
async fn compare(pair: Pair, rounds: usize) -> Result<f64, Error> {
    let subjects = [Subject::Minimal(pair), Subject::Bare(pair)];
    let servers = [Server::start(subjects[0])?, Server::start(subjects[1])?];
    let wrk = Command::new("wrk").arg("--version").output().is_ok();
    for server in &servers {
        requests_per_second(server.addr, wrk).await?;
    }
    let (mut rates, mut ratios) = ([vec![], vec![]], vec![]);
    let (mut used, mut served) = ([Duration::ZERO; 2], [0.0; 2]);
    for round in 0..rounds {
        let first = round % 2;
        for at in [first, 1 - first] {
            let before = servers[at].cpu()?;
            let rate = requests_per_second(servers[at].addr, wrk).await?;
            used[at] += servers[at].cpu()?.saturating_sub(before);
            served[at] += rate * TIME.as_secs_f64();
            rates[at].push(rate);
        }
        ratios.push(rates[0][round] / rates[1][round]);
    }
    let by = if wrk { "wrk" } else { "own client" };
    let title = format!("throughput: {pair}, {rounds} rounds, 64 connections, {by}");
    let mut table = Table::new(title, &["subject", "median", "least", "most", "processor time each"]);
    let each = [0, 1].map(|at| used[at].as_secs_f64() / served[at] * 1e6);
    for ((subject, rates), each) in subjects.iter().zip(&mut rates).zip(each) {
        rates.sort_by(f64::total_cmp);
        let cells = [rates[rates.len() / 2], rates[0], rates[rates.len() - 1]].map(|rate| format!("{rate:.0}/s"));
        table.row(std::iter::once(subject.to_string()).chain(cells).chain([format!("{each:.2} us")]));
    }
    ratios.sort_by(f64::total_cmp);
    let ratio = ratios[ratios.len() / 2];
    let cells = [ratio, ratios[0], ratios[ratios.len() - 1]].map(|ratio| format!("{ratio:.3}"));
    let each = format!("{:.3}", each[1] / each[0]);
    table.row(std::iter::once("ratio of a round".to_owned()).chain(cells).chain([each]));
    println!("{table}");
    Ok(ratio)
}

async fn requests_per_second(addr: SocketAddr, wrk: bool) -> Result<f64, Error> {
    if !wrk {
        let start = Instant::now();
        let load = Load::full(addr, Kind::KeptAlive);
        tokio::time::sleep(TIME).await;
        let tally = load.end().await;
        return Ok(f64::from(u32::try_from(tally.answered)?) / start.elapsed().as_secs_f64());
    }
    let mut command = tokio::process::Command::new("wrk");
    command.args(["-t1", "-c64", &format!("-d{}s", TIME.as_secs()), &format!("http://{addr}/hello")]);
    let output = String::from_utf8(command.output().await?.stdout)?;
    let rate = output.lines().find_map(|line| line.strip_prefix("Requests/sec:")).ok_or("wrk says no rate")?;
    Ok(rate.trim().parse()?)
}
