//! tokio and axum.

use axum::Router;
use axum::http::Uri;
use axum::routing::get;
use ebbtide_axum::Connections;
use ebbtide_example_servers::routes::routes;
use ebbtide_examples::application::Application;
use ebbtide_tokio::Tokio;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::life::listening;
use crate::serve::With;
use crate::{Error, heap, query};

pub(crate) fn run(with: With) -> Result<(), Error> {
    let runtime = tokio::runtime::Runtime::new()?;
    let ended = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        match with {
            With::Minimal => {
                let server = ebbtide_axum::serve(listener, app()).deadline(None);
                listening(addr);
                Ok(server.await?)
            }
            With::Counted(heap) => {
                let app =
                    routes(Application::<Tokio>::new()).route(heap::PATH, get(move || async move { heap.tell() }));
                let server = ebbtide_axum::serve(listener, app).deadline(None).connections(&Connections::new());
                listening(addr);
                Ok(server.await?)
            }
            With::Nothing => {
                let mut term = signal(SignalKind::terminate())?;
                let server = axum::serve(listener, app()).with_graceful_shutdown(async move {
                    term.recv().await;
                });
                listening(addr);
                Ok(server.await?)
            }
        }
    });
    // As the example does: nothing is left to be waited for.
    runtime.shutdown_background();
    ended
}

fn app() -> Router {
    Router::new().fallback(|uri: Uri| async move {
        if let Some(time) = query::pause(uri.query()) {
            tokio::time::sleep(time).await;
        }
        "hello"
    })
}
