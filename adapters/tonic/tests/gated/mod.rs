//! A service whose calls tell that they have begun, and end when they are let.

#![allow(dead_code)] // each program uses its own part

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ebbtide_testkit::PATIENCE;
use ebbtide_tonic::{RequestExt, ending};
use futures_util::{StreamExt, stream};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status, Streaming};

use crate::talk::{Answer, Number, Numbers, Talk, TalkClient};

/// The service.
pub(crate) struct Gated {
    begun: UnboundedSender<()>,
    gate: Arc<Semaphore>,
}

/// Its other end, in the test's hands.
pub(crate) struct Gate {
    begun: UnboundedReceiver<()>,
    gate: Arc<Semaphore>,
}

/// From here on a count never ends by itself; and from the second on it ends with the drain.
pub(crate) const ENDLESS: u64 = 1000;
pub(crate) const ENDING: u64 = 2000;

pub(crate) const LATE: u64 = 3000;

impl Gated {
    pub(crate) fn new() -> (Self, Gate) {
        let ((begun, has_begun), gate) = (unbounded_channel(), Arc::new(Semaphore::new(0)));
        (Self { begun, gate: gate.clone() }, Gate { begun: has_begun, gate })
    }

    fn begin(&self) {
        self.begun.send(()).expect("the test hears it");
    }
}

impl Gate {
    /// Waits for a call to have begun.
    pub(crate) async fn begun(&mut self) {
        tokio::time::timeout(PATIENCE, self.begun.recv()).await.expect("it begins").expect("it is there");
    }

    /// How many more have.
    pub(crate) fn begun_since(&mut self) -> usize {
        std::iter::from_fn(|| self.begun.try_recv().ok()).count()
    }

    /// Lets some calls go on.
    pub(crate) fn open(&self, calls: usize) {
        self.gate.add_permits(calls);
    }
}

async fn pass(gate: &Semaphore) {
    gate.acquire().await.expect("it is open").forget();
}

impl Talk for Gated {
    /// The same number, or the client's port for 0; what it is to do for a late one it does behind its response.
    async fn say(&self, request: Request<Number>) -> Answer<Number> {
        self.begin();
        if request.get_ref().value == LATE {
            let gate = self.gate.clone();
            tokio::spawn(request.guard()?.during(async move { pass(&gate).await }));
            return Ok(Response::new(request.into_inner()));
        }
        pass(&self.gate).await;
        match request.get_ref().value {
            0 => {
                let addr = request.remote_addr().ok_or_else(|| Status::not_found("no address"))?;
                Ok(Response::new(Number::of(addr.port().into())))
            }
            value => Ok(Response::new(Number::of(value))),
        }
    }

    /// The number and, when it is let, the next.
    async fn count(&self, request: Request<Number>) -> Answer<Numbers> {
        let draining = request.draining();
        let from = request.into_inner().value;
        let first = stream::iter([Ok(Number::of(from))]);
        if from >= ENDING {
            return Ok(Response::new(Box::pin(ending(first.chain(stream::pending()), draining?))));
        }
        let gate = self.gate.clone();
        let second = async move {
            if from >= ENDLESS {
                std::future::pending::<()>().await;
            }
            pass(&gate).await;
            Ok(Number::of(from + 1))
        };
        Ok(Response::new(Box::pin(first.chain(stream::once(second)))))
    }

    async fn sum(&self, request: Request<Streaming<Number>>) -> Answer<Number> {
        let mut numbers = request.into_inner();
        let mut sum = 0;
        while let Some(number) = numbers.message().await? {
            self.begin();
            sum += number.value;
        }
        Ok(Response::new(Number::of(sum)))
    }

    async fn echo(&self, request: Request<Streaming<Number>>) -> Answer<Numbers> {
        Ok(Response::new(Box::pin(request.into_inner())))
    }
}

pub(crate) async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("bound");
    (listener, addr)
}

pub(crate) async fn channel(addr: SocketAddr) -> Channel {
    Endpoint::new(format!("http://{addr}")).expect("an address").connect().await.expect("it listens")
}

pub(crate) async fn client(addr: SocketAddr) -> TalkClient {
    TalkClient::new(channel(addr).await)
}

/// The next of a stream.
pub(crate) async fn next<T>(stream: &mut Streaming<T>) -> Result<Option<T>, Status> {
    tokio::time::timeout(PATIENCE, stream.message()).await.expect("in time")
}

/// What a server's or a call's task ends with.
pub(crate) async fn ended<T>(task: tokio::task::JoinHandle<T>) -> T {
    tokio::time::timeout(PATIENCE, task).await.expect("it ends").expect("it does not panic")
}

/// Longer than nothing, and shorter than any bound that is not set to it.
pub(crate) const SHORT: Duration = Duration::from_millis(50);
