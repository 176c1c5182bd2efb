//! From the last byte to the exit of the process, and what waiting costs.

use std::time::{Duration, Instant};

use ebbtide_load::{Error, Pair};

use crate::Options;
use crate::client::{Client, get};
use crate::server::Server;
use crate::subject::Subject;
use crate::table::{Table, Times, ms};

/// No server here takes so long.
const LIMIT: Duration = Duration::from_secs(10);

/// Three tables.
pub(crate) async fn measure(options: &Options) -> Result<Vec<String>, Error> {
    let mut subjects = vec![];
    for pair in options.pairs() {
        subjects.extend([Subject::Ebbtide(*pair), Subject::Minimal(*pair)]);
        subjects.extend(Subject::peers(*pair, options.go));
    }
    let (mut last, mut nothing) = (vec![Times::default(); subjects.len()], vec![Times::default(); subjects.len()]);
    let mut order: Vec<_> = (0..subjects.len()).collect();
    for _ in 0..options.count {
        for &at in &order {
            last[at].add(after_the_last_byte(subjects[at]).await?);
            nothing[at].add(with_nothing_open(subjects[at]).await?);
        }
        // So that none always comes behind the same other one.
        order.reverse();
    }
    for (what, all) in [("last byte to exit", &last), ("nothing open, signal to exit", &nothing)] {
        let columns = ["subject", "median", "nine of ten", "worst"];
        let mut table = Table::new(format!("exit: {what}, {} runs", options.count), &columns);
        for (subject, times) in subjects.iter().zip(all) {
            let cells = [ms(times.median()), ms(times.ninetieth()), ms(times.worst())];
            table.row(std::iter::once(subject.to_string()).chain(cells));
        }
        println!("{table}");
    }
    let mut missed = Vec::new();
    for (subject, (last, nothing)) in subjects.iter().zip(last.iter().zip(&nothing)) {
        if !matches!(subject, Subject::Ebbtide(_)) {
            continue;
        }
        if last.median() > Duration::from_millis(1) || last.worst() > Duration::from_millis(20) {
            missed.push(format!("exit, {subject}: last byte to exit, median 1 ms, worst 20 ms"));
        }
        if nothing.median() > Duration::from_millis(2) {
            missed.push(format!("exit, {subject}: nothing open, gone in 2 ms"));
        }
    }
    let median = |of| subjects.iter().position(|it| *it == of).map(|at| last[at].median());
    if median(Subject::Graceful).is_some_and(|peer| median(Subject::Minimal(Pair::TokioHyper)) > Some(peer)) {
        missed.push("exit: last byte to exit, no later than hyper-util's with the same service".into());
    }

    let mut table = Table::new("exit: processor time in 1 s of draining, one request in flight", &["subject", "used"]);
    for subject in &subjects {
        let used = while_draining(*subject).await?;
        table.row([subject.to_string(), ms(used)]);
        if matches!(subject, Subject::Ebbtide(_)) && used > Duration::from_millis(20) {
            missed.push(format!("exit, {subject}: processor time while draining, 20 ms"));
        }
    }
    println!("{table}");
    Ok(missed)
}

/// A request is in flight when the drain begins: the time from its answer to the exit.
async fn after_the_last_byte(subject: Subject) -> Result<Duration, Error> {
    loop {
        let mut server = Server::start(subject)?;
        let mut client = Client::connect(server.addr).await?;
        client.write(&get("/slow?ms=30")).await?;
        tokio::time::sleep(Duration::from_millis(10)).await;
        server.drain()?;
        let response = client.response().await?;
        let last = Instant::now();
        let exit = server.exit(LIMIT).await?.at;
        // Else the signal was late, and what follows is the grace of an idle connection.
        if response.close {
            return Ok(exit.saturating_duration_since(last));
        }
    }
}

/// The time from the signal to the exit.
async fn with_nothing_open(subject: Subject) -> Result<Duration, Error> {
    let mut server = Server::start(subject)?;
    tokio::time::sleep(Duration::from_millis(5)).await;
    let start = server.drain()?;
    Ok(server.exit(LIMIT).await?.at - start)
}

async fn while_draining(subject: Subject) -> Result<Duration, Error> {
    let mut server = Server::start(subject)?;
    let mut client = Client::connect(server.addr).await?;
    client.write(&get("/slow?ms=1300")).await?;
    tokio::time::sleep(Duration::from_millis(50)).await;
    server.drain()?;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let before = server.cpu()?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let used = server.cpu()?.saturating_sub(before);
    client.response().await?;
    server.exit(LIMIT).await?;
    Ok(used)
}
