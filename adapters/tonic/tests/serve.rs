//! Routes of tonic over real sockets: what their clients see of a drain.

use std::future::IntoFuture;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use ebbtide::Drain;
use ebbtide_testkit::client::Client;
use ebbtide_testkit::http2;
use ebbtide_testkit::tls::{Identity, Tls};
use ebbtide_testkit::wire::{End, Wire};
use ebbtide_tonic::{Connections, EndBodies, Error, bounds, serve};
use tokio::sync::mpsc::unbounded_channel;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Code;
use tonic::service::Routes;

use crate::gated::{ENDING, ENDLESS, Gate, Gated, LATE, SHORT, channel, client, ended, listen, next};
use crate::talk::{Number, TalkServer};

mod gated;
#[path = "../examples/talk/mod.rs"]
mod talk;

type Ended = JoinHandle<Result<(), Error>>;

fn run(server: impl IntoFuture<Output = Result<(), Error>, IntoFuture: Send + 'static>) -> Ended {
    tokio::spawn(server.into_future())
}

fn routes() -> (Routes, Gate) {
    let (talk, gate) = Gated::new();
    (Routes::new(TalkServer::new(talk)), gate)
}

/// A server that drains with the drain that comes with it.
async fn start(routes: impl Into<Routes>) -> (SocketAddr, Drain, Ended) {
    let ((listener, addr), drain) = (listen().await, Drain::new());
    let ended = run(serve(listener, routes).drain(&drain));
    (addr, drain, ended)
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_all_kinds_complete_and_the_drain_ends_with_the_last() {
    let (routes, mut gate) = routes();
    let (addr, drain, server) = start(routes).await;
    let client = client(addr).await;

    let mut it = client.clone();
    let unary = tokio::spawn(async move { it.say(Number::of(7)).await });
    gate.begun().await;
    let mut stream = client.clone().count(Number::of(1)).await.expect("begun").into_inner();
    assert_eq!(next(&mut stream).await.expect("open"), Some(Number::of(1)));
    let ((to_sum, sums), mut it) = (unbounded_channel(), client.clone());
    let sum = tokio::spawn(async move { it.sum(UnboundedReceiverStream::new(sums)).await });
    to_sum.send(Number::of(40)).expect("open");
    gate.begun().await;
    let (to_echo, echoes) = unbounded_channel();
    to_echo.send(Number::of(3)).expect("open");
    let mut echo = client.clone().echo(UnboundedReceiverStream::new(echoes)).await.expect("begun").into_inner();
    assert_eq!(next(&mut echo).await.expect("open"), Some(Number::of(3)));

    let drained = drain.start();
    while TcpStream::connect(addr).is_ok() {}

    to_sum.send(Number::of(2)).expect("open");
    drop(to_sum);
    assert_eq!(ended(sum).await.expect("answered").into_inner(), Number::of(42));
    gate.open(2);
    assert_eq!(ended(unary).await.expect("answered").into_inner(), Number::of(7));
    assert_eq!(next(&mut stream).await.expect("open"), Some(Number::of(2)));
    assert_eq!(next(&mut stream).await.expect("open"), None);
    to_echo.send(Number::of(4)).expect("open");
    assert_eq!(next(&mut echo).await.expect("open"), Some(Number::of(4)));
    assert!(!server.is_finished());
    drop(to_echo);
    assert_eq!(next(&mut echo).await.expect("open"), None);
    let last = Instant::now();
    ended(server).await.expect("nothing was cut");
    // No bound of any client's, the shortest of which is a second.
    assert!(last.elapsed() < Duration::from_secs(1), "{:?}", last.elapsed());
    println!("{:?} from the last call to the end", last.elapsed());
    assert_eq!(drained.await, Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_told_of_the_drain_and_ends_with_unavailable() {
    let (routes, _gate) = routes();
    let (addr, drain, server) = start(routes).await;
    let mut stream = client(addr).await.count(Number::of(ENDING)).await.expect("begun").into_inner();
    assert_eq!(next(&mut stream).await.expect("open"), Some(Number::of(ENDING)));
    drop(drain.start());
    assert_eq!(next(&mut stream).await.expect_err("the end").code(), Code::Unavailable);
    ended(server).await.expect("nothing was cut");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_was_told_in_its_lame_duck_time_is_not_told_again_before_the_drain() {
    let (routes, _gate) = routes();
    let ((listener, addr), drain) = (listen().await, Drain::new());
    let server = run(serve(listener, routes).drain(&drain).lame_duck(Duration::from_secs(1)));
    let mut client = client(addr).await;
    let mut stream = client.count(Number::of(ENDING)).await.expect("begun").into_inner();
    next(&mut stream).await.expect("open");
    drop(drain.start());
    assert_eq!(next(&mut stream).await.expect_err("its turn").code(), Code::Unavailable);
    // A client that comes back at once, as they do, on the same connection.
    let mut stream = client.count(Number::of(ENDING)).await.expect("begun").into_inner();
    next(&mut stream).await.expect("open");
    assert!(!server.is_finished());
    assert_eq!(next(&mut stream).await.expect_err("the drain").code(), Code::Unavailable);
    // Another one may have begun in the instant before the connection was closed; it ends as well.
    if let Ok(stream) = client.count(Number::of(ENDING)).await {
        assert_eq!(next(&mut stream.into_inner()).await.expect_err("the drain").code(), Code::Unavailable);
    }
    ended(server).await.expect("nothing was cut");
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_of_services_that_know_of_no_drain_are_ended_by_a_layer_and_unary_calls_are_not() {
    let (routes, mut gate) = routes();
    let (addr, drain, server) =
        start(routes.into_axum_router().layer(EndBodies::after(SHORT, tokio::time::sleep))).await;
    let mut client = client(addr).await;
    let mut it = client.clone();
    let unary = tokio::spawn(async move { it.say(Number::of(7)).await });
    gate.begun().await;
    let mut stream = client.count(Number::of(ENDLESS)).await.expect("begun").into_inner();
    assert_eq!(next(&mut stream).await.expect("open"), Some(Number::of(ENDLESS)));
    drop(drain.start());
    let end = next(&mut stream).await.expect_err("the end");
    assert_eq!((end.code(), end.message()), (Code::Unavailable, "the server is draining"));
    gate.open(1);
    assert_eq!(ended(unary).await.expect("answered").into_inner(), Number::of(7));
    ended(server).await.expect("nothing was cut");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deadline_cuts_streams_and_says_which() {
    let (routes, mut gate) = routes();
    let ((listener, addr), drain, connections) = (listen().await, Drain::new(), Connections::new());
    let server = run(serve(listener, routes).drain(&drain).connections(&connections).deadline(Duration::ZERO));
    let mut client = client(addr).await;
    let mut stream = client.count(Number::of(ENDLESS)).await.expect("begun").into_inner();
    next(&mut stream).await.expect("open");
    let unary = tokio::spawn(async move { client.say(Number::of(7)).await });
    gate.begun().await;
    drop(drain.start());
    let error = ended(server).await.expect_err("it was cut").to_string();
    assert!(error.contains("POST /ebbtide.Talk/Count") && error.contains("POST /ebbtide.Talk/Say"), "{error}");
    next(&mut stream).await.expect_err("it was cut");
    ended(unary).await.expect_err("it was cut");
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_goes_on_after_its_response_is_waited_for() {
    let (routes, gate) = routes();
    let (addr, drain, server) = start(routes).await;
    let mut client = client(addr).await;
    client.say(Number::of(LATE)).await.expect("answered");
    drop(drain.start());
    // To the end of its connection: nothing is left but the work.
    while client.say(Number::of(LATE)).await.is_ok() {
        gate.open(1);
    }
    assert!(!server.is_finished());
    gate.open(1);
    ended(server).await.expect("nothing was cut");
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_preface_holds_nothing_up() {
    let (routes, _gate) = routes();
    let ((listener, addr), drain) = (listen().await, Drain::new());
    let server = run(serve(listener, routes).drain(&drain).bounds(bounds().preface(SHORT)).deadline(None));
    let mut half = Wire::connect(addr).expect("it listens");
    half.send(&http2::PREFACE[..10]);
    // Served behind it, so that the half was read.
    let mut whole = http2::Client::connect(addr);
    whole.until_settled();
    drop(drain.start());
    assert_eq!(half.end(), End::Fin);
    whole.expect_fin();
    ended(server).await.expect("nothing was cut");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_queued_is_served_though_the_drain_has_begun() {
    let (routes, mut gate) = routes();
    gate.open(1);
    let ((listener, addr), drain) = (listen().await, Drain::new());
    let mut queued = client_of_one(addr);
    let server = serve(listener, routes).drain(&drain);
    drop(drain.start());
    let server = run(server);
    assert!(queued.response().is_ok_and(|it| it.starts_with("HTTP/1.1 200 OK")));
    gate.begun().await;
    ended(server).await.expect("nothing was cut");
}

/// A call over HTTP/1, whose bytes are all there before anybody reads them.
fn client_of_one(addr: SocketAddr) -> One {
    let mut wire = Wire::connect(addr).expect("it listens");
    wire.send(post("application/grpc", "", &SEVEN));
    One(wire)
}

struct One(Wire);

impl One {
    fn response(&mut self) -> Result<String, End> {
        Ok(String::from_utf8(self.0.take_until("\r\n\r\n")?).expect("a head"))
    }
}

/// The message 7, as it is sent: not compressed, two bytes.
const SEVEN: [u8; 7] = [0, 0, 0, 0, 2, 8, 7];

/// A call, by HTTP/1.
fn post(kind: &str, more: &str, message: &[u8]) -> Vec<u8> {
    let length = message.len();
    let head = format!(
        "POST /ebbtide.Talk/Say HTTP/1.1\r\nhost: test\r\ncontent-type: {kind}\r\nte: trailers\r\n{more}content-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), message].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_time_is_over_is_told_so_by_the_server() {
    let (routes, _gate) = routes();
    let (addr, drain, server) = start(routes).await;
    let mut wire = Wire::connect(addr).expect("it listens");
    wire.send(post("application/grpc", "grpc-timeout: 10m\r\n", &SEVEN));
    let response = Client::on(wire).response();
    assert_eq!(response.header("grpc-status"), Some("4"));
    drop(drain.start());
    ended(server).await.expect("nothing was cut");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_grpc_web_is_served_and_waited_for() {
    let (routes, mut gate) = routes();
    let (addr, drain, server) = start(routes.into_axum_router().layer(tonic_web::GrpcWebLayer::new())).await;
    let mut wire = Wire::connect(addr).expect("it listens");
    wire.send(post("application/grpc-web+proto", "", &SEVEN));
    gate.begun().await;
    drop(drain.start());
    gate.open(1);
    let head = String::from_utf8(wire.take_until("\r\n\r\n").expect("a head")).expect("text");
    assert!(head.contains("application/grpc-web+proto") && head.contains("connection: close"), "{head}");
    wire.take_until("grpc-status:0").expect("how it went");
    ended(server).await.expect("nothing was cut");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_knows_its_clients_address() {
    let (routes, gate) = routes();
    gate.open(1);
    let (addr, drain, server) = start(routes).await;
    let channel = channel(addr).await;
    let port = talk::TalkClient::new(channel).say(Number::of(0)).await.expect("answered").into_inner().value;
    assert!(u16::try_from(port).is_ok_and(|it| it != 0 && it != addr.port()));
    drop(drain.start());
    ended(server).await.expect("nothing was cut");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_served_and_drained_through_tls() {
    let (routes, mut gate) = routes();
    let ((listener, addr), drain, identity) = (listen().await, Drain::new(), Identity::new());
    let server = run(serve(listener, routes).rustls(identity.server(&[])).drain(&drain));
    let stream = Client::connect(addr).into_stream();
    let mut wire = Wire::over(Tls::over(stream, identity.client(&["http/1.1"])));
    wire.send(post("application/grpc", "", &SEVEN));
    gate.begun().await;
    drop(drain.start());
    gate.open(1);
    wire.take_until("HTTP/1.1 200 OK").expect("an answer");
    wire.take_until("\u{8}\u{7}").expect("the message");
    ended(server).await.expect("nothing was cut");
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_unix_socket_is_served_and_its_client_known() {
    use tonic::transport::server::UdsConnectInfo;
    use tonic::{Request, Response, Status};

    struct Who;

    impl talk::Talk for Who {
        async fn say(&self, request: Request<Number>) -> talk::Answer<Number> {
            let info = request.extensions().get::<UdsConnectInfo>().ok_or_else(|| Status::not_found("no client"))?;
            let pid = info.peer_cred.and_then(|it| it.pid()).ok_or_else(|| Status::not_found("no process"))?;
            Ok(Response::new(Number::of(u64::try_from(pid).expect("positive"))))
        }
        async fn count(&self, _: Request<Number>) -> talk::Answer<talk::Numbers> {
            Err(Status::unimplemented(""))
        }
        async fn sum(&self, _: Request<tonic::Streaming<Number>>) -> talk::Answer<Number> {
            Err(Status::unimplemented(""))
        }
        async fn echo(&self, _: Request<tonic::Streaming<Number>>) -> talk::Answer<talk::Numbers> {
            Err(Status::unimplemented(""))
        }
    }

    let path = std::env::temp_dir().join(format!("ebbtide-tonic-{}.socket", std::process::id()));
    let listener = tokio::net::UnixListener::bind(&path).expect("a path");
    let drain = Drain::new();
    let server = run(serve(listener, Routes::new(TalkServer::new(Who))).drain(&drain));
    let endpoint = tonic::transport::Endpoint::new(format!("unix:{}", path.display())).expect("a path");
    let mut client = talk::TalkClient::new(endpoint.connect().await.expect("it listens"));
    let pid = client.say(Number::of(1)).await.expect("answered").into_inner().value;
    assert_eq!(pid, u64::from(std::process::id()));
    drop(drain.start());
    ended(server).await.expect("nothing was cut");
    std::fs::remove_file(&path).expect("it is there");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_call_on_and_on_have_an_answer_to_each_call_that_has_begun() {
    let (routes, mut gate) = routes();
    gate.open(1_000_000);
    let (addr, drain, server) = start(routes).await;
    let mut clients = Vec::new();
    for _ in 0..8 {
        let mut client = client(addr).await;
        clients.push(tokio::spawn(async move {
            let mut answered = 0;
            // To the first that finds nobody.
            while client.say(Number::of(7)).await.is_ok() {
                answered += 1;
            }
            answered
        }));
    }
    let before = 1000;
    for _ in 0..before {
        gate.begun().await;
    }
    drop(drain.start());
    ended(server).await.expect("nothing was cut");
    let mut answered = 0;
    for client in clients {
        answered += ended(client).await;
    }
    assert_eq!(answered, before + gate.begun_since());
}
