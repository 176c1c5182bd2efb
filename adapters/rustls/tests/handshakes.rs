//! Handshakes that stop, to the millisecond: in virtual time, on each kind of stream and below each engine.

use std::convert::Infallible;
use std::time::Duration;

use ebbtide::State;
use ebbtide_connection::Bounds;
use ebbtide_connection::Connections;
use ebbtide_hyper::Http;
use ebbtide_testkit::client::Client;
use ebbtide_testkit::tls::{Identity, Tls};
use ebbtide_testkit::wire::End;
use ebbtide_testkit::{Simulation, Stream};
use futures_util::io::AsyncReadExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use smol_hyper::rt::FuturesIo;

#[derive(Clone, Copy, Debug)]
enum Below {
    HyperOnTokio,
    HyperOnFutures,
    AsyncH1,
}

const ALL: [Below; 3] = [Below::HyperOnTokio, Below::HyperOnFutures, Below::AsyncH1];

async fn hello(_: Request<Incoming>) -> Result<Response<String>, Infallible> {
    Ok(Response::new("hello".to_owned()))
}

async fn hello_h1(_: http_types::Request) -> http_types::Result<http_types::Response> {
    Ok("hello".into())
}

/// A server's one connection, and its client.
struct World {
    simulation: Simulation,
    connections: Connections,
    client: Client<Tls<Stream>>,
}

impl World {
    fn new(below: Below) -> Self {
        let (simulation, connections, identity, stream) = Self::raw(below);
        let client = Client::over(Tls::over(stream, identity.client(&[])));
        simulation.settle();
        Self { simulation, connections, client }
    }

    /// The same, with a client that is to speak no TLS.
    fn raw(below: Below) -> (Simulation, Connections, Identity, Stream) {
        let (simulation, identity, connections) = (Simulation::new(), Identity::new(), Connections::new());
        let (runtime, clock, config) = (simulation.runtime(), simulation.runtime(), identity.server(&[]));
        let http = Http::new(runtime.clone(), runtime).connections(&connections);
        let h1 = ebbtide_async_h1::Http::new(move |time| clock.sleep(time)).connections(&connections);
        let stream = simulation.reach(|io, guard| async move {
            match below {
                Below::HyperOnTokio => {
                    let tls = tokio_rustls::TlsAcceptor::from(config);
                    let (io, guard) = ebbtide_rustls::tokio::handshake(io, guard, |io| tls.accept(io));
                    let _ = http.serve(TokioIo::new(io), service_fn(hello), guard).await;
                }
                Below::HyperOnFutures => {
                    let tls = futures_rustls::TlsAcceptor::from(config);
                    let (io, guard) = ebbtide_rustls::futures_io::handshake(io, guard, |io| tls.accept(io));
                    let _ = http.serve(FuturesIo::new(io), service_fn(hello), guard).await;
                }
                Below::AsyncH1 => {
                    let tls = futures_rustls::TlsAcceptor::from(config);
                    let (io, guard) = ebbtide_rustls::futures_io::handshake(io, guard, |io| tls.accept(io));
                    let _ = h1.serve(io, hello_h1, guard).await;
                }
            }
        });
        (simulation, connections, identity, stream.expect("accepted"))
    }

    fn start(&self) {
        drop(self.simulation.drain().start());
    }

    /// The connection ends in order at this time.
    #[track_caller]
    fn ends_at(&mut self, time: Duration, below: Below) {
        assert_eq!((self.client.end(), self.simulation.now()), (End::Fin, time), "{below:?}");
    }
}

/// Where a handshake stops: behind one byte, in the middle of what a client says first, and behind that.
const STOPS: [usize; 3] = [1, 100, usize::MAX];

fn bounds() -> Bounds {
    Bounds::default()
}

#[test]
fn while_the_service_runs_a_client_that_says_nothing_has_the_time_of_a_request() {
    for below in ALL {
        let mut world = World::new(below);
        world.client.begin(0);
        world.ends_at(bounds().request + bounds().silent, below);
    }
}

#[test]
fn while_the_service_runs_a_client_that_stops_in_its_handshake_has_the_time_of_a_request() {
    for below in ALL {
        for at in STOPS {
            let mut world = World::new(below);
            world.client.begin(at);
            world.ends_at(bounds().request + bounds().head, below);
        }
    }
}

#[test]
fn a_handshake_and_the_first_head_have_that_time_together() {
    for below in ALL {
        let mut world = World::new(below);
        world.client.begin(100);
        world.simulation.pass(Duration::from_secs(20));
        world.client.ready();
        world.ends_at(bounds().request + bounds().silent, below);

        let mut world = World::new(below);
        world.simulation.pass(Duration::from_secs(20));
        world.client.send("GET / HTTP/1.1\r\nHo");
        world.ends_at(bounds().request + bounds().head, below);
    }
}

#[test]
fn while_the_service_drains_a_client_that_says_nothing_has_the_time_of_a_silent_one() {
    for below in ALL {
        let mut world = World::new(below);
        world.client.begin(0);
        world.start();
        world.ends_at(bounds().silent, below);
        world.simulation.ended(Duration::ZERO).expect("nothing was cut");
    }
}

#[test]
fn while_the_service_drains_a_client_that_stops_in_its_handshake_has_the_time_of_half_a_head() {
    for below in ALL {
        for at in STOPS {
            let mut world = World::new(below);
            world.client.begin(at);
            world.simulation.settle();
            world.simulation.pass(Duration::from_secs(3));
            world.start();
            world.ends_at(Duration::from_secs(3) + bounds().head, below);
            world.simulation.ended(Duration::ZERO).expect("nothing was cut");
        }
    }
}

#[test]
fn a_handshake_that_comes_drop_by_drop_has_no_more_time() {
    for below in ALL {
        let mut world = World::new(below);
        world.start();
        for _ in 0..10 {
            world.simulation.pass(Duration::from_millis(100));
            world.client.begin(1);
        }
        // From the first of them.
        world.ends_at(Duration::from_millis(100) + bounds().head, below);
    }
}

#[test]
fn a_handshake_that_is_over_while_draining_leaves_a_connection_as_new() {
    for below in ALL {
        let mut world = World::new(below);
        world.start();
        world.client.begin(1);
        world.simulation.pass(Duration::from_secs(1));
        world.client.ready();
        // By a `close_notify`, without which it would be a reset to this client.
        world.ends_at(Duration::from_secs(1) + bounds().silent, below);

        let mut world = World::new(below);
        world.start();
        world.client.begin(1);
        world.simulation.pass(Duration::from_secs(1));
        world.client.get("/");
        world.client.expect_last("hello");
        world.simulation.ended(Duration::ZERO).expect("nothing was cut");
    }
}

#[test]
fn a_session_ends_by_its_close_notify_while_it_is_idle() {
    for below in ALL {
        let mut world = World::new(below);
        world.client.get("/");
        world.client.expect("hello");
        world.start();
        world.ends_at(bounds().idle, below);
    }
}

/// Its client could take what it has for a whole response, where only the end says so (RFC 9112, section 9.8).
#[test]
fn a_session_that_is_cut_once_it_has_answered_ends_without_a_close_notify() {
    for below in ALL {
        let mut world = World::new(below);
        world.client.get("/");
        world.client.expect("hello");
        world.simulation.drain().close();
        assert_eq!(world.client.end(), End::Reset, "{below:?}");
    }
}

#[test]
fn a_forced_close_ends_a_handshake_at_once_and_frees_its_guard() {
    for below in ALL {
        for at in [0, 1, 100, usize::MAX] {
            let mut world = World::new(below);
            world.client.begin(at);
            world.simulation.settle();
            let drain = world.simulation.drain().clone();
            assert_eq!(drain.guards(), 1, "{below:?}");
            drop(drain.start());
            world.simulation.pass(Duration::from_millis(10));
            assert_eq!((drain.state(), drain.guards()), (State::Draining, 1), "{below:?}");
            drain.close();
            world.ends_at(Duration::from_millis(10), below);
            assert_eq!(world.connections.list().len(), 0, "{below:?}");
        }
    }
}

#[test]
fn a_connection_in_its_handshake_is_among_the_connections_as_new() {
    for below in ALL {
        let mut world = World::new(below);
        world.client.begin(100);
        world.simulation.settle();
        assert_eq!(world.connections.counts().new, 1, "{below:?}");
    }
}

#[test]
fn what_is_no_handshake_is_told_so_and_ended() {
    for below in ALL {
        let (simulation, _, _, mut stream) = World::raw(below);
        std::io::Write::write_all(&mut stream, b"GET / HTTP/1.1\r\nHost: test\r\n\r\n").expect("room");
        let mut answer = Vec::new();
        std::io::Read::read_to_end(&mut stream, &mut answer).expect("it ends in order");
        // An alert (RFC 8446, section 6).
        assert_eq!((answer.first(), simulation.now()), (Some(&21), Duration::ZERO), "{below:?}");
        simulation.ended(Duration::ZERO).expect("nothing is left");
    }
}

/// A stream that nobody serves does nothing, and what was half done is given up with it.
#[test]
fn a_stream_that_is_dropped_in_its_handshake_ends_the_connection() {
    let (simulation, identity) = (Simulation::new(), Identity::new());
    let config = identity.server(&[]);
    let stream = simulation.reach(|io, guard| async move {
        let tls = futures_rustls::TlsAcceptor::from(config);
        let (mut io, guard) = ebbtide_rustls::futures_io::handshake(io, guard, |io| tls.accept(io));
        futures_lite::future::poll_once(io.read(&mut [0])).await;
        drop((io, guard));
    });
    let mut client = Client::over(Tls::over(stream.expect("accepted"), identity.client(&[])));
    client.begin(0);
    assert_eq!(client.end(), End::Fin);
}
