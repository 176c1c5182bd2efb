//! The proxy, by its file of examples/deploy, in which only addresses, places and times are others.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use crate::Error;
use crate::process::{PAUSE, Process};
use crate::setup::Setup;

#[derive(Debug)]
pub(crate) struct Proxy {
    setup: Setup,
    folder: PathBuf,
    /// How long to wait behind a restart, if the proxy cannot be asked.
    settle: Duration,
    pub(crate) addr: SocketAddr,
    process: Process,
}

/// What the proxy says of the replicas, and which of it must be zero.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) counts: BTreeMap<String, u64>,
    must_be_zero: Vec<&'static str>,
}

const FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/deploy");
/// How often a replica was taken out.
const DOWNS: &str = "downs";
/// How long a start, or a change of a replica's state, may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Of nginx.conf, between what is refused and the next try, in seconds: nginx takes no shorter ones.
const FAIL_TIMEOUT: u32 = 2;

impl Proxy {
    /// Starts it, in a folder of its own, before replicas that are ready. `network` is what the addresses begin with.
    pub(crate) async fn start(setup: Setup, folder: &Path, network: Ipv4Addr, faster: u32) -> Result<Self, Error> {
        let config = folder.join("proxy.conf");
        let [a, b, c, _] = network.octets();
        let network = format!("{a}.{b}.{c}.");
        let addr = format!("{network}10:8000").parse()?;
        let fail_timeout = FAIL_TIMEOUT.div_ceil(faster);
        let mut command = if setup.is_haproxy() {
            let text = fs::read_to_string(Path::new(FILES).join("haproxy.cfg"))?;
            let stats = folder.join("stats");
            let (stats, inter) = (stats.to_string_lossy(), format!("inter {}ms", 1000 / faster));
            let mut others =
                vec![("10.0.0.", network.as_str()), ("/run/haproxy/admin.sock", &stats), ("inter 1s", &inter)];
            if setup == Setup::HaproxyHttp2 {
                others.push(("default_backend replicas", "default_backend replicas-http2"));
            }
            fs::write(&config, with(text, &others)?)?;
            let mut command = Command::new("haproxy");
            command.arg("-db").arg("-f").arg(&config);
            command
        } else {
            let text = fs::read_to_string(Path::new(FILES).join("nginx.conf"))?;
            let log = folder.join("asked-again.log");
            let (log, timeout) = (log.to_string_lossy(), format!("fail_timeout={fail_timeout}s"));
            let others = [
                ("10.0.0.", network.as_str()),
                ("/var/log/nginx/asked-again.log", &log),
                ("fail_timeout=2s", &timeout),
            ];
            fs::write(&config, with(text, &others)?)?;
            let main = folder.join("nginx.conf");
            fs::write(&main, nginx_main(folder))?;
            let mut command = Command::new("nginx");
            command.arg("-e").arg(folder.join("error.log")).arg("-p").arg(folder).arg("-c").arg(main);
            command
        };
        let process = Process::start(&mut command, &folder.join("proxy.log"))?;
        let settle = Duration::from_millis(1250) * fail_timeout;
        let mut proxy = Self { setup, folder: folder.into(), settle, addr, process };
        proxy.until_answering().await?;
        Ok(proxy)
    }

    async fn until_answering(&mut self) -> Result<(), Error> {
        let begun = Instant::now();
        while !self.is_listening().await {
            if let Some(status) = self.process.ended()? {
                return Err(format!("the proxy has ended, {status}: {}", self.folder.display()).into());
            }
            if begun.elapsed() > PATIENCE {
                return Err(format!("the proxy does not answer: {}", self.folder.display()).into());
            }
            tokio::time::sleep(PAUSE).await;
        }
        self.until_all_are_used().await
    }

    async fn is_listening(&self) -> bool {
        // HAProxy has its port first, and the socket of its statistics later.
        TcpStream::connect(self.addr).await.is_ok()
            && (self.setup == Setup::Nginx || UnixStream::connect(self.folder.join("stats")).await.is_ok())
    }

    /// Waits until the proxy sends requests to every replica.
    pub(crate) async fn until_all_are_used(&self) -> Result<(), Error> {
        if self.setup == Setup::Nginx {
            // It cannot be asked. It is silent about a replica that refused, until that time has passed.
            tokio::time::sleep(self.settle).await;
            return Ok(());
        }
        let begun = Instant::now();
        loop {
            let rows = self.rows().await?;
            let is_used = |row: &Row| row["status"] == "UP" && row["check_status"].trim_start_matches("* ") == "L7OK";
            if rows.iter().all(is_used) {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                return Err(format!("HAProxy does not use every replica: {rows:?}").into());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Waits until the proxy sends no more requests to this replica because of its readiness. That never is, if it does not ask.
    pub(crate) async fn until_unused(&self, at: usize) -> Result<(), Error> {
        if self.setup == Setup::Nginx {
            std::future::pending::<()>().await;
        }
        while self.rows().await?.get(at).is_some_and(|row| !row["status"].starts_with("DOWN")) {
            // Longer than elsewhere: each look is work for the proxy.
            tokio::time::sleep(4 * PAUSE).await;
        }
        Ok(())
    }

    /// What it has seen by now.
    pub(crate) async fn seen(&self) -> Result<Seen, Error> {
        if self.setup == Setup::Nginx { self.nginx_seen() } else { self.haproxy_seen().await }
    }

    async fn haproxy_seen(&self) -> Result<Seen, Error> {
        const COUNTS: [(&str, &str, bool); 7] = [
            ("stot", "requests", false),
            ("chkdown", DOWNS, false),
            ("wretr", "retries", true),
            ("wredis", "redispatches", true),
            ("econ", "failed connects", true),
            ("eresp", "broken responses", true),
            ("srv_abrt", "aborts of replicas", true),
        ];
        let mut seen = Seen::default();
        let rows = self.rows().await?;
        for (column, name, must_be_zero) in COUNTS {
            let sum = rows.iter().map(|row| row[column].parse().unwrap_or(0)).sum();
            seen.counts.insert(name.into(), sum);
            if must_be_zero {
                seen.must_be_zero.push(name);
            }
        }
        Ok(seen)
    }

    fn nginx_seen(&self) -> Result<Seen, Error> {
        const SENT: &str = "requests sent twice";
        const OTHERS: &str = "other errors";
        let mut seen = Seen { must_be_zero: vec![SENT, OTHERS], ..Seen::default() };
        let mut count = |name: &str, times| *seen.counts.entry(name.into()).or_default() += times;
        count(SENT, 0);
        count(OTHERS, 0);
        for line in fs::read_to_string(self.folder.join("asked-again.log"))?.lines() {
            count("requests that another replica refused", 1);
            count(SENT, u64::from(is_sent_twice(line)));
        }
        for line in fs::read_to_string(self.folder.join("error.log"))?.lines() {
            // A refused connect is how it learns that a replica has stopped.
            let is_refused = line.contains("connect() failed (111: ");
            count(if is_refused { "refused connects" } else { OTHERS }, 1);
        }
        Ok(seen)
    }

    /// The statistics by `HAProxy` of the replicas that are in use.
    async fn rows(&self) -> Result<Vec<Row>, Error> {
        let backend = match self.setup {
            Setup::HaproxyHttp2 => "replicas-http2",
            Setup::HaproxyGrpc => "grpc",
            Setup::Haproxy | Setup::Nginx => "replicas",
        };
        let mut stats = UnixStream::connect(self.folder.join("stats")).await?;
        stats.write_all(b"show stat\n").await?;
        let mut text = String::new();
        stats.read_to_string(&mut text).await?;
        let mut lines = text.trim_start_matches("# ").lines();
        let names: Vec<_> = lines.next().unwrap_or_default().split(',').collect();
        let rows =
            lines.map(|line| names.iter().zip(line.split(',')).map(|(n, v)| (n.to_string(), v.into())).collect());
        let is_replica = |row: &Row| {
            row.get("pxname").is_some_and(|it| it == backend) && !["FRONTEND", "BACKEND"].contains(&&*row["svname"])
        };
        let rows: Vec<Row> = rows.filter(is_replica).collect();
        if rows.is_empty() { Err(format!("HAProxy says nothing of {backend}").into()) } else { Ok(rows) }
    }
}

/// A line of these statistics, by the names of its columns.
type Row = BTreeMap<String, String>;

impl Seen {
    /// How often a replica was taken out beyond this, if the proxy counts that.
    pub(crate) fn downs_beyond(&self, expected: u32) -> u64 {
        self.counts.get(DOWNS).map_or(0, |downs| downs.saturating_sub(expected.into()))
    }

    /// What must be zero and is not.
    pub(crate) fn wrong(&self) -> impl Iterator<Item = String> {
        let wrong = self.must_be_zero.iter().filter(|name| self.counts.get(**name).is_some_and(|it| *it > 0));
        wrong.map(|name| format!("the proxy has seen {} {name}", self.counts[*name]))
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts: Vec<_> = self.counts.iter().map(|(name, times)| format!("{times} {name}")).collect();
        f.write_str(&counts.join(", "))
    }
}

/// A text with others in place of some of its parts, each of which must be there.
fn with(mut text: String, others: &[(&str, &str)]) -> Result<String, Error> {
    for (part, other) in others {
        if !text.contains(part) {
            return Err(format!("there is no `{part}` in the file of examples/deploy any more").into());
        }
        text = text.replace(part, other);
    }
    Ok(text)
}

/// Whether a line of nginx.conf's log tells of a request of which more than one replica was sent something.
fn is_sent_twice(line: &str) -> bool {
    // It ends with what each was sent, "[0, 0, 117]". Only the last may have been sent something.
    let sent = line.rsplit_once('[').map_or("", |(_, sent)| sent.trim_end_matches(']'));
    sent.rsplit_once(", ").is_some_and(|(in_vain, _)| in_vain.split(", ").any(|bytes| bytes != "0"))
}

/// What includes the file of examples/deploy, as Debian's nginx.conf does.
fn nginx_main(folder: &Path) -> String {
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|what| format!("{what}_temp_path {}/{what};\n", folder.display()))
        .concat();
    format!(
        "daemon off;\nworker_processes 2;\npid {folder}/nginx.pid;\nerror_log {folder}/error.log error;\n\
         events {{ worker_connections 4000; }}\nhttp {{\n{temporary}include {folder}/proxy.conf;\n}}\n",
        folder = folder.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_connection_is_no_request_that_was_sent() {
        assert!(!is_sent_twice("GET /hello [127.1.2.11:8080, 127.1.2.12:8080] [502, 200] [0, 38]"));
        assert!(is_sent_twice("GET /hello [127.1.2.11:8080, 127.1.2.12:8080] [502, 200] [38, 38]"));
    }

    #[test]
    fn a_file_in_which_nothing_can_be_replaced_is_an_error() {
        assert_eq!(with("inter 1s fall 2".into(), &[("inter 1s", "inter 9s")]).unwrap(), "inter 9s fall 2");
        assert!(with("inter 2s fall 2".into(), &[("inter 1s", "inter 9s")]).is_err());
    }

    #[test]
    fn what_must_be_zero_is_told_if_it_is_not() {
        let counts = BTreeMap::from([("retries".into(), 3), ("redispatches".into(), 0), ("requests".into(), 9)]);
        let seen = Seen { counts, must_be_zero: vec!["retries", "redispatches"] };
        assert_eq!(seen.wrong().collect::<Vec<_>>(), ["the proxy has seen 3 retries"]);
    }
}
