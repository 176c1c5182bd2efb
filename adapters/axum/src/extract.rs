//! What a handler may ask for of the drain.

use std::convert::Infallible;

use axum::extract::rejection::ExtensionRejection;
use axum::extract::{Extension, FromRequestParts, OptionalFromRequestParts};
use axum::http::request::Parts;
use ebbtide::{Guard, Watcher};
use ebbtide_hyper::News;

/// An extractor that tells a handler when the drain begins: by a [`Watcher`], which is a future.
///
/// It is for long-running handlers: end a stream of events with it, say goodbye on a WebSocket.
///
/// In a [lame duck time](crate::Server::lame_duck) connections are told one after the other, before the drain. A request that
/// begins when its connection was told already is told at the drain. Else its client would come back at once, on the same
/// connection of HTTP/2, and again.
///
/// In a test without a server, add the layer `Extension(drain.watcher())` to the router.
///
/// # Examples
///
/// ```
/// use axum::body::Body;
/// use ebbtide_axum::Draining;
/// use futures_util::{StreamExt, stream};
///
/// async fn ticks(Draining(draining): Draining) -> Body {
///     let ticks = stream::repeat(Ok::<_, std::convert::Infallible>("tick\n"));
///     Body::from_stream(ticks.take_until(draining))
/// }
/// # let _: axum::Router = axum::Router::new().route("/ticks", axum::routing::get(ticks));
/// ```
#[derive(Clone, Debug)]
pub struct Draining(pub Watcher);

/// A guard of the drain, as an extractor: while it is held, the server does not end.
///
/// It is for work that goes on after the response: [`Guard::during`] in a task of its own. A forced close ends that.
///
/// # Examples
///
/// ```
/// use ebbtide_axum::InFlight;
///
/// # async fn send_mail() {}
/// async fn order(InFlight(guard): InFlight) -> &'static str {
///     tokio::spawn(guard.labelled("mail").during(send_mail()));
///     "ordered"
/// }
/// # let _: axum::Router = axum::Router::new().route("/order", axum::routing::post(order));
/// ```
#[derive(Clone, Debug)]
pub struct InFlight(pub Guard);

impl<S: Send + Sync> FromRequestParts<S> for Draining {
    type Rejection = ExtensionRejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ExtensionRejection> {
        match parts.extensions.get::<News>() {
            Some(news) => Ok(Self(news.watcher())),
            None => extension(parts, state).await.map(Self),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for InFlight {
    type Rejection = ExtensionRejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ExtensionRejection> {
        match parts.extensions.get::<News>() {
            Some(news) => Ok(Self(news.guard())),
            None => extension(parts, state).await.map(Self),
        }
    }
}

/// `None` if the request came in another way than through a server of ebbtide's.
impl<S: Send + Sync> OptionalFromRequestParts<S> for Draining {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, Infallible> {
        Ok(<Self as FromRequestParts<S>>::from_request_parts(parts, state).await.ok())
    }
}

/// `None` if the request came in another way than through a server of ebbtide's.
impl<S: Send + Sync> OptionalFromRequestParts<S> for InFlight {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, Infallible> {
        Ok(<Self as FromRequestParts<S>>::from_request_parts(parts, state).await.ok())
    }
}

/// What was put there by another server of ebbtide's, or by a test.
async fn extension<T, S>(parts: &mut Parts, state: &S) -> Result<T, ExtensionRejection>
where
    T: Clone + Send + Sync + 'static,
    S: Send + Sync,
{
    let Extension(it) = <Extension<T> as FromRequestParts<S>>::from_request_parts(parts, state).await?;
    Ok(it)
}
