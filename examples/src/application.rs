//! The application: a few endpoints, each of which a drain treats in its own way.

use std::convert::Infallible;
use std::fmt::{self, Display};
use std::future::Future;
use std::marker::PhantomData;
use std::pin::{Pin, pin};
use std::thread;
use std::time::Duration;

use ebbtide::{Drain, Guard, Watcher};
use ebbtide_goodbye::Goodbye;
use ebbtide_service::{Obstacle, Runtime};
use futures_util::{Sink, SinkExt, Stream, StreamExt, stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Body as HttpBody, Bytes, Frame, Incoming};
use hyper::header::ALLOW;
use hyper::service::Service;
use hyper::{Method, Request, Response, StatusCode};
use hyper_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use hyper_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use hyper_tungstenite::tungstenite::{Error, Message};

use crate::output;
use crate::work::Work;

/// What every response is made of.
pub type Body = UnsyncBoxBody<Bytes, Infallible>;

/// The main listener's service, on the runtime `R`.
pub struct Application<R> {
    /// Holds a guard for each task that goes on after its response.
    tasks: Drain,
    runtime: PhantomData<fn() -> R>,
}

/// How often `/events` has one.
const TICK: Duration = Duration::from_millis(50);
/// What `/big` sends at a time.
const PIECE: usize = 64 * 1024;
/// Of a WebSocket, allocated at once. The default is 128 KiB, which is what thousands of them would mostly consist of.
const WEBSOCKET_BUFFER: usize = 4096;

impl<R: Runtime> Application<R> {
    /// An application. It has no state but the count of its tasks.
    #[expect(clippy::new_without_default, reason = "its runtime must be told")]
    #[must_use]
    pub fn new() -> Self {
        Self { tasks: Drain::new(), runtime: PhantomData }
    }

    /// Has a guard for each task that goes on after its response.
    pub fn tasks(&self) -> &Drain {
        &self.tasks
    }

    /// Answers everything but `/ws`, which every HTTP engine does in its own way.
    ///
    /// # Panics
    ///
    /// `/panic` does.
    pub async fn answer<B: HttpBody<Data = Bytes, Error: Display>>(self, request: Request<B>) -> Response<Body> {
        let path = request.uri().path().to_owned();
        let get = request.method() == Method::GET || request.method() == Method::HEAD;
        match path.as_str() {
            "/upload" if request.method() == Method::POST => upload(request.into_body()).await,
            "/upload" => not_allowed("POST"),
            "/hello" | "/slow" | "/stream" | "/big" | "/ws" | "/events" | "/panic" | "/block" | "/task" if !get => {
                not_allowed("GET, HEAD")
            }
            "/hello" => text(StatusCode::OK, "hello"),
            "/slow" => {
                let time = number(&request, "ms", 1000);
                sleep::<R>(Duration::from_millis(time)).await;
                text(StatusCode::OK, format!("slow {time}"))
            }
            "/stream" => Self::stream(number(&request, "chunks", 10), number(&request, "ms", 100)),
            "/big" => big(number(&request, "bytes", 1 << 20)),
            "/events" => Self::events(&request),
            "/panic" => {
                sleep::<R>(Duration::from_millis(number(&request, "ms", 0))).await;
                panic!("/panic was asked for");
            }
            "/block" => {
                let time = number(&request, "ms", 1000);
                output::say(format!("blocking a thread for {time} ms"));
                thread::sleep(Duration::from_millis(time));
                text(StatusCode::OK, format!("blocked {time}"))
            }
            "/task" => self.task(&request),
            _ => text(StatusCode::NOT_FOUND, "not found"),
        }
    }

    fn stream(chunks: u64, ms: u64) -> Response<Body> {
        let pieces = stream::unfold(0, move |at| async move {
            if at == chunks {
                return None;
            }
            if at > 0 {
                sleep::<R>(Duration::from_millis(ms)).await;
            }
            Some((frame(format!("chunk {at}\n")), at + 1))
        });
        streamed(pieces)
    }

    /// A stream without an end of its own: it hears of the drain, says so, and ends.
    fn events<B>(request: &Request<B>) -> Response<Body> {
        let ticks = stream::unfold(Some((watcher(request), Duration::ZERO)), |running| async move {
            let (watcher, pause) = running?;
            match watcher.clone().until_draining(sleep::<R>(pause)).await {
                Some(()) => Some((frame("tick\n"), Some((watcher, TICK)))),
                None => Some((frame("bye\n"), None)),
            }
        });
        streamed(ticks)
    }

    /// Work that goes on after the response, under a guard of its own.
    fn task<B>(self, request: &Request<B>) -> Response<Body> {
        let time = Duration::from_millis(number(request, "ms", 1000));
        if let Some(guard) = request.extensions().get::<Guard>() {
            let (guard, counted) = (guard.labelled("task"), self.tasks.guard());
            R::spawn(Box::pin(async move {
                guard.during(sleep::<R>(time)).await;
                drop(counted);
            }));
        }
        text(StatusCode::OK, "task")
    }

    /// Answers `/ws` where hyper is below.
    pub fn websocket<B>(mut request: Request<B>) -> Response<Body> {
        if !hyper_tungstenite::is_upgrade_request(&request) {
            return text(StatusCode::UPGRADE_REQUIRED, "this is a WebSocket");
        }
        let watcher = watcher(&request);
        match hyper_tungstenite::upgrade(&mut request, Some(websocket_config())) {
            Ok((response, websocket)) => {
                Self::echo(websocket, watcher);
                response.map(BodyExt::boxed_unsync)
            }
            Err(error) => text(StatusCode::BAD_REQUEST, error.to_string()),
        }
    }

    /// Echoes in the background what comes on a WebSocket, once that is there.
    pub fn echo<S>(websocket: impl Future<Output = Result<S, Error>> + Send + 'static, watcher: Watcher)
    where
        S: Stream<Item = Result<Message, Error>> + Sink<Message, Error = Error> + Send + Unpin + 'static,
    {
        R::spawn(Box::pin(async move {
            let Ok(socket) = websocket.await else { return };
            // The guard is in the connection itself, so the drain waits for this though it holds none.
            let away = Message::Close(Some(CloseFrame { code: CloseCode::Away, reason: "draining".into() }));
            drop(echo(Goodbye::new(socket, away, watcher, sleep::<R>)).await);
        }));
    }
}

impl<R> fmt::Debug for Application<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Application").field("tasks", &self.tasks.guards()).finish_non_exhaustive()
    }
}

impl<R> Clone for Application<R> {
    fn clone(&self) -> Self {
        Self { tasks: self.tasks.clone(), runtime: PhantomData }
    }
}

async fn sleep<R: Runtime>(time: Duration) {
    R::sleep(time).await;
}

impl<R: Runtime> Service<Request<Incoming>> for Application<R> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            Ok(if wants_websocket(&request) { Self::websocket(request) } else { this.answer(request).await })
        })
    }
}

/// The diagnostics listener's answers: readiness falls when the drain begins, liveness does not.
#[must_use]
pub fn diagnostics<B>(work: &Work, request: &Request<B>) -> Response<Body> {
    let obstacle = work.readiness().obstacle();
    match (request.uri().path(), obstacle) {
        ("/ready", None) => text(StatusCode::OK, "ready"),
        ("/ready", Some(obstacle)) => text(StatusCode::SERVICE_UNAVAILABLE, obstacle.to_string()),
        ("/live", _) => text(StatusCode::OK, "alive"),
        ("/status", obstacle) => {
            let state = match obstacle {
                None => "Running".to_owned(),
                Some(Obstacle::Draining(_)) => "Draining".to_owned(),
                Some(other) => other.to_string(),
            };
            text(StatusCode::OK, format!("{state}, {} in flight", work.in_flight()))
        }
        _ => text(StatusCode::NOT_FOUND, "not found"),
    }
}

/// Echoes until the client closes or, by the socket itself, the drain is over.
async fn echo<S>(mut socket: S) -> Result<(), S::Error>
where
    S: Stream<Item = Result<Message, Error>> + Sink<Message> + Unpin,
{
    while let Some(Ok(message)) = socket.next().await {
        match message {
            message @ (Message::Text(_) | Message::Binary(_)) => socket.send(message).await?,
            Message::Close(_) => return socket.close().await,
            _ => {}
        }
    }
    Ok(())
}

/// Reads it all, and answers how much it was.
async fn upload(body: impl HttpBody<Data = Bytes, Error: Display>) -> Response<Body> {
    let (mut body, mut length) = (pin!(body), 0);
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => length += frame.data_ref().map_or(0, Bytes::len),
            Err(error) => return text(StatusCode::BAD_REQUEST, error.to_string()),
        }
    }
    text(StatusCode::OK, length.to_string())
}

/// As fast as the client reads, a piece at a time.
fn big(bytes: u64) -> Response<Body> {
    let piece = Bytes::from(vec![b'x'; PIECE]);
    let pieces = stream::unfold((bytes, piece), |(left, piece)| async move {
        let length = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        (length > 0).then(|| (Frame::data(piece.slice(..length)), (left - length as u64, piece)))
    });
    let mut response = streamed(pieces);
    response.headers_mut().insert(hyper::header::CONTENT_LENGTH, bytes.into());
    response
}

fn watcher<B>(request: &Request<B>) -> Watcher {
    request.extensions().get().cloned().expect("`Http` was told to put one into every request")
}

/// A number of the query, or what it is without one.
fn number<B>(request: &Request<B>, name: &str, default: u64) -> u64 {
    let query = request.uri().query().unwrap_or_default();
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| *key == name).and_then(|(_, value)| value.parse().ok()).unwrap_or(default)
}

fn streamed(pieces: impl Stream<Item = Frame<Bytes>> + Send + 'static) -> Response<Body> {
    Response::new(StreamBody::new(pieces.map(Ok)).boxed_unsync())
}

fn frame(text: impl Into<Bytes>) -> Frame<Bytes> {
    Frame::data(text.into())
}

/// How much memory a WebSocket has.
#[must_use]
pub fn websocket_config() -> WebSocketConfig {
    WebSocketConfig::default().read_buffer_size(WEBSOCKET_BUFFER)
}

/// Whether it is for [`Application::echo`].
pub fn wants_websocket<B>(request: &Request<B>) -> bool {
    request.uri().path() == "/ws" && request.method() == Method::GET
}

/// A response of text.
pub fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Full::new(text.into()).boxed_unsync());
    *response.status_mut() = status;
    response
}

fn not_allowed(methods: &'static str) -> Response<Body> {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, format!("only {methods}"));
    response.headers_mut().insert(ALLOW, hyper::header::HeaderValue::from_static(methods));
    response
}
