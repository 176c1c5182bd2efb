//! smol and async-h1.

use std::convert::identity;

use ebbtide_async_h1::{Connections, Http};
use ebbtide_example_servers::h1::endpoint;
use ebbtide_examples::application::Application;
use ebbtide_smol::Smol;
use http_types::{Request, Response};
use smol::Timer;
use smol::net::TcpListener;

use crate::life::{Life, listening};
use crate::serve::With;
use crate::{Error, heap, query};

pub(crate) fn run(with: With) -> Result<(), Error> {
    smol::block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let http = Http::new(Timer::after);
        match with {
            With::Minimal => ebbtide(listener, http, answer).await,
            With::Counted(heap) => {
                let application = Application::<Smol>::new();
                let answer = move |request: Request| {
                    let application = application.clone();
                    async move {
                        match request.url().path() {
                            heap::PATH => Ok(heap.tell().into()),
                            _ => endpoint(application, request).await,
                        }
                    }
                };
                ebbtide(listener, http.connections(&Connections::new()), answer).await
            }
            With::Nothing => bare(listener).await,
        }
    })
}

async fn answer(request: Request) -> http_types::Result<Response> {
    if let Some(time) = query::pause(request.url().query()) {
        Timer::after(time).await;
    }
    Ok("hello".into())
}

async fn ebbtide<F, Fut>(listener: TcpListener, http: Http, endpoint: F) -> Result<(), Error>
where
    F: Fn(Request) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = http_types::Result<Response>> + Send + 'static,
{
    let (life, guard) = Life::begin(listener.local_addr()?)?;
    smol::spawn(ebbtide_smol::serve(listener, guard, http.service(identity, endpoint))).detach();
    life.end().await
}

async fn bare(listener: TcpListener) -> Result<(), Error> {
    listening(listener.local_addr()?);
    smol::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await?;
            // async-h1 writes head and body one after the other: without this it is the kernel's timers that are measured.
            stream.set_nodelay(true)?;
            smol::spawn(async move { drop(async_h1::accept(stream, answer).await) }).detach();
        }
    })
    .await
}
