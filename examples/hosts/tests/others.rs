//! Each host that speaks something else than HTTP/1 over sockets of the system, drained with work in flight.

mod work;

use std::sync::{Mutex, mpsc};
use std::time::Duration;

use ebbtide::Drain;
use ebbtide_hosts as hosts;
use futures_util::future::join;
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use work::Work;

/// A bug would last forever.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn tonic_answers_the_call_in_flight_and_returns() {
    let (drain, work) = (Drain::new(), Work::default());
    let slow = work.clone();
    let routes = axum::Router::new().route("/", axum::routing::get(|| slow.run()));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("bound");
    let served = tokio::spawn(hosts::tonic::serve(listener, routes.into(), drain.guard().expect("it runs")));

    let stream = TcpStream::connect(addr).await.expect("it listens");
    let (mut client, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("HTTP/2");
    let connection = tokio::spawn(connection);
    let request = hyper::Request::get("http://test/").body(Empty::<Bytes>::new()).expect("a request");
    let response = tokio::spawn(client.send_request(request));
    work.has_begun().await;
    let drained = drain.start();
    while TcpStream::connect(addr).await.is_ok() {}
    work.let_go();
    let body = response.await.expect("no panic").expect("it answers").into_body();
    assert_eq!(body.collect().await.expect("whole").to_bytes(), "done");
    connection.await.expect("no panic").expect("it ends well");
    assert!(served.await.expect("no panic").expect("it serves").is_some());
    assert_eq!(drained.await, Ok(()));
}

/// As `docs/hosts.md` says. (A test that would not notice on a machine that takes a second for nothing.)
#[tokio::test]
async fn tonic_waits_for_a_client_that_says_nothing_to_the_deadline() {
    let drain = Drain::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("bound");
    let routes = axum::Router::new().into();
    let mut served = tokio::spawn(hosts::tonic::serve(listener, routes, drain.guard().expect("it runs")));
    let _silent = TcpStream::connect(addr).await.expect("it listens");
    // Accepted behind it.
    let stream = TcpStream::connect(addr).await.expect("it listens");
    let (mut client, connection) =
        http2::handshake::<_, _, Empty<Bytes>>(TokioExecutor::new(), TokioIo::new(stream)).await.expect("HTTP/2");
    let connection = tokio::spawn(connection);
    let request = hyper::Request::get("http://test/").body(Empty::new()).expect("a request");
    client.send_request(request).await.expect("it answers");
    drop(drain.start());
    connection.await.expect("no panic").expect("it ends well");
    assert!(tokio::time::timeout(Duration::from_secs(1), &mut served).await.is_err(), "it waits no more");
    drain.close();
    assert!(served.await.expect("no panic").expect("it serves").is_none());
}

#[tokio::test]
async fn rmcp_answers_the_request_in_flight_and_returns() {
    use rmcp::model::{ListToolsResult, PaginatedRequestParams};
    use rmcp::service::{QuitReason, RequestContext};
    use rmcp::{ErrorData, RoleServer, ServerHandler};
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, duplex, split};

    struct Tools(Work);

    impl ServerHandler for Tools {
        async fn list_tools(
            &self,
            _: Option<PaginatedRequestParams>,
            _: RequestContext<RoleServer>,
        ) -> Result<ListToolsResult, ErrorData> {
            self.0.clone().run().await;
            Ok(ListToolsResult::default())
        }
    }

    let (drain, work, (io, client)) = (Drain::new(), Work::default(), duplex(4096));
    let served = hosts::rmcp::serve(Tools(work.clone()), io, drain.guard().expect("it runs"));
    let (reader, mut writer) = split(client);
    let client = async {
        let mut lines = BufReader::new(reader).lines();
        let hello = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-03-26","capabilities":{},"clientInfo":{"name":"test","version":"0"}}}"#;
        writer.write_all(format!("{hello}\n").as_bytes()).await.expect("it reads");
        lines.next_line().await.expect("it answers");
        let requests = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}
{"jsonrpc":"2.0","id":1,"method":"tools/list"}
"#;
        writer.write_all(requests.as_bytes()).await.expect("it reads");
        work.has_begun().await;
        let drained = drain.start();
        work.let_go();
        let answer = lines.next_line().await.expect("it answers").expect("it answers");
        assert!(answer.contains(r#""id":1"#) && answer.contains(r#""tools":[]"#), "{answer}");
        drained.await
    };
    let (served, drained) = join(served, client).await;
    assert!(matches!(served.expect("it serves"), Some(QuitReason::Cancelled)));
    assert_eq!(drained, Ok(()));
}

#[tokio::test]
async fn apalis_ends_the_job_in_flight_and_returns() {
    use apalis::prelude::{Data, MemoryStorage, Monitor, TaskSink, WorkerBuilder};

    async fn job(_: u32, work: Data<Work>) {
        (*work).clone().run().await;
    }

    let (drain, work, mut jobs) = (Drain::new(), Work::default(), MemoryStorage::new());
    jobs.push(1_u32).await.expect("there is room");
    let (slow, jobs) = (work.clone(), Mutex::new(Some(jobs)));
    let monitor = Monitor::new().register(move |_| {
        let jobs = jobs.lock().expect("no panic").take().expect("it is not made anew");
        WorkerBuilder::new("worker").backend(jobs).data(slow.clone()).build(job)
    });
    let ran = hosts::apalis::run(monitor, drain.guard().expect("it runs"));
    let test = async {
        work.has_begun().await;
        let drained = drain.start();
        work.let_go();
        drained.await
    };
    let (ran, drained) = join(ran, test).await;
    assert!(ran.expect("no error").is_some());
    assert_eq!(drained, Ok(()));
}

/// On embassy's own executor and clock, as they are on a computer, and its own TCP, which a loop makes talk to itself.
#[test]
fn picoserve_on_embassy_answers_the_request_in_flight_and_returns() {
    let (ended, has_ended) = mpsc::channel();
    std::thread::spawn(|| {
        let executor = Box::leak(Box::new(embassy_executor::Executor::new()));
        executor.run(|spawner| spawner.spawn(on_embassy(ended).expect("it is the only one")));
    });
    let (well, answer) = has_ended.recv_timeout(PATIENCE).expect("it ends");
    assert!(well);
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("done"), "{answer}");
}

#[embassy_executor::task]
async fn on_embassy(ended: mpsc::Sender<(bool, String)>) {
    use embassy_net::tcp::TcpSocket;
    use embassy_net::{Config, Ipv4Address, Ipv4Cidr, StackResources, StaticConfigV4};
    use embassy_net_driver_channel::driver::{HardwareAddress, LinkState};
    use embassy_net_driver_channel::{State, new};
    use futures_util::future::{Either, select};
    use futures_util::pin_mut;
    use picoserve::routing::get;

    let (drain, work) = (Drain::new(), Work::default());
    let (mut state, mut resources) = (State::<1500, 4, 4>::new(), StackResources::<4>::new());
    let (wire, device) = new(&mut state, HardwareAddress::Ip);
    let (address, port) = (Ipv4Address::new(10, 0, 0, 1), 80);
    let config = StaticConfigV4 { address: Ipv4Cidr::new(address, 24), gateway: None, dns_servers: Default::default() };
    let (stack, mut net) = embassy_net::new(device, Config::ipv4_static(config), &mut resources, 1);
    let (link, mut receives, mut sends) = wire.split();
    link.set_link_state(LinkState::Up);
    let cable = async {
        loop {
            let packet = sends.tx_buf().await;
            let length = packet.len();
            receives.rx_buf().await[..length].copy_from_slice(packet);
            sends.tx_done();
            receives.rx_done(length);
        }
    };

    let slow = work.clone();
    let app = picoserve::Router::new().route("/", get(move || slow.clone().run()));
    let config = picoserve::Config::const_default();
    let served = hosts::picoserve::serve(stack, port, &app, &config, drain.guard().expect("it runs"));
    let client = async {
        let (mut rx, mut tx) = ([0; 1024], [0; 1024]);
        let mut socket = TcpSocket::new(stack, &mut rx, &mut tx);
        while socket.connect((address, port)).await.is_err() {
            socket.abort();
            embassy_time::Timer::after_millis(10).await;
        }
        let mut request: &[u8] = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n";
        while !request.is_empty() {
            request = &request[socket.write(request).await.expect("it reads")..];
        }
        work.has_begun().await;
        let drained = drain.start();
        work.let_go();
        let (mut answer, mut buffer) = (Vec::new(), [0; 256]);
        while let Ok(length @ 1..) = socket.read(&mut buffer).await {
            answer.extend_from_slice(&buffer[..length]);
        }
        drained.await.expect("nothing was cut");
        String::from_utf8(answer).expect("text")
    };
    let (test, network) = (join(served, client), join(net.run(), cable));
    pin_mut!(test, network);
    // The network never ends.
    let Either::Left((it, _)) = select(test, network).await;
    ended.send(it).expect("the test waits");
}
