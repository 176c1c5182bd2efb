//! The service of one connection: the routes, and what their calls may know of the connection.

use std::convert::Infallible;
use std::fmt;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use ebbtide_axum::{IncomingStream, Listener};
use ebbtide_tokio::Tokio;
use tonic::transport::server::Connected;
use tower::Service;

use crate::timeout::{Timed, timeout};

/// What makes a service for each connection.
#[derive(Clone, Debug)]
pub struct MakeService {
    routes: Router,
}

impl MakeService {
    pub(crate) fn new(routes: Router) -> Self {
        Self { routes }
    }
}

impl<L: Listener<Tokio, Io: Connected>> Service<IncomingStream<'_, Tokio, L>> for MakeService {
    type Response = ConnectionService<<L::Io as Connected>::ConnectInfo>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, stream: IncomingStream<'_, Tokio, L>) -> Self::Future {
        ready(Ok(ConnectionService { routes: self.routes.clone(), info: stream.io().connect_info() }))
    }
}

/// The service of one connection. It tells each call what is known of the connection, by which `Request::remote_addr` answers,
/// and ends a call whose `grpc-timeout` is over.
#[derive(Clone)]
pub struct ConnectionService<I> {
    routes: Router,
    info: I,
}

impl<I: Clone + Send + Sync + 'static> Service<Request> for ConnectionService<I> {
    type Response = Response;
    type Error = Infallible;
    type Future = Timed;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<Request>::poll_ready(&mut self.routes, cx)
    }

    fn call(&mut self, mut request: Request) -> Timed {
        let timeout = timeout(request.headers());
        request.extensions_mut().insert(self.info.clone());
        Timed::new(self.routes.call(request), timeout)
    }
}

impl<I> fmt::Debug for ConnectionService<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionService").finish_non_exhaustive()
    }
}
