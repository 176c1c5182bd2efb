//! Thousands of connections on which nothing happens, drained.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ebbtide_load::Error;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::Options;
use crate::client::{Client, get};
use crate::server::Server;
use crate::subject::Subject;
use crate::table::{Table, ms};

/// How many may be connecting at a time: fewer than a listener's queue is long.
const AT_A_TIME: usize = 256;
/// No server here takes so long.
const LIMIT: Duration = Duration::from_secs(30);

/// What is idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Connections that had a request, and may have another.
    KeptAlive,
    WebSockets,
}

/// One table for each kind.
pub(crate) async fn measure(options: &Options) -> Result<Vec<String>, Error> {
    let mut missed = Vec::new();
    for kind in [Kind::KeptAlive, Kind::WebSockets] {
        let (title, told) = match kind {
            Kind::KeptAlive => ("idle kept-alive connections", "closed by FIN"),
            Kind::WebSockets => ("WebSockets", "told 1001"),
        };
        let mut subjects = vec![];
        for pair in options.few_pairs() {
            subjects.push(Subject::Ebbtide(*pair));
            if kind == Kind::KeptAlive {
                subjects.push(Subject::Minimal(*pair));
                subjects.extend(Subject::peers(*pair, options.go));
            }
        }
        let title = format!("idle: {} {title}", options.clients);
        let columns = ["subject", told, "otherwise", "last one told", "gone", "KiB each", "KiB each, peak"];
        let mut table = Table::new(title, &columns);
        for subject in subjects {
            let end = drain(subject, kind, options.clients).await?;
            table.row([
                subject.to_string(),
                end.told.to_string(),
                (options.clients - end.told).to_string(),
                ms(end.last),
                ms(end.gone),
                format!("{:.1}", end.each),
                format!("{:.1}", end.peak),
            ]);
            if matches!(subject, Subject::Ebbtide(_)) && (end.told != options.clients || !end.clean) {
                missed.push(format!("idle, {subject}: all {} {told}, and exit code 0", options.clients));
            }
        }
        println!("{table}");
    }
    Ok(missed)
}

struct End {
    told: usize,
    last: Duration,
    gone: Duration,
    each: f64,
    peak: f64,
    clean: bool,
}

async fn drain(subject: Subject, kind: Kind, clients: usize) -> Result<End, Error> {
    let mut server = Server::start(subject)?;
    let before = server.memory()?;
    let addr = server.addr;
    let (mut connecting, mut connections) = (JoinSet::new(), JoinSet::new());
    let (told, mut all_told) = mpsc::unbounded_channel();
    for begun in 0..clients {
        connecting.spawn_local(connect(addr, kind));
        if begun + 1 >= AT_A_TIME || begun + 1 == clients {
            while connecting.len() >= AT_A_TIME || (begun + 1 == clients && !connecting.is_empty()) {
                let client = connecting.join_next().await.ok_or("none")???;
                let told = told.clone();
                connections.spawn_local(async move { end(client, kind).await.map(|()| told.send(Instant::now())) });
            }
        }
    }
    drop(told);
    let each = server.memory()?.saturating_sub(before);
    let mut peak = server.peak()?;
    let start = server.drain()?;
    let exit = loop {
        match server.exit(Duration::from_millis(2)).await {
            Ok(exit) => break exit,
            Err(error) if start.elapsed() > LIMIT => return Err(error),
            // It may be gone in between.
            Err(_) => peak = server.peak().unwrap_or(peak),
        }
    };
    let (mut count, mut last) = (0, start);
    while let Some(at) = all_told.recv().await {
        (count, last) = (count + 1, last.max(at));
    }
    let per_connection =
        |kib: u64| -> Result<f64, Error> { Ok(f64::from(u32::try_from(kib)?) / f64::from(u32::try_from(clients)?)) };
    Ok(End {
        told: count,
        last: last - start,
        gone: exit.at - start,
        each: per_connection(each)?,
        peak: per_connection(peak.saturating_sub(before))?,
        clean: exit.status.success(),
    })
}

async fn connect(addr: SocketAddr, kind: Kind) -> io::Result<Client> {
    let mut client = Client::connect(addr).await?;
    match kind {
        Kind::KeptAlive => client.write(&get("/hello")).await?,
        // The key of RFC 6455, section 1.3.
        Kind::WebSockets => {
            let request = "GET /ws HTTP/1.1\r\nHost: load\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
            client.write(request.as_bytes()).await?;
        }
    }
    let response = client.response().await?;
    if !matches!(response.status, 101 | 200) {
        return Err(io::Error::other(format!("status {}", response.status)));
    }
    Ok(client)
}

/// The end that was promised; any other is an error.
async fn end(mut client: Client, kind: Kind) -> io::Result<()> {
    if kind == Kind::WebSockets {
        // RFC 6455, section 5.2: FIN and opcode 8, a length, and the code: 1001, going away.
        let [0x88, length, 0x03, 0xe9] = client.bytes::<4>().await? else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        if !(2..126).contains(&length) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        // The answer, masked with zeros.
        client.write(&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe9]).await?;
    }
    client.end().await
}
