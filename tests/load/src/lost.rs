//! Drains under full load: is every request that was written answered?

use std::time::Duration;

use ebbtide_load::Error;

use crate::Options;
use crate::load::{Kind, Load};
use crate::server::Server;
use crate::subject::Subject;
use crate::table::{Table, Times, ms};
use crate::tally::Tally;

/// What the drain of a server that is only busy may take.
const LIMIT: Duration = Duration::from_millis(1500);
/// What one that hangs is given.
const GIVEN_UP: Duration = Duration::from_secs(20);

/// A table for each kind of load.
pub(crate) async fn measure(options: &Options) -> Result<Vec<String>, Error> {
    let mut missed = Vec::new();
    for (kind, title) in [
        (Kind::KeptAlive, "64 kept-alive connections"),
        (Kind::PerRequest, "64 clients, a connection for each request"),
        (Kind::Http2, "HTTP/2, 4 connections of 16 streams"),
    ] {
        let mut subjects = vec![];
        for pair in options.pairs().iter().copied().filter(|pair| kind.is_spoken(*pair)) {
            subjects.push(Subject::Ebbtide(pair));
            // Go's HTTP/2 is only over TLS.
            subjects.extend(Subject::peers(pair, options.go && kind != Kind::Http2));
        }
        if subjects.is_empty() {
            continue;
        }
        let mut sums = vec![(Tally::default(), Times::default(), 0); subjects.len()];
        for round in 0..options.count {
            for (subject, (sum, times, code)) in subjects.iter().zip(&mut sums) {
                let (tally, time, clean) = drain(*subject, kind, round).await?;
                *sum += tally;
                times.add(time);
                *code += u64::from(!clean);
            }
        }
        let columns = ["subject", "answered", "lost", "reset", "non-2xx", "retryable", "unclean", "median", "worst"];
        let mut table = Table::new(format!("lost: {} drains, {title}", options.count), &columns);
        for (subject, (sum, times, unclean)) in subjects.iter().zip(&sums) {
            let counts = [sum.answered, sum.lost, sum.reset, sum.other, sum.retryable, *unclean];
            let cells = [ms(times.median()), ms(times.worst())];
            table.row(std::iter::once(subject.to_string()).chain(counts.map(|count| count.to_string())).chain(cells));
            let well = sum.lost + sum.other + unclean == 0 && times.worst() <= LIMIT;
            if matches!(subject, Subject::Ebbtide(_)) && !well {
                let promise = format!("lost 0, non-2xx 0, no unclean exit, worst {}", ms(LIMIT));
                missed.push(format!("lost, {title}, {subject}: {promise}"));
            }
        }
        println!("{table}");
    }
    Ok(missed)
}

/// One drain: what became of the requests, how long it took, and whether the exit code was 0.
async fn drain(subject: Subject, kind: Kind, round: usize) -> Result<(Tally, Duration, bool), Error> {
    let mut server = Server::start(subject)?;
    let load = Load::full(server.addr, kind);
    // Not always in the same phase of whatever has one.
    tokio::time::sleep(Duration::from_millis(60) + Duration::from_micros(317) * (round % 32).try_into()?).await;
    let start = server.drain()?;
    let exit = server.exit(GIVEN_UP).await;
    if exit.is_err() {
        drop(server);
    }
    let tally = load.end().await;
    Ok(match exit {
        Ok(exit) => (tally, exit.at - start, exit.status.success()),
        Err(_) => (tally, GIVEN_UP, false),
    })
}
