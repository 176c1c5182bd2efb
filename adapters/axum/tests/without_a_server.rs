//! Handlers that ask for the drain, in a test of theirs that has no server.

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Extension, Request};
use axum::http::StatusCode;
use axum::routing::get;
use ebbtide::Drain;
use ebbtide_axum::{Draining, InFlight};
use tower::ServiceExt;

async fn ask(app: Router, path: &str) -> (StatusCode, Bytes) {
    let request = Request::get(path).body(Body::empty()).expect("a request");
    let response = app.oneshot(request).await.expect("it answers");
    (response.status(), to_bytes(response.into_body(), 1000).await.expect("a body"))
}

#[tokio::test]
async fn a_handler_is_tested_without_a_server() {
    let drain = Drain::new();
    let app: Router = Router::new()
        .route("/", get(|Draining(draining): Draining| async move { format!("{:?}", draining.state()) }))
        .route("/perhaps", get(|guard: Option<InFlight>| async move { guard.is_some().to_string() }));
    assert_eq!(ask(app.clone(), "/").await.0, StatusCode::INTERNAL_SERVER_ERROR, "there is none");
    assert_eq!(ask(app.clone(), "/perhaps").await.1, "false");
    let app = app.layer(Extension(drain.watcher()));
    assert_eq!(ask(app, "/").await, (StatusCode::OK, "Running".into()));
}
