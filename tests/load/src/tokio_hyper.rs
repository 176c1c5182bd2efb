//! tokio and hyper.

use std::convert::Infallible;

use ebbtide_examples::application::Application;
use ebbtide_hyper::{Connections, Http};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Incoming};
use hyper::service::{Service, service_fn};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;

use crate::life::{Life, listening};
use crate::serve::With;
use crate::{Error, heap, query};

pub(crate) fn run(with: With) -> Result<(), Error> {
    let runtime = tokio::runtime::Runtime::new()?;
    let ended = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let http = Http::new(TokioExecutor::new(), TokioTimer::new());
        match with {
            With::Minimal => ebbtide(listener, http, service_fn(answer)).await,
            With::Counted(heap) => {
                let application = Application::<ebbtide_tokio::Tokio>::new();
                let answer = move |request: Request<Incoming>| {
                    let application = application.clone();
                    async move {
                        match request.uri().path() {
                            heap::PATH => Ok(Response::new(Full::from(heap.tell()).boxed_unsync())),
                            _ => application.call(request).await,
                        }
                    }
                };
                ebbtide(listener, http.connections(&Connections::new()), service_fn(answer)).await
            }
            With::Nothing => bare(listener).await,
        }
    });
    // As the example does: nothing is left to be waited for.
    runtime.shutdown_background();
    ended
}

pub(crate) async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    if let Some(time) = query::pause(request.uri().query()) {
        tokio::time::sleep(time).await;
    }
    Ok(Response::new(Full::from("hello")))
}

async fn ebbtide<S, B>(listener: TcpListener, http: Http<TokioExecutor>, service: S) -> Result<(), Error>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let (life, guard) = Life::begin(listener.local_addr()?)?;
    tokio::spawn(ebbtide_tokio::serve(listener, guard, http.service(TokioIo::new, service)));
    life.end().await
}

async fn bare(listener: TcpListener) -> Result<(), Error> {
    let builder = builder();
    listening(listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        let builder = builder.clone();
        tokio::spawn(async move {
            drop(builder.serve_connection_with_upgrades(TokioIo::new(stream), service_fn(answer)).await);
        });
    }
}

/// What [`Http::new`] makes, and hyper's own limit on reading a head, instead of
/// [`Bounds::request`](ebbtide_hyper::Bounds::request).
pub(crate) fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new());
    builder.http2().timer(TokioTimer::new());
    builder
}
