//! What those who check a server's health see of its drain.

use std::future::IntoFuture;
use std::net::SocketAddr;
use std::time::Duration;

use ebbtide::{Drain, State};
use ebbtide_testkit::PATIENCE;
use ebbtide_tonic::{EndBodies, Error, Health, Serve, ServingStatus, serve};
use futures_util::FutureExt;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tonic::service::Routes;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status, Streaming};
use tonic_health::pb::health_check_response::ServingStatus as Wire;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("bound");
    (listener, addr)
}

fn run(server: Serve<TcpListener>) -> JoinHandle<Result<(), Error>> {
    tokio::spawn(server.into_future())
}

async fn ended(server: JoinHandle<Result<(), Error>>) {
    tokio::time::timeout(PATIENCE, server)
        .await
        .expect("it ends")
        .expect("it does not panic")
        .expect("nothing was cut");
}

async fn client(addr: SocketAddr) -> HealthClient<Channel> {
    HealthClient::new(Endpoint::new(format!("http://{addr}")).expect("an address").connect().await.expect("it listens"))
}

fn of(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.into() }
}

async fn check(client: &mut HealthClient<Channel>, service: &str) -> Result<Wire, Status> {
    Ok(client.check(of(service)).await?.into_inner().status())
}

async fn watch(client: &mut HealthClient<Channel>, service: &str) -> Streaming<HealthCheckResponse> {
    client.watch(of(service)).await.expect("answered").into_inner()
}

async fn next(stream: &mut Streaming<HealthCheckResponse>) -> Option<Wire> {
    let next = tokio::time::timeout(PATIENCE, stream.message()).await.expect("in time").expect("no error");
    next.map(|it| it.status())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_watches_is_told_and_its_stream_ends_with_the_drain() {
    let ((listener, addr), drain, health) = (listen().await, Drain::new(), Health::new());
    let server = run(serve(listener, Routes::new(health.server())).drain(&drain));
    let mut client = client(addr).await;
    let (mut whole, mut unknown) = (watch(&mut client, "").await, watch(&mut client, "nobody").await);
    assert_eq!(next(&mut whole).await, Some(Wire::Serving));
    assert_eq!(next(&mut unknown).await, Some(Wire::ServiceUnknown));
    drop(drain.start());
    assert_eq!(next(&mut whole).await, Some(Wire::NotServing));
    assert_eq!(next(&mut whole).await, None);
    assert_eq!(next(&mut unknown).await, None);
    ended(server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_name_has_a_status_of_its_own_and_all_are_not_serving_in_a_drain() {
    let ((listener, addr), signalled, drain) = (listen().await, Drain::new(), Drain::new());
    // Its server drains later.
    let health = Health::new().drain(&signalled);
    health.set_serving::<HealthServer<Health>>();
    health.set_service_status("mail", ServingStatus::Unknown);
    let server = run(serve(listener, Routes::new(health.server())).drain(&drain));
    let mut client = client(addr).await;
    assert_eq!(check(&mut client, "").await.expect("known"), Wire::Serving);
    assert_eq!(check(&mut client, "grpc.health.v1.Health").await.expect("known"), Wire::Serving);
    assert_eq!(check(&mut client, "mail").await.expect("known"), Wire::Unknown);
    assert_eq!(check(&mut client, "nobody").await.expect_err("unknown").code(), Code::NotFound);

    let mut mail = watch(&mut client, "mail").await;
    let mut later = watch(&mut client, "later").await;
    assert_eq!(next(&mut mail).await, Some(Wire::Unknown));
    assert_eq!(next(&mut later).await, Some(Wire::ServiceUnknown));
    health.set_service_status("later", ServingStatus::Serving);
    assert_eq!(next(&mut later).await, Some(Wire::Serving));
    // What is no change is no news.
    health.set_service_status("mail", ServingStatus::Unknown);
    health.set_service_status("mail", ServingStatus::Serving);
    assert_eq!(next(&mut mail).await, Some(Wire::Serving));
    health.clear_service_status("mail");
    assert_eq!(next(&mut mail).await, Some(Wire::ServiceUnknown));
    health.set_not_serving::<HealthServer<Health>>();
    assert_eq!(check(&mut client, "grpc.health.v1.Health").await.expect("known"), Wire::NotServing);

    drop(signalled.start());
    assert_eq!(next(&mut later).await, Some(Wire::NotServing));
    for name in ["", "later", "grpc.health.v1.Health"] {
        assert_eq!(check(&mut client, name).await.expect("known"), Wire::NotServing);
        // Whatever is said of it still.
        health.set_service_status(name, ServingStatus::Serving);
        assert_eq!(check(&mut client, name).await.expect("known"), Wire::NotServing);
    }
    // It would have ended before those answers.
    assert!(later.message().now_or_never().is_none());
    drop(drain.start());
    assert_eq!(next(&mut later).await, None);
    assert_eq!(next(&mut mail).await, None);
    ended(server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_lame_duck_time_it_is_not_serving_from_the_beginning_and_streams_end_at_its_end() {
    let ((listener, addr), drain) = (listen().await, Drain::new());
    let health = Health::new().drain(&drain);
    let server = serve(listener, Routes::new(health.server())).drain(&drain).lame_duck(Duration::from_secs(3600));
    let server = run(server);
    let mut client = client(addr).await;
    let mut whole = watch(&mut client, "").await;
    assert_eq!(next(&mut whole).await, Some(Wire::Serving));
    let drained = drain.start();
    assert_eq!(next(&mut whole).await, Some(Wire::NotServing));
    // Everybody is served on: who comes anew is told the same, and stays.
    let mut newcomer = self::client(addr).await;
    let mut another = watch(&mut newcomer, "").await;
    assert_eq!(next(&mut another).await, Some(Wire::NotServing));
    assert_eq!(check(&mut newcomer, "").await.expect("known"), Wire::NotServing);
    assert!(!server.is_finished() && drain.state() == State::Draining);
    drain.close();
    drained.await.expect_err("it was held up by the server");
    server.await.expect("no panic").expect_err("it was cut");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_lame_duck_time_of_which_it_was_not_told_whoever_checks_is_told_at_once() {
    let ((listener, addr), health) = (listen().await, Health::new());
    let (end, ends) = tokio::sync::oneshot::channel();
    let ends = async { ends.await.expect("it is sent") };
    let server = serve(listener, Routes::new(health.server())).with_graceful_shutdown(ends);
    let server = run(server.lame_duck(Duration::from_secs(3600)));
    let mut client = client(addr).await;
    assert_eq!(check(&mut client, "").await.expect("known"), Wire::Serving);
    end.send(()).expect("it waits");
    while check(&mut client, "").await.expect("known") != Wire::NotServing {
        tokio::task::yield_now().await;
    }
    // Who watches from here on, too.
    let mut whole = watch(&mut client, "").await;
    assert_eq!(next(&mut whole).await, Some(Wire::NotServing));
    server.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_endless_streams_of_tonic_healths_own_service_are_ended_by_the_layer() {
    let ((listener, addr), drain) = (listen().await, Drain::new());
    let (_reporter, health) = tonic_health::server::health_reporter();
    let routes = Routes::new(health).into_axum_router().layer(EndBodies::after(Duration::ZERO, tokio::time::sleep));
    let server = run(serve(listener, routes).drain(&drain).deadline(None));
    let mut client = client(addr).await;
    let mut whole = watch(&mut client, "").await;
    assert_eq!(next(&mut whole).await, Some(Wire::Serving));
    drop(drain.start());
    assert_eq!(whole.message().await.expect_err("the end").code(), Code::Unavailable);
    ended(server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn under_tonics_own_server_streams_end_with_the_drain_that_it_was_told() {
    let ((listener, addr), drain) = (listen().await, Drain::new());
    let health = Health::new().drain(&drain);
    let incoming = ebbtide_tonic::Incoming::new(listener, drain.guard().expect("running"));
    let server = tonic::transport::Server::builder().add_service(health.server());
    let server = tokio::spawn(server.serve_with_incoming_shutdown(incoming, std::future::pending()));
    let mut client = client(addr).await;
    let mut whole = watch(&mut client, "").await;
    assert_eq!(next(&mut whole).await, Some(Wire::Serving));
    let drained = drain.start();
    assert_eq!(next(&mut whole).await, Some(Wire::NotServing));
    assert_eq!(next(&mut whole).await, None);
    server.await.expect("no panic").expect("no error");
    assert_eq!(drained.await, Ok(()));
}
