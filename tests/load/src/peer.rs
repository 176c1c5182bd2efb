//! The servers that ebbtide is measured against, and ebbtide with the same service: each a child process.

use std::convert::Infallible;
use std::time::Duration;

use ebbtide::Drain;
use ebbtide_hyper::Http;
use ebbtide_signal::{Signals, escalate};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::Error;

/// Serves as the peer of this name until it is told to end.
pub(crate) async fn serve(name: &str) -> Result<(), Error> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let ready = format!("serving on http://{}", listener.local_addr()?);
    match name {
        "ebbtide" => ebbtide(listener, &ready).await,
        "graceful" => graceful(listener, &ready).await,
        "bare" => bare(listener, &ready).await,
        _ => Err(format!("there is no peer {name}").into()),
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    if let Some(ms) = request.uri().query().and_then(|query| query.strip_prefix("ms=")?.parse().ok()) {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
    Ok(Response::new(Full::from("hello")))
}

async fn ebbtide(listener: TcpListener, ready: &str) -> Result<(), Error> {
    let (drain, signals) = (Drain::new(), Signals::new()?);
    let guard = drain.watcher().guard().ok_or("nothing has started it yet")?;
    escalate(drain.clone(), signals);
    println!("{ready}");
    let http = Http::new(TokioExecutor::new(), TokioTimer::new());
    tokio::spawn(ebbtide_tokio::serve(listener, guard, move |stream, guard| {
        let http = http.clone();
        async move { drop(http.serve(TokioIo::new(stream), service_fn(answer), guard).await) }
    }));
    drain.watcher().await;
    Ok(drain.start().await?)
}

/// hyper-util's own way, as its example has it.
async fn graceful(listener: TcpListener, ready: &str) -> Result<(), Error> {
    let (builder, graceful) = (builder(), GracefulShutdown::new());
    let mut signals = signal(SignalKind::terminate())?;
    println!("{ready}");
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let connection = builder.serve_connection_with_upgrades(TokioIo::new(accepted?.0), service_fn(answer));
                tokio::spawn(graceful.watch(connection.into_owned()));
            }
            _ = signals.recv() => break,
        }
    }
    drop(listener);
    graceful.shutdown().await;
    Ok(())
}

/// hyper with no way to end at all: the speed limit.
async fn bare(listener: TcpListener, ready: &str) -> Result<(), Error> {
    let builder = builder();
    println!("{ready}");
    loop {
        let (stream, _) = listener.accept().await?;
        let builder = builder.clone();
        tokio::spawn(async move {
            drop(builder.serve_connection_with_upgrades(TokioIo::new(stream), service_fn(answer)).await);
        });
    }
}

/// What [`Http::new`] makes.
fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new());
    builder.http2().timer(TokioTimer::new());
    builder
}
