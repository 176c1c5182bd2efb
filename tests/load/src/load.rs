//! Full load: closed loops of clients that count exactly what they lose.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use ebbtide_load::Pair;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::client::{Client, get};
use crate::http2::Unanswered;
use crate::tally::Tally;

/// What the clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One request after the other on a connection.
    KeptAlive,
    /// A connection for each request.
    PerRequest,
    /// HTTP/2: many streams on each of a few connections.
    Http2,
}

impl Kind {
    /// Whether servers on this pair know what it says.
    pub(crate) fn is_spoken(self, pair: Pair) -> bool {
        self != Self::Http2 || pair.has_http2()
    }
}

/// Clients at work, until the server refuses or they are told to end.
#[derive(Debug)]
pub(crate) struct Load {
    clients: JoinSet<Tally>,
    over: watch::Sender<bool>,
}

/// Where the clients go, and whether they are to go on.
#[derive(Clone)]
struct Target {
    addr: SocketAddr,
    request: Rc<[u8]>,
    pause: Duration,
    over: watch::Receiver<bool>,
}

/// Of HTTP/1.
const CONNECTIONS: usize = 64;
/// Of HTTP/2.
const MULTIPLEXED: usize = 4;
/// On each of those.
const STREAMS: usize = 16;

impl Load {
    /// As much as the server can take.
    pub(crate) fn full(addr: SocketAddr, kind: Kind) -> Self {
        let clients = if kind == Kind::Http2 { MULTIPLEXED } else { CONNECTIONS };
        Self::begin(addr, kind, clients, Duration::ZERO)
    }

    /// So many clients, each of which pauses after every answer. Must be called in a `LocalSet`.
    pub(crate) fn begin(addr: SocketAddr, kind: Kind, clients: usize, pause: Duration) -> Self {
        let (over, is_over) = watch::channel(false);
        let target = Target { addr, request: get("/hello").into(), pause, over: is_over };
        let mut load = Self { clients: JoinSet::new(), over };
        for _ in 0..clients {
            let target = target.clone();
            load.clients.spawn_local(async move {
                let mut tally = Tally::default();
                match kind {
                    Kind::KeptAlive => target.kept_alive(&mut tally).await,
                    Kind::PerRequest => target.per_request(&mut tally).await,
                    Kind::Http2 => target.http2(&mut tally).await,
                }
                tally
            });
        }
        load
    }

    /// The sum, once every request has its answer or its loss. Nothing is begun any more, so call it when the server
    /// is gone, or is to have a rest.
    pub(crate) async fn end(mut self) -> Tally {
        // This also ends what connects: a client whose handshake was dropped would try again only after a second.
        let _ = self.over.send(true);
        let mut sum = Tally::default();
        while let Some(tally) = self.clients.join_next().await {
            sum += tally.expect("a client does not panic");
        }
        sum
    }
}

impl Target {
    fn is_over(&self) -> bool {
        *self.over.borrow()
    }

    /// `None` once nobody accepts.
    async fn connect(&self, tally: &mut Tally) -> Option<TcpStream> {
        let mut over = self.over.clone();
        while !self.is_over() {
            let connected = tokio::select! {
                biased;
                connected = TcpStream::connect(self.addr) => connected,
                _ = over.wait_for(|over| *over) => return None,
            };
            match connected {
                Ok(stream) => {
                    let _ = stream.set_nodelay(true);
                    return Some(stream);
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => tally.reset += 1,
                Err(_) => return None,
            }
        }
        None
    }

    async fn kept_alive(&self, tally: &mut Tally) {
        while let Some(stream) = self.connect(tally).await {
            let (mut client, mut fresh) = (Client::new(stream), true);
            while !self.is_over() {
                if client.is_over() || client.write(&self.request).await.is_err() {
                    tally.reset += u64::from(fresh);
                    break;
                }
                fresh = false;
                if !answered(&mut client, tally).await {
                    break;
                }
                self.rest().await;
            }
        }
    }

    async fn per_request(&self, tally: &mut Tally) {
        while let Some(stream) = self.connect(tally).await {
            let mut client = Client::new(stream);
            if client.is_over() || client.write(&self.request).await.is_err() {
                tally.reset += 1;
                continue;
            }
            answered(&mut client, tally).await;
            drop(client);
            self.rest().await;
        }
    }

    async fn http2(&self, tally: &mut Tally) {
        while let Some(stream) = self.connect(tally).await {
            let Ok((sender, connection)) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await else {
                tally.reset += 1;
                continue;
            };
            let connection = tokio::task::spawn_local(connection);
            let mut streams = JoinSet::new();
            for _ in 0..STREAMS {
                let (target, sender) = (self.clone(), sender.clone());
                streams.spawn_local(async move { target.streams(sender).await });
            }
            drop(sender);
            while let Some(stream) = streams.join_next().await {
                *tally += stream.expect("a client does not panic");
            }
            drop(connection.await);
        }
    }

    /// One stream after the other, until the connection takes no more.
    async fn streams(&self, mut sender: SendRequest<Empty<Bytes>>) -> Tally {
        let mut tally = Tally::default();
        while !self.is_over() && sender.ready().await.is_ok() {
            let uri = format!("http://{}/hello", self.addr);
            let request = Request::get(uri).body(Empty::new()).expect("it is well formed");
            let answer = async {
                let response = sender.send_request(request).await?;
                let status = response.status();
                response.into_body().collect().await?;
                Ok(status)
            };
            match answer.await {
                Ok(status) if status.is_success() => tally.answered += 1,
                Ok(_) => tally.other += 1,
                Err(error) => match Unanswered::of(&error) {
                    Unanswered::Unsent => break,
                    Unanswered::Refused => tally.retryable += 1,
                    Unanswered::Lost => tally.lost += 1,
                },
            }
            self.rest().await;
        }
        tally
    }

    async fn rest(&self) {
        if !self.pause.is_zero() {
            tokio::time::sleep(self.pause).await;
        }
    }
}

/// Counts the answer to what was written. Returns whether the connection goes on.
async fn answered(client: &mut Client, tally: &mut Tally) -> bool {
    let Ok(response) = client.response().await else {
        tally.lost += 1;
        return false;
    };
    if (200..300).contains(&response.status) {
        tally.answered += 1;
    } else {
        tally.other += 1;
    }
    !response.close
}
