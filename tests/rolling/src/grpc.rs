//! Clients of gRPC: calls of all four kinds over one connection, none of which is tried twice.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::stream;
use tokio::sync::mpsc::unbounded_channel;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use crate::load::PATIENCE;
use crate::talk::{Number, TalkClient};
use crate::tally::Tally;

/// What is noted of every endless stream that its server ends.
pub(crate) const TOLD: &str = "streams ended by a drain";

/// A kind of call.
#[derive(Clone, Copy)]
pub(crate) enum Call {
    Say,
    Count,
    Sum,
    Echo,
}

/// Its connection is the caller's.
pub(crate) fn channel(addr: SocketAddr) -> Result<Channel, tonic::transport::Error> {
    Ok(Endpoint::new(format!("http://{addr}"))?.connect_lazy())
}

pub(crate) async fn client(channel: Channel, call: Call, tally: &RefCell<Tally>) {
    let mut client = TalkClient::new(channel);
    loop {
        let begun = Instant::now();
        let ended = tokio::time::timeout(PATIENCE, one(call, &mut client)).await;
        let mut tally = tally.borrow_mut();
        match ended {
            Ok(Ok(())) => tally.answered(begun.elapsed()),
            Ok(Err(status)) if matches!(call, Call::Count) && is_told(&status) => tally.noted(TOLD),
            Ok(Err(status)) => tally.failed(format!("{:?}: {}", status.code(), status.message())),
            Err(_) => tally.failed("not in time"),
        }
    }
}

fn is_told(status: &Status) -> bool {
    status.code() == Code::Unavailable && status.message().contains("draining")
}

async fn one(call: Call, client: &mut TalkClient) -> Result<(), Status> {
    match call {
        Call::Say => expect(client.say(Number::of(7)).await?.into_inner().value, 7),
        Call::Count => {
            let mut numbers = client.count(Number::of(1)).await?.into_inner();
            for value in 1..=200 {
                expect(numbers.message().await?.map_or(0, |it| it.value), value)?;
            }
            Ok(())
        }
        Call::Sum => expect(client.sum(stream::iter((1..=10).map(Number::of))).await?.into_inner().value, 55),
        Call::Echo => {
            let (say, said) = unbounded_channel();
            let mut heard = client.echo(UnboundedReceiverStream::new(said)).await?.into_inner();
            for value in 1..=20 {
                let _ = say.send(Number::of(value));
                expect(heard.message().await?.map_or(0, |it| it.value), value)?;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            drop(say);
            expect(heard.message().await?.map_or(0, |it| it.value), 0)
        }
    }
}

fn expect(is: u64, should: u64) -> Result<(), Status> {
    if is == should { Ok(()) } else { Err(Status::data_loss(format!("{is} instead of {should}"))) }
}
