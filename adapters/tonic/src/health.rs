//! A health service whose watchers hear of the drain, and end with it.

use std::collections::HashMap;
use std::fmt;
use std::future::{Future, pending};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use axum::http::Extensions;
use ebbtide::{Drain, Watcher};
use ebbtide_hyper::News;
use futures_core::Stream;
use futures_util::future::{Either, FutureExt, select};
use futures_util::stream;
use tokio::sync::watch;
use tonic::server::NamedService;
use tonic::{Request, Response, Status};
pub use tonic_health::ServingStatus;
use tonic_health::pb::health_check_response::ServingStatus as Wire;
use tonic_health::pb::health_server::{Health as Service, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::request::draining;

/// gRPC's health service (`grpc.health.v1.Health`): the status of each service by its name, and of the whole server by the
/// empty name. In a drain every name is `NOT_SERVING`; who watches one is told, and then its stream ends.
///
/// tonic-health's own never ends such a stream, so that the health checks of one client hold up every drain until its
/// deadline. This has the methods of its `HealthReporter`; they do not wait.
///
/// A clone is a handle of the same service.
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
/// use ebbtide::Drain;
/// use ebbtide_signal::{Signals, escalate};
/// use ebbtide_tonic::Health;
///
/// # async fn run(
/// #     listener: tokio::net::TcpListener, routes: tonic::service::Routes,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// let drain = Drain::new();
/// escalate(drain.clone(), Signals::new()?);
/// let health = Health::new().drain(&drain);
///
/// let routes = routes.add_service(health.server());
/// // Not ready from the signal on; and five seconds later, when everybody has seen that, the drain.
/// ebbtide_tonic::serve(listener, routes).drain(&drain).lame_duck(Duration::from_secs(5)).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Health {
    statuses: watch::Sender<Statuses>,
    leaving: Option<Watcher>,
}

type Statuses = HashMap<String, ServingStatus>;

impl Health {
    /// A server that is serving, and of whose services nothing is known.
    ///
    /// Under [`serve`](crate::serve()) it hears of the drain from the connections. In a lame duck time, whoever checks is
    /// told from the beginning on, and whoever watches in the turn of its connection. For all at once, [say which
    /// drain](Self::drain) comes first. Under tonic's own server nothing tells it but that, and streams end with their
    /// clients only.
    pub fn new() -> Self {
        let statuses = HashMap::from([(String::new(), ServingStatus::Serving)]);
        Self { statuses: watch::Sender::new(statuses), leaving: None }
    }

    /// Every name is `NOT_SERVING` as soon as `drain` has begun: the one that signals start, which the server is told by
    /// [`drain`](ebbtide_axum::Server::drain) too. Its lame duck time comes behind that.
    ///
    /// Streams end when the server drains, and not before, since clients would come back at once. Under tonic's own server
    /// they end as soon as `drain` has begun.
    pub fn drain(mut self, drain: &Drain) -> Self {
        self.leaving = Some(drain.watcher());
        self
    }

    /// Says that a service is serving, by the name of its server: `health.set_serving::<GreeterServer<MyGreeter>>()`.
    pub fn set_serving<S: NamedService>(&self) {
        self.set_service_status(S::NAME, ServingStatus::Serving);
    }

    /// Says that a service is not serving, by the name of its server.
    pub fn set_not_serving<S: NamedService>(&self) {
        self.set_service_status(S::NAME, ServingStatus::NotServing);
    }

    /// Sets the status of a name; the empty one is the whole server's. Who watches it is told, if it has changed.
    pub fn set_service_status(&self, name: impl Into<String>, status: ServingStatus) {
        let name = name.into();
        self.statuses.send_if_modified(|statuses| statuses.insert(name, status) != Some(status));
    }

    /// Takes a name back. Who watches it is told `SERVICE_UNKNOWN`.
    pub fn clear_service_status(&self, name: &str) {
        self.statuses.send_if_modified(|statuses| statuses.remove(name).is_some());
    }

    /// The service, for the routes.
    pub fn server(&self) -> HealthServer<Self> {
        HealthServer::new(self.clone())
    }
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}

#[tonic::async_trait]
impl Service for Health {
    type WatchStream = WatchStream;

    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        let turn = draining(request.extensions());
        let has_left = is_lame_duck(request.extensions()) || self.leaving.iter().chain(&turn).any(has_begun);
        match status(&self.statuses.borrow(), &request.get_ref().service, has_left) {
            Wire::ServiceUnknown => Err(Status::not_found("the service is not known")),
            status => Ok(Response::new(response(status))),
        }
    }

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<WatchStream>, Status> {
        let turn = draining(request.extensions());
        let drain = request.extensions().get::<News>().map(|it| it.guard().watcher()).or_else(|| turn.clone());
        let has_left = is_lame_duck(request.extensions());
        let watching = Watching {
            statuses: self.statuses.subscribe(),
            name: request.into_inner().service,
            leaving: self.leaving.clone(),
            turn,
            // Not with the first news of the end: Go's client watches anew at once if it was told anything before, and would do
            // so all through a lame duck time (grpc-go, health/client.go). Under another server there is only one.
            drain: drain.or_else(|| self.leaving.clone()),
            has_left,
            told: None,
        };
        Ok(Response::new(WatchStream(Box::pin(stream::unfold(watching, Watching::next)))))
    }
}

/// Who watches one name.
struct Watching {
    statuses: watch::Receiver<Statuses>,
    name: String,
    leaving: Option<Watcher>,
    turn: Option<Watcher>,
    drain: Option<Watcher>,
    has_left: bool,
    told: Option<Wire>,
}

impl Watching {
    async fn next(mut self) -> Option<(Result<HealthCheckResponse, Status>, Self)> {
        loop {
            self.has_left |= self.leaving.iter().chain(&self.turn).any(has_begun);
            let status = status(&self.statuses.borrow_and_update(), &self.name, self.has_left);
            if self.told != Some(status) {
                self.told = Some(status);
                return Some((Ok(response(status)), self));
            }
            let changed = pin!(self.statuses.changed());
            if self.has_left {
                // It is told that it is not serving before it ends.
                let Either::Right((changed, _)) = select(or_never(&mut self.drain), changed).await else { return None };
                changed.ok()?;
            } else {
                let leaves = select(or_never(&mut self.leaving), or_never(&mut self.turn));
                if let Either::Right((changed, _)) = select(leaves, changed).await {
                    changed.ok()?;
                }
            }
        }
    }
}

/// Whether a watcher is ready, which one of a turn may be before its drain has begun.
fn has_begun(watcher: &Watcher) -> bool {
    watcher.clone().now_or_never().is_some()
}

/// Whether the lame duck time of a call's server has begun.
fn is_lame_duck(extensions: &Extensions) -> bool {
    // Nobody says so but to those who take a turn.
    extensions.get::<News>().and_then(|it| it.guard().turn()).is_some_and(|it| it.is_late())
}

fn or_never(watcher: &mut Option<Watcher>) -> impl Future<Output = ()> + Unpin {
    match watcher {
        Some(watcher) => Either::Left(watcher),
        None => Either::Right(pending()),
    }
}

fn status(statuses: &Statuses, name: &str, has_left: bool) -> Wire {
    match statuses.get(name) {
        Some(_) if has_left => Wire::NotServing,
        Some(status) => (*status).into(),
        None => Wire::ServiceUnknown,
    }
}

fn response(status: Wire) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

/// What a client that watches a name is told.
pub struct WatchStream(Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>);

impl Stream for WatchStream {
    type Item = Result<HealthCheckResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(cx)
    }
}

impl fmt::Debug for WatchStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchStream").finish_non_exhaustive()
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Health")
            .field("statuses", &*self.statuses.borrow())
            .field("is_leaving", &self.leaving.as_ref().is_some_and(has_begun))
            .finish()
    }
}
