//! The application as an axum router, on any runtime.

use std::future::ready;

use axum::Router;
use axum::extract::Request;
use axum::routing::get;
use ebbtide::Held;
use ebbtide_axum::{Draining, InFlight, Part};
use ebbtide_examples::Runtime;
use ebbtide_examples::application::{Application, diagnostics};
use ebbtide_examples::work::Work;

/// The main listener's routes.
pub fn routes<R: Runtime>(application: Application<R>) -> Router {
    let websocket = application.clone();
    Router::new().route("/ws", get(|request: Request| async { websocket.websocket(request) })).fallback(
        |Draining(draining): Draining, InFlight(guard): InFlight, mut request: Request| {
            // Where the application has it from other servers.
            request.extensions_mut().insert(draining);
            request.extensions_mut().insert(guard);
            application.answer(request)
        },
    )
}

/// What a server that is a part of a larger drain holds itself.
#[must_use]
pub fn held(part: Held) -> Vec<Held> {
    match part.label().downcast_ref::<Part>() {
        Some(server) => server.held(),
        None => vec![part],
    }
}

/// The diagnostics listener's.
pub fn status(work: Work) -> Router {
    Router::new().fallback(move |request: Request| ready(diagnostics(&work, &request)))
}
