//! From the last byte to the exit of the process, and what waiting costs.

use std::time::{Duration, Instant};

use crate::client::{Client, get};
use crate::server::Server;
use crate::subject::Subject;
use crate::table::{Table, Times, ms};
use crate::{Error, Options};

/// No server here takes so long.
const LIMIT: Duration = Duration::from_secs(10);

/// Three tables.
pub(crate) async fn measure(options: &Options) -> Result<Vec<String>, Error> {
    let mut subjects = vec![Subject::Ebbtide, Subject::Minimal, Subject::Graceful];
    if options.go {
        subjects.push(Subject::Go);
    }
    let mut missed = Vec::new();
    let (mut last, mut nothing) = (vec![Times::default(); subjects.len()], vec![Times::default(); subjects.len()]);
    for _ in 0..options.count {
        for (subject, (last, nothing)) in subjects.iter().zip(last.iter_mut().zip(&mut nothing)) {
            last.add(after_the_last_byte(*subject).await?);
            nothing.add(with_nothing_open(*subject).await?);
        }
    }
    let columns = ["subject", "median", "nine of ten", "worst"];
    for (what, all) in [("last byte to exit", &last), ("nothing open, signal to exit", &nothing)] {
        let mut table = Table::new(format!("exit: {what}, {} runs", options.count), &columns);
        for (subject, times) in subjects.iter().zip(all) {
            let cells = [ms(times.median()), ms(times.ninetieth()), ms(times.worst())];
            table.row(std::iter::once(subject.name().to_owned()).chain(cells));
        }
        println!("{table}");
    }
    if last[0].median() > Duration::from_millis(1) || last[0].worst() > Duration::from_millis(20) {
        missed.push("exit: last byte to exit, median 1 ms, worst 20 ms".into());
    }
    if last[1].median() > last[2].median() {
        missed.push("exit: last byte to exit, no later than hyper-util's with the same service".into());
    }
    if nothing[0].median() > Duration::from_millis(2) {
        missed.push("exit: nothing open, gone in 2 ms".into());
    }

    let mut table = Table::new("exit: processor time in 1 s of draining, one request in flight", &["subject", "used"]);
    for subject in &subjects {
        let used = while_draining(*subject).await?;
        table.row([subject.name().to_owned(), ms(used)]);
        if *subject == Subject::Ebbtide && used > Duration::from_millis(20) {
            missed.push("exit: processor time while draining, 20 ms".into());
        }
    }
    println!("{table}");
    Ok(missed)
}

/// A request is in flight when the drain begins: the time from its answer to the exit.
async fn after_the_last_byte(subject: Subject) -> Result<Duration, Error> {
    let mut server = Server::start(subject)?;
    let mut client = Client::connect(server.addr).await?;
    client.write(&get("/slow?ms=30")).await?;
    tokio::time::sleep(Duration::from_millis(10)).await;
    server.drain()?;
    client.response().await?;
    let last = Instant::now();
    Ok(server.exit(LIMIT).await?.at.saturating_duration_since(last))
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
