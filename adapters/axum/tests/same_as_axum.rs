//! What `axum::serve` takes, `ebbtide_axum::serve` takes: a program changes its path and nothing else.

use std::convert::Infallible;
use std::future::{IntoFuture, ready};
use std::net::SocketAddr;

use axum::Router;
use axum::extract::connect_info::Connected;
use axum::handler::{Handler, HandlerWithoutStateExt};
use axum::routing::get;
use ebbtide_axum::serve;
use ebbtide_axum::serve::{IncomingStream, Listener, ListenerExt};
use tokio::net::TcpListener;

async fn handler() {}

async fn tcp() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("a port")
}

async fn tapped() -> impl Listener<Io = tokio::net::TcpStream, Addr = SocketAddr> {
    tcp().await.tap_io(|stream| drop(stream.set_nodelay(true)))
}

/// That they compile is the test: nothing is served before it is awaited.
fn serves<F: Send>(server: impl IntoFuture<IntoFuture = F>) {
    drop(server.into_future());
}

macro_rules! everything_is_served {
    ($listener:expr, $info:ty) => {
        serves(serve($listener, Router::new()));
        serves(serve($listener, Router::new().into_make_service()));
        serves(serve($listener, Router::new().into_make_service_with_connect_info::<$info>()));
        serves(serve($listener, get(handler)));
        serves(serve($listener, get(handler).into_make_service()));
        serves(serve($listener, get(handler).into_make_service_with_connect_info::<$info>()));
        serves(serve($listener, handler.into_service()));
        serves(serve($listener, handler.with_state(())));
        serves(serve($listener, handler.into_make_service()));
        serves(serve($listener, handler.into_make_service_with_connect_info::<$info>()));
    };
}

#[tokio::test]
async fn whatever_axum_serves_is_served_from_tokios_tcp_listener() {
    everything_is_served!(tcp().await, SocketAddr);
}

#[tokio::test]
async fn and_from_axums_tapped_listener() {
    everything_is_served!(tapped().await, SocketAddr);
}

#[cfg(unix)]
#[tokio::test]
async fn and_from_a_unix_listener_with_information_of_ones_own() {
    use tokio::net::UnixListener;

    #[derive(Clone, Debug)]
    struct Who;

    impl Connected<IncomingStream<'_, UnixListener>> for Who {
        fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
            drop((stream.io().peer_cred(), stream.remote_addr().is_unnamed()));
            Self
        }
    }

    let directory = std::env::temp_dir().join(format!("ebbtide-axum-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let mut count = 0;
    let mut unix = || {
        count += 1;
        UnixListener::bind(directory.join(count.to_string())).expect("a path")
    };
    everything_is_served!(unix(), Who);
    everything_is_served!(unix(), tokio::net::unix::SocketAddr);
    std::fs::remove_dir_all(&directory).expect("it is there");
}

#[tokio::test]
async fn a_make_service_of_ones_own_is_served() {
    let app = Router::new().route("/", get(handler));
    let make = tower::service_fn(move |stream: IncomingStream<'_, TcpListener>| {
        println!("{}", stream.remote_addr());
        ready(Ok::<_, Infallible>(app.clone()))
    });
    serves(serve(tcp().await, make));
}

#[tokio::test]
async fn the_address_is_told_with_and_without_a_signal() {
    let server = serve(tcp().await, Router::new());
    assert_ne!(server.local_addr().expect("bound").port(), 0);
    let server = server.with_graceful_shutdown(std::future::pending());
    assert_ne!(server.local_addr().expect("bound").port(), 0);
}

#[test]
fn a_server_is_made_a_future_outside_of_a_runtime() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let listener = runtime.block_on(tcp());
    drop(serve(listener, Router::new()).into_future());
}

/// A `main` as it was written for axum.
async fn main_of_io_errors() -> std::io::Result<()> {
    serve(tcp().await, Router::new()).with_graceful_shutdown(ready(())).await?;
    Ok(())
}

#[tokio::test]
async fn a_main_that_returns_io_errors_goes_on_returning_them() {
    main_of_io_errors().await.expect("nothing was cut");
}

#[tokio::test]
async fn a_handler_is_tested_without_a_server() {
    use axum::body::Body;
    use axum::extract::{Extension, Request};
    use axum::http::StatusCode;
    use ebbtide_axum::{Draining, InFlight};
    use tower::ServiceExt;

    let drain = ebbtide::Drain::new();
    let app: Router = Router::new()
        .route("/", get(|Draining(draining): Draining| async move { format!("{:?}", draining.state()) }))
        .route("/perhaps", get(|guard: Option<InFlight>| async move { guard.is_some().to_string() }));
    let ask = |app: Router, path| async move {
        let response =
            app.oneshot(Request::get(path).body(Body::empty()).expect("a request")).await.expect("it answers");
        (response.status(), axum::body::to_bytes(response.into_body(), 1000).await.expect("a body"))
    };
    assert_eq!(ask(app.clone(), "/").await.0, StatusCode::INTERNAL_SERVER_ERROR, "there is none");
    assert_eq!(ask(app.clone(), "/perhaps").await.1, "false");
    let app = app.layer(Extension(drain.watcher()));
    assert_eq!(ask(app, "/").await, (StatusCode::OK, "Running".into()));
}
