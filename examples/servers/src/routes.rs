//! The application as an axum router, on any runtime.

use std::future::ready;

use axum::Router;
use axum::extract::Request;
use axum::routing::get;
use ebbtide_axum::{Draining, InFlight};
use ebbtide_examples::application::{Application, diagnostics};
use ebbtide_examples::work::Work;
use ebbtide_service::Runtime;

/// The main listener's routes.
pub fn routes<R: Runtime>(application: Application<R>) -> Router {
    let websocket = |request: Request| ready(Application::<R>::websocket(request));
    Router::new().route("/ws", get(websocket)).fallback(
        |Draining(draining): Draining, InFlight(guard): InFlight, mut request: Request| {
            // Where the application has it from other servers.
            request.extensions_mut().insert(draining);
            request.extensions_mut().insert(guard);
            application.answer(request)
        },
    )
}

/// The diagnostics listener's.
pub fn status(work: Work) -> Router {
    Router::new().fallback(move |request: Request| ready(diagnostics(&work, &request)))
}
