//! Streams of HTTP/2 that are upgraded, and when they end.

use std::convert::Infallible;
use std::time::Duration;

use ebbtide_hyper::Http;
use ebbtide_testkit::wire::Wire;
use ebbtide_testkit::{Simulation, Stream, http2};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;

const SECOND: Duration = Duration::from_secs(1);

/// A client that answers no PING, with a tunnel to a handler that echoes until its client's end.
fn tunnelled(simulation: &Simulation) -> (http2::Client<Stream>, u32) {
    let (http, runtime) = (Http::new(simulation.runtime(), simulation.runtime()), simulation.runtime());
    let answer = move |mut request: Request<Incoming>| {
        assert_eq!(request.method(), Method::CONNECT);
        let upgrade = hyper::upgrade::on(&mut request);
        runtime.spawn(async {
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            let mut tunnel = TokioIo::new(upgrade.await.expect("a tunnel"));
            let mut bytes = [0; 64];
            while let Ok(count @ 1..) = tunnel.read(&mut bytes).await {
                tunnel.write_all(&bytes[..count]).await.expect("a client");
            }
        });
        async { Ok::<_, Infallible>(Response::new(String::new())) }
    };
    let stream = simulation.reach(|io, guard| http.serve(io, service_fn(answer), guard)).expect("it is running");
    let mut client = http2::Client::begin(Wire::over(stream), http2::PREFACE);
    client.ignore_pings();
    let tunnel = client.tunnel();
    simulation.settle();
    (client, tunnel)
}

fn end(client: &mut http2::Client<Stream>, tunnel: u32) {
    client.end_upload(tunnel, b"last words");
    assert_eq!(client.response(tunnel), "last words");
}

#[test]
fn a_tunnel_that_has_ended_does_not_hold_the_drain() {
    let simulation = Simulation::new();
    let (mut client, tunnel) = tunnelled(&simulation);
    end(&mut client, tunnel);
    drop(simulation.drain().start());
    simulation.ended(2 * SECOND).expect("nothing is in flight");
}

#[test]
fn a_tunnel_holds_the_drain_until_it_ends() {
    let simulation = Simulation::new();
    let (mut client, tunnel) = tunnelled(&simulation);
    drop(simulation.drain().start());
    simulation.pass(100 * SECOND);
    end(&mut client, tunnel);
    simulation.ended(10 * SECOND).expect("nothing is in flight any more");
}
