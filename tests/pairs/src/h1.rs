//! The suite's application on async-h1, which has HTTP types of its own.

use std::future::Future;
use std::pin::Pin;

use ebbtide::{Guard, Watcher};
use ebbtide_testkit::{Application, Reply};
use futures_lite::AsyncReadExt;
use http_types::headers::{CONNECTION, UPGRADE};
use http_types::{Body, Request, Response, StatusCode};

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Why a promise about HTTP/2 is none of its.
pub(crate) const NO_HTTP2: &str = "async-h1 speaks HTTP/1.1 only";

/// One connection's endpoint. `spawn` gets what outlasts its request.
pub(crate) fn endpoint(
    application: Application,
    guard: Guard,
    spawn: impl Fn(Task) + Clone + Send + 'static,
) -> impl Fn(Request) -> Pin<Box<dyn Future<Output = http_types::Result<Response>> + Send>> {
    move |request| Box::pin(answer(application.clone(), guard.clone(), spawn.clone(), request))
}

async fn answer(
    application: Application,
    guard: Guard,
    spawn: impl Fn(Task),
    mut request: Request,
) -> http_types::Result<Response> {
    let mut exchange = application.request(request.method().as_ref(), request.url().path());
    if exchange.is_upgrade() {
        let mut response = Response::new(StatusCode::SwitchingProtocols);
        response.insert_header(CONNECTION, "upgrade");
        response.insert_header(UPGRADE, "echo");
        let upgraded = response.recv_upgrade().await;
        // The connection's own, which hears of the drain in its turn.
        let watcher = request.ext().get::<Watcher>().cloned().unwrap_or_else(|| guard.watcher());
        // The connection holds a guard of its own from here.
        drop(guard);
        spawn(Box::pin(async {
            let Some(io) = upgraded.await else { return };
            drop(exchange.echo(io, watcher).await);
        }));
        return Ok(response);
    }
    if exchange.reads() {
        let mut piece = [0; 4096];
        loop {
            let length = request.read(&mut piece).await?;
            if length == 0 {
                break;
            }
            exchange.receive(&piece[..length]);
        }
    }
    if let Some(work) = exchange.work() {
        let worked = guard.labelled("work").during(work);
        spawn(Box::pin(async {
            worked.await;
        }));
    }
    let Reply { status, length, body, .. } = exchange.reply().await;
    let mut response = Response::new(status);
    let length = length.and_then(|it| usize::try_from(it).ok());
    response.set_body(Body::from_reader(body, length));
    Ok(response)
}
