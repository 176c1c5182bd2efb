//! smol and hyper.

use std::convert::Infallible;

use ebbtide_examples::application::Application;
use ebbtide_hyper::{Connections, Http};
use ebbtide_smol::Executor;
use ebbtide_smol::Smol;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Incoming};
use hyper::service::{Service, service_fn};
use hyper::{Request, Response};
use hyper_util::server::conn::auto;
use smol::Timer;
use smol::net::TcpListener;
use smol_hyper::rt::{FuturesIo, SmolTimer};

use crate::life::{Life, listening};
use crate::serve::With;
use crate::{Error, heap, query};

pub(crate) fn run(with: With) -> Result<(), Error> {
    smol::block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let http = Http::new(Executor, SmolTimer::new());
        match with {
            With::Minimal => ebbtide(listener, http, service_fn(answer)).await,
            With::Counted(heap) => {
                let application = Application::<Smol>::new();
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
    })
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    if let Some(time) = query::pause(request.uri().query()) {
        Timer::after(time).await;
    }
    Ok(Response::new(Full::from("hello")))
}

async fn ebbtide<S, B>(listener: TcpListener, http: Http<Executor>, service: S) -> Result<(), Error>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let (life, guard) = Life::begin(listener.local_addr()?)?;
    smol::spawn(ebbtide_smol::serve(listener, guard, http.service(FuturesIo::new, service))).detach();
    life.end().await
}

async fn bare(listener: TcpListener) -> Result<(), Error> {
    let builder = builder();
    listening(listener.local_addr()?);
    smol::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await?;
            let builder = builder.clone();
            smol::spawn(async move {
                drop(builder.serve_connection_with_upgrades(FuturesIo::new(stream), service_fn(answer)).await);
            })
            .detach();
        }
    })
    .await
}

/// What [`Http::new`] makes, and hyper's own limit on reading a head, instead of
/// [`Bounds::request`](ebbtide_hyper::Bounds::request).
fn builder() -> auto::Builder<Executor> {
    let mut builder = auto::Builder::new(Executor);
    builder.http1().timer(SmolTimer::new());
    builder.http2().timer(SmolTimer::new());
    builder
}
