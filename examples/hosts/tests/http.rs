//! Each host of HTTP/1, drained: what its clients see, and what `docs/hosts.md` says of it.

mod work;

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use ebbtide::{Drain, Guard};
use ebbtide_hosts as hosts;
use futures_util::future::{Either, join, join_all, select};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use work::Work;

/// A host as it runs: whether it came to its own end.
type Running = Pin<Box<dyn Future<Output = bool>>>;

/// Begins to serve an application of its own that works.
type Serve = fn(TcpListener, Work, Guard) -> Running;

/// Each host by its name on the page.
const HOSTS: [(&str, Serve); 9] = [
    ("axum", |listener, work, guard| {
        let app = axum::Router::new().route("/", axum::routing::get(|| work.run()));
        Box::pin(async { matches!(hosts::axum::serve(listener, app, guard).await, Some(Ok(()))) })
    }),
    ("axum-server", |listener, work, guard| {
        let app = axum::Router::new().route("/", axum::routing::get(|| work.run()));
        Box::pin(async { hosts::axum_server::serve(listener, app, guard).await.expect("it serves").is_some() })
    }),
    ("actix-web", |listener, work, guard| {
        let routes = move |config: &mut actix_web::web::ServiceConfig| {
            let work = work.clone();
            config.route("/", actix_web::web::get().to(move || work.clone().run()));
        };
        Box::pin(async { hosts::actix_web::serve(listener, routes, guard).await.expect("it serves").is_some() })
    }),
    ("warp", |listener, work, guard| {
        use warp::Filter;
        let filter = warp::path::end().then(move || work.clone().run());
        Box::pin(async { hosts::warp::serve(listener, filter, guard).await.is_some() })
    }),
    ("poem", |listener, work, guard| {
        let app = poem::endpoint::make(move |_| work.clone().run());
        Box::pin(async { hosts::poem::serve(listener, app, guard).await.expect("it serves").is_some() })
    }),
    ("salvo", |listener, work, guard| {
        struct Handler(Work);

        #[salvo::async_trait]
        impl salvo::Handler for Handler {
            async fn handle(
                &self,
                _: &mut salvo::Request,
                _: &mut salvo::Depot,
                response: &mut salvo::Response,
                _: &mut salvo::FlowCtrl,
            ) {
                response.render(self.0.clone().run().await);
            }
        }

        let app = salvo::Router::new().get(Handler(work));
        Box::pin(async { hosts::salvo::serve(listener, app, guard).await.expect("it serves").is_some() })
    }),
    ("rocket", |listener, work, guard| {
        #[derive(Clone)]
        struct Handler(Work);

        #[rocket::async_trait]
        impl rocket::route::Handler for Handler {
            async fn handle<'r>(
                &self,
                request: &'r rocket::Request<'_>,
                _: rocket::Data<'r>,
            ) -> rocket::route::Outcome<'r> {
                rocket::route::Outcome::from(request, self.0.clone().run().await)
            }
        }

        // Rocket binds by itself.
        let addr = listener.local_addr().expect("bound");
        drop(listener);
        let config =
            rocket::Config { port: addr.port(), log_level: rocket::config::LogLevel::Off, ..Default::default() };
        let route = rocket::Route::new(rocket::http::Method::Get, "/", Handler(work));
        let app = rocket::custom(config).mount("/", [route]);
        Box::pin(async { hosts::rocket::serve(app, guard).await.expect("it serves").is_some() })
    }),
    ("hyper-util", |listener, work, guard| {
        let service = hyper::service::service_fn(move |_| {
            let work = work.clone();
            async { Ok::<_, std::convert::Infallible>(hyper::Response::new(work.run().await.to_owned())) }
        });
        Box::pin(async { matches!(hosts::hyper_util::serve(listener, service, guard).await, Some(Ok(()))) })
    }),
    ("jsonrpsee", |listener, work, guard| {
        let mut methods = jsonrpsee::RpcModule::new(work);
        let work = |_, work: std::sync::Arc<Work>, _| async move { (*work).clone().run().await };
        methods.register_async_method("work", work).expect("it is the only one");
        Box::pin(async { hosts::jsonrpsee::serve(listener, methods.into(), guard).await.expect("it serves").is_some() })
    }),
];

/// A request that every one of them understands: as a page, or as a call.
fn request(name: &str) -> String {
    if name != "jsonrpsee" {
        return "GET / HTTP/1.1\r\nHost: test\r\n\r\n".into();
    }
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"work"}"#;
    format!(
        "POST / HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{call}",
        call.len()
    )
}

/// A host that serves, with what the test needs of it.
struct Served {
    name: &'static str,
    addr: SocketAddr,
    drain: Drain,
    work: Work,
}

impl Served {
    async fn connect(&self) -> TcpStream {
        loop {
            match TcpStream::connect(self.addr).await {
                Ok(stream) => return stream,
                // Rocket binds late.
                Err(_) => sleep(Duration::from_millis(10)).await,
            }
        }
    }

    /// A connection with a request whose work has begun.
    async fn begun(&self) -> TcpStream {
        let mut stream = self.connect().await;
        stream.write_all(request(self.name).as_bytes()).await.expect("it reads");
        self.work.has_begun().await;
        stream
    }

    /// A connection on which a request was answered.
    async fn idle(&self) -> TcpStream {
        let mut stream = self.begun().await;
        self.work.let_go();
        let mut answer = Vec::new();
        while !String::from_utf8_lossy(&answer).contains("done") {
            assert_ne!(stream.read_buf(&mut answer).await.expect("it answers"), 0, "{}", self.name);
        }
        stream
    }

    /// Waits until the port refuses, as a host does that has heard of the drain. Returns whether it does.
    async fn refuses(&self) -> bool {
        // Fewer than there is room for in the queue of one that does not.
        for _ in 0..50 {
            if TcpStream::connect(self.addr).await.is_err() {
                return true;
            }
            sleep(Duration::from_millis(200)).await;
        }
        false
    }
}

/// What a client does that owes the host something, or to which it owes nothing.
#[derive(Clone, Copy)]
enum Client {
    Silent,
    Idle,
    HalfAHead,
}

/// Longer than any host takes that comes to its own end: hyper reads a head for 30 s, if it has a clock.
const PATIENCE: Duration = Duration::from_secs(45);

async fn serve(at: usize) -> (Served, Running) {
    let (name, serve) = HOSTS[at];
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let (addr, drain, work) = (listener.local_addr().expect("bound"), Drain::new(), Work::default());
    let running = serve(listener, work.clone(), drain.guard().expect("it runs"));
    (Served { name, addr, drain, work }, running)
}

/// Runs a host as long as a client has to do with it. It must not end before.
async fn meanwhile<T>(running: Running, name: &str, client: impl Future<Output = T>) -> (T, Running) {
    match select(running, Box::pin(client)).await {
        Either::Left((_, _)) => panic!("{name} ended too early"),
        Either::Right(it) => it,
    }
}

/// Drains a host that has such a client. Returns whether it comes to its own end. If not, a forced close must end it.
async fn ends(at: usize, client: Client) -> bool {
    let (served, running) = serve(at).await;
    let name = served.name;
    let client = async {
        let mut stream = served.connect().await;
        match client {
            Client::Silent => {}
            Client::HalfAHead => stream.write_all(b"GET / HTTP/1.1\r\nHos").await.expect("it reads"),
            Client::Idle => stream = served.idle().await,
        }
        // It was accepted by now, since one that came later was.
        drop(served.idle().await);
        drop(served.drain.start());
        stream
    };
    let (_open, running) = meanwhile(running, name, client).await;
    match select(running, Box::pin(sleep(PATIENCE))).await {
        Either::Left((is_well, _)) => is_well,
        Either::Right(((), running)) => {
            served.drain.close();
            assert!(!running.await, "{name} was cut");
            false
        }
    }
}

async fn each<T>(test: impl AsyncFn(usize) -> T) -> Vec<T> {
    join_all((0..HOSTS.len()).map(|at| test(at))).await
}

#[tokio::test]
async fn a_request_in_flight_is_answered_and_then_the_host_returns() {
    let page = page();
    each(async |at| {
        let (served, running) = serve(at).await;
        let client = async {
            let stream = served.begun().await;
            let drained = served.drain.start();
            let row = row(&page, served.name);
            assert_eq!(served.refuses().await, !row.contains("new clients wait, and are reset"), "{row}");
            (stream, drained)
        };
        let ((mut stream, drained), running) = meanwhile(running, served.name, client).await;
        served.work.let_go();
        let mut answer = String::new();
        let (is_well, read) = join(running, stream.read_to_string(&mut answer)).await;
        read.unwrap_or_else(|error| panic!("{}: {error}", served.name));
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("done"), "{}: {answer}", served.name);
        assert!(is_well, "{} did not end well", served.name);
        assert_eq!(drained.await, Ok(()), "{}", served.name);
    })
    .await;
}

/// What the deadline does to their connections is on the page.
#[tokio::test]
async fn the_deadline_ends_a_host_whose_request_does_not_end() {
    let page = page();
    let is_cut = each(async |at| {
        let (served, running) = serve(at).await;
        let (mut stream, running) = meanwhile(running, served.name, served.begun()).await;
        let drained = served.drain.start();
        let cut = async {
            served.refuses().await;
            served.drain.close();
        };
        let ((), running) = meanwhile(running, served.name, cut).await;
        assert!(!running.await, "{} was cut", served.name);
        drained.await.expect_err("it was cut");
        timeout(Duration::from_secs(10), stream.read_to_end(&mut Vec::new())).await.is_ok()
    });
    for (at, is_cut) in is_cut.await.into_iter().enumerate() {
        let row = row(&page, HOSTS[at].0);
        assert_eq!(is_cut, row.contains("its connections end with it"), "{row}");
    }
}

#[tokio::test]
async fn silent_and_idle_clients_hold_no_host_up() {
    for client in [Client::Silent, Client::Idle] {
        for (at, ends) in each(async |at| ends(at, client).await).await.into_iter().enumerate() {
            assert!(ends, "{} waits", HOSTS[at].0);
        }
    }
}

#[tokio::test]
async fn half_a_head_holds_the_hosts_up_that_the_page_names() {
    let page = page();
    for (at, ends) in each(async |at| ends(at, Client::HalfAHead).await).await.into_iter().enumerate() {
        let row = row(&page, HOSTS[at].0);
        assert_eq!(ends, !row.contains("to the deadline |"), "{row}");
    }
}

/// What users read of these hosts.
fn page() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/hosts.md")).expect("it is there")
}

fn row<'a>(page: &'a str, name: &str) -> &'a str {
    page.lines().find(|it| it.starts_with(&format!("| [{name}]"))).unwrap_or_else(|| panic!("{name} has no row"))
}
