//! A tonic client of some servers that are restarted, and what it takes to lose no call: it watches the health of each, and
//! calls those that are serving. It tries nothing twice.
//!
//! `cargo run -p ebbtide-tonic --example client_tonic -- 127.0.0.1:50051 127.0.0.1:50052`, with one
//! [`server_tonic`](server_tonic.rs) or more. It calls until its standard input ends, and says how many calls there were, and
//! which of them failed.
//!
//! tonic's balancer alone (`Channel::balance_list`) keeps a server that is gone, and each of its vain attempts to connect is
//! a call that fails.

use std::collections::BTreeMap;
use std::fmt;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream;
use tokio::sync::mpsc::{Sender, unbounded_channel};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::channel::Change;
use tonic::transport::{Channel, Endpoint, Error};
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::talk::{Number, TalkClient};

mod talk;

/// What the balancer is told of a server, by its address.
type Changes = Sender<Change<String, Endpoint>>;

/// How long to wait before a server that is not there is looked for again.
const AGAIN: Duration = Duration::from_millis(20);

/// Has a server in the balancer for as long as it is serving.
async fn look_after(endpoint: Endpoint, changes: Changes) {
    loop {
        // It ends with the server.
        let _ = follow(&endpoint, &changes).await;
        let _ = changes.send(Change::Remove(endpoint.uri().to_string())).await;
        tokio::time::sleep(AGAIN).await;
    }
}

async fn follow(endpoint: &Endpoint, changes: &Changes) -> Result<(), Status> {
    let unreachable = |error: Error| Status::unavailable(error.to_string());
    let channel = endpoint.connect().await.map_err(unreachable)?;
    let mut statuses = HealthClient::new(channel).watch(HealthCheckRequest::default()).await?.into_inner();
    while let Some(status) = statuses.message().await? {
        let name = endpoint.uri().to_string();
        let change = match status.status() {
            ServingStatus::Serving => Change::Insert(name, endpoint.clone()),
            _ => Change::Remove(name),
        };
        let _ = changes.send(change).await;
    }
    Ok(())
}

/// Counts what becomes of the calls.
#[derive(Default)]
struct Tally {
    calls: u64,
    /// Streams that a server has ended because it drains.
    told: u64,
    failed: BTreeMap<String, u64>,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failed: u64 = self.failed.values().sum();
        write!(f, "{} calls, {} streams ended by a drain, {failed} failed", self.calls, self.told)?;
        self.failed.iter().try_for_each(|(what, times)| write!(f, "\n  {times} x {what}"))
    }
}

#[derive(Clone, Copy)]
enum Call {
    Say,
    Count,
    Sum,
    Echo,
}

impl Call {
    /// Whether the server has ended it for a drain.
    async fn call(self, client: &mut TalkClient) -> Result<bool, Status> {
        match self {
            Self::Say => {
                let said = client.say(Number { value: 7 }).await?.into_inner().value;
                expect(said, 7)?;
            }
            Self::Count => {
                let mut numbers = client.count(Number { value: 1 }).await?.into_inner();
                for value in 1..=200 {
                    match numbers.message().await {
                        Ok(Some(number)) => expect(number.value, value)?,
                        Ok(None) => return Err(Status::data_loss("a count that never ends has ended")),
                        Err(status) if status.code() == Code::Unavailable && status.message().contains("draining") => {
                            return Ok(true);
                        }
                        Err(status) => return Err(status),
                    }
                }
            }
            Self::Sum => {
                let numbers = stream::iter((1..=10).map(|value| Number { value }));
                expect(client.sum(numbers).await?.into_inner().value, 55)?;
            }
            Self::Echo => {
                let (say, said) = unbounded_channel();
                let mut heard = client.echo(UnboundedReceiverStream::new(said)).await?.into_inner();
                for value in 1..=20 {
                    let _ = say.send(Number { value });
                    expect(heard.message().await?.map_or(0, |it| it.value), value)?;
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                drop(say);
                expect(heard.message().await?.map_or(0, |it| it.value), 0)?;
            }
        }
        Ok(false)
    }
}

fn expect(is: u64, should: u64) -> Result<(), Status> {
    if is == should { Ok(()) } else { Err(Status::data_loss(format!("{is} instead of {should}"))) }
}

async fn call_on(call: Call, mut client: TalkClient, tally: Arc<Mutex<Tally>>, is_over: Arc<AtomicBool>) {
    while !is_over.load(Ordering::SeqCst) {
        let ended = call.call(&mut client).await;
        let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.calls += 1;
        match ended {
            Ok(told) => tally.told += u64::from(told),
            Err(status) => *tally.failed.entry(format!("{status:?}")).or_default() += 1,
        }
    }
}

const CALLS: [Call; 8] = [Call::Say, Call::Say, Call::Say, Call::Say, Call::Count, Call::Count, Call::Sum, Call::Echo];

#[tokio::main]
async fn main() -> ExitCode {
    let (channel, changes) = Channel::balance_channel(16);
    for addr in std::env::args().skip(1) {
        let endpoint = Endpoint::new(format!("http://{addr}")).expect("HOST:PORT");
        tokio::spawn(look_after(endpoint.connect_timeout(Duration::from_secs(5)), changes.clone()));
    }
    let (tally, is_over) = (Arc::new(Mutex::new(Tally::default())), Arc::new(AtomicBool::new(false)));
    let calls =
        CALLS.map(|call| tokio::spawn(call_on(call, TalkClient::new(channel.clone()), tally.clone(), is_over.clone())));
    // On a thread of its own, which ends with the process.
    let input = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
    let _ = input.await;
    is_over.store(true, Ordering::SeqCst);
    join_all(calls).await;

    let tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
    println!("{tally}");
    if tally.calls > 0 && tally.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
