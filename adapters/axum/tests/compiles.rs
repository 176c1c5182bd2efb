//! What must compile: all that axum's own test of `axum::serve` serves (`if_it_compiles_it_works`), with another path.

use std::convert::Infallible;
use std::future::{IntoFuture, pending, ready};
use std::io;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::connect_info::Connected;
use axum::handler::{Handler, HandlerWithoutStateExt};
use axum::routing::get;
use ebbtide_axum::Error;
use ebbtide_axum::serve;
use ebbtide_axum::serve::{IncomingStream, Listener, ListenerExt, Serve};
use tokio::net::{TcpListener, TcpStream};

async fn handler() {}

/// That it compiles is the test: the server would be a future, which can be spawned. Nothing is served.
fn serves<F: Future<Output = Result<(), Error>> + Send + 'static>(server: impl IntoFuture<IntoFuture = F>) {
    drop(server);
}

macro_rules! in_each_way {
    ($listener:expr, $service:expr) => {
        serves(serve($listener, $service));
        serves(serve($listener, $service).with_graceful_shutdown(pending()));
    };
}

macro_rules! everything_is_served {
    ($listener:expr, $info:ty) => {
        in_each_way!($listener, Router::new());
        in_each_way!($listener, Router::new().into_make_service());
        in_each_way!($listener, Router::new().into_make_service_with_connect_info::<$info>());
        in_each_way!($listener, get(handler));
        in_each_way!($listener, get(handler).into_make_service());
        in_each_way!($listener, get(handler).into_make_service_with_connect_info::<$info>());
        in_each_way!($listener, handler.into_service());
        in_each_way!($listener, handler.with_state(()));
        in_each_way!($listener, handler.with_state(()).into_make_service());
        in_each_way!($listener, handler.with_state(()).into_make_service_with_connect_info::<$info>());
        in_each_way!($listener, handler.into_make_service());
        in_each_way!($listener, handler.into_make_service_with_connect_info::<$info>());
    };
}

/// Information on a connection of one's own, for whatever listener.
#[derive(Clone, Debug)]
struct Who;

impl<L: Listener<Addr: std::fmt::Debug>> Connected<IncomingStream<'_, L>> for Who {
    fn connect_info(stream: IncomingStream<'_, L>) -> Self {
        let (_io, _addr): (&L::Io, &L::Addr) = (stream.io(), stream.remote_addr());
        Self
    }
}

async fn tcp() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("a port")
}

async fn tapped() -> impl Listener<Io = TcpStream, Addr = SocketAddr> {
    tcp().await.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            eprintln!("{error}");
        }
    })
}

#[tokio::test]
async fn everything_is_served_from_a_tcp_listener() {
    everything_is_served!(tcp().await, SocketAddr);
    everything_is_served!(tcp().await, Who);
}

#[tokio::test]
async fn everything_is_served_from_a_tapped_listener() {
    everything_is_served!(tapped().await, SocketAddr);
    everything_is_served!(tapped().await, Who);
}

#[cfg(unix)]
#[tokio::test]
async fn everything_is_served_from_a_unix_listener_tapped_or_not() {
    use tokio::net::UnixListener;
    use tokio::net::unix::UCred;

    /// What only this listener has.
    #[derive(Clone, Debug)]
    struct Process(#[allow(dead_code)] UCred);

    impl Connected<IncomingStream<'_, UnixListener>> for Process {
        fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
            Self(stream.io().peer_cred().expect("connected"))
        }
    }

    let directory = std::env::temp_dir().join(format!("ebbtide-axum-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let mut count = 0;
    let mut unix = || {
        count += 1;
        UnixListener::bind(directory.join(count.to_string())).expect("a path")
    };
    everything_is_served!(unix(), Process);
    everything_is_served!(unix(), tokio::net::unix::SocketAddr);
    everything_is_served!(unix().tap_io(|_| {}), Who);
    std::fs::remove_dir_all(&directory).expect("it is there");
}

#[tokio::test]
async fn everything_is_served_from_a_listener_of_ones_own() {
    use tokio::io::{DuplexStream, duplex};

    struct Memory;

    impl Listener for Memory {
        type Io = DuplexStream;
        type Addr = ();

        async fn accept(&mut self) -> (DuplexStream, ()) {
            (duplex(1024).0, ())
        }

        fn local_addr(&self) -> io::Result<()> {
            Ok(())
        }
    }

    everything_is_served!(Memory, Who);
}

#[tokio::test]
async fn a_make_service_of_ones_own_is_served() {
    let app = Router::new().route("/", get(handler));
    let make = tower::service_fn(move |stream: IncomingStream<'_, TcpListener>| {
        println!("{}", stream.remote_addr());
        ready(Ok::<_, Infallible>(app.clone()))
    });
    in_each_way!(tcp().await, make.clone());
}

#[tokio::test]
async fn the_address_is_told_with_and_without_a_signal() {
    let server = serve(tcp().await, Router::new());
    assert_ne!(server.local_addr().expect("bound").port(), 0);
    let server = server.with_graceful_shutdown(pending());
    assert_ne!(server.local_addr().expect("bound").port(), 0);
}

#[tokio::test]
async fn a_server_is_named_printed_and_kept() {
    let server: Serve<TcpListener, Router, Router> = serve(tcp().await, Router::new());
    assert!(format!("{server:?}").contains("127.0.0.1"), "{server:?}");
    serves(server);
}

#[test]
fn a_server_is_made_a_future_outside_of_a_runtime() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let listener = runtime.block_on(tcp());
    drop(serve(listener, Router::new()).into_future());
}

/// A `main` as it was written for axum.
async fn main_of_io_errors() -> io::Result<()> {
    serve(tcp().await, Router::new()).with_graceful_shutdown(ready(())).await?;
    Ok(())
}

#[tokio::test]
async fn a_main_that_returns_io_errors_goes_on_returning_them() {
    main_of_io_errors().await.expect("nothing was cut");
}
