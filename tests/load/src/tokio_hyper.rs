//! tokio and hyper.

use std::convert::Infallible;
use std::time::Duration;

use ebbtide::Guard;
use ebbtide_examples::Runtime;
use ebbtide_examples::application::Application;
use ebbtide_hyper::{Connections, Http};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Incoming};
use hyper::service::{Service, service_fn};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::life::{Life, listening};
use crate::serve::With;
use crate::{Error, heap, query};

#[derive(Clone)]
struct Tokio;

impl Runtime for Tokio {
    fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send {
        tokio::time::sleep(time)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(task);
    }
}

pub(crate) fn run(with: With) -> Result<(), Error> {
    tokio::runtime::Runtime::new()?.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let http = Http::new(TokioExecutor::new(), TokioTimer::new());
        match with {
            With::Minimal => {
                // As the peers do. What `escalate` has beyond that, a thread, costs a process some 0.05 ms at its end.
                let mut terminate = signal(SignalKind::terminate())?;
                let (life, guard) = Life::without_signals(listener.local_addr()?)?;
                tokio::spawn(serve(listener, guard, http, service_fn(answer)));
                life.end_by(terminate.recv()).await
            }
            With::Counted(heap) => {
                let application = Application::new(Tokio);
                let answer = move |request: Request<Incoming>| {
                    let application = application.clone();
                    async move {
                        match request.uri().path() {
                            heap::PATH => Ok(Response::new(Full::from(heap.tell()).boxed_unsync())),
                            _ => application.call(request).await,
                        }
                    }
                };
                let (life, guard) = Life::begin(listener.local_addr()?)?;
                tokio::spawn(serve(listener, guard, http.connections(&Connections::new()), service_fn(answer)));
                life.end().await
            }
            With::Nothing => bare(listener).await,
        }
    })
}

pub(crate) async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    if let Some(time) = query::pause(request.uri().query()) {
        tokio::time::sleep(time).await;
    }
    Ok(Response::new(Full::from("hello")))
}

async fn serve<S, B>(listener: TcpListener, guard: Guard, http: Http<TokioExecutor>, service: S)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let served = ebbtide_tokio::serve(listener, guard, move |stream, guard| {
        let (http, service) = (http.clone(), service.clone());
        async move { drop(http.serve(TokioIo::new(stream), service, guard).await) }
    });
    drop(served.await);
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
