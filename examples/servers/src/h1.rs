//! The application on async-h1, which has HTTP types of its own.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use async_tungstenite::WebSocketStream;
use ebbtide::{Guard, Watcher};
use futures_util::io::{AsyncBufRead, AsyncRead, AsyncReadExt};
use futures_util::{TryStreamExt, stream};
use http_body_util::{BodyExt, StreamBody};
use http_types::{StatusCode, headers};
use hyper::body::{Body as _, Bytes, Frame};
use hyper::header::CONTENT_LENGTH;
use hyper::{Request, Response};
use hyper_tungstenite::tungstenite::handshake::derive_accept_key;
use hyper_tungstenite::tungstenite::protocol::Role;

use ebbtide_examples::application::{Application, Body, diagnostics, wants_websocket, websocket_config};
use ebbtide_examples::work::Work;
use ebbtide_service::Runtime;

/// How much of an upload is read at a time.
const PIECE: usize = 16 * 1024;

/// The main listener's endpoint.
///
/// # Errors
///
/// None; the type is async-h1's.
pub async fn endpoint<R: Runtime>(
    application: Application<R>,
    request: http_types::Request,
) -> http_types::Result<http_types::Response> {
    let request = translated(request)?;
    if wants_websocket(&request) {
        return Ok(websocket::<R>(&request).await);
    }
    Ok(answered(application.answer(request.map(upload)).await))
}

/// The diagnostics listener's.
///
/// # Errors
///
/// None; the type is async-h1's.
pub fn status(main: &Work, request: http_types::Request) -> http_types::Result<http_types::Response> {
    Ok(answered(diagnostics(main, &translated(request)?)))
}

/// The handshake (RFC 6455, section 4.2.2), which `async-tungstenite` leaves to the HTTP engine.
async fn websocket<R: Runtime>(request: &Request<http_types::Body>) -> http_types::Response {
    let key = request.headers().get("sec-websocket-key");
    let watcher = request.extensions().get::<Watcher>();
    let (Some(key), Some(watcher), true) = (key, watcher, request.headers().contains_key("upgrade")) else {
        return StatusCode::UpgradeRequired.into();
    };
    let mut response = http_types::Response::new(StatusCode::SwitchingProtocols);
    response.insert_header(headers::CONNECTION, "upgrade");
    response.insert_header(headers::UPGRADE, "websocket");
    response.insert_header("sec-websocket-accept", derive_accept_key(key.as_bytes()));
    let upgraded = response.recv_upgrade().await;
    let websocket = async move {
        let connection = upgraded.await.ok_or(io::Error::from(io::ErrorKind::NotConnected))?;
        Ok(WebSocketStream::from_raw_socket(connection, Role::Server, Some(websocket_config())).await)
    };
    Application::<R>::echo(websocket, watcher.clone());
    response
}

fn translated(mut request: http_types::Request) -> http_types::Result<Request<http_types::Body>> {
    let body = request.take_body();
    let mut translated = Request::builder().method(request.method().as_ref()).uri(request.url().as_str());
    for (name, values) in &request {
        for value in values {
            translated = translated.header(name.as_str(), value.as_str());
        }
    }
    let mut translated = translated.body(body)?;
    let (watcher, guard) = (request.ext().get::<Watcher>(), request.ext().get::<Guard>());
    if let (Some(watcher), Some(guard)) = (watcher, guard) {
        translated.extensions_mut().insert(watcher.clone());
        translated.extensions_mut().insert(guard.clone());
    }
    Ok(translated)
}

fn upload(body: http_types::Body) -> impl hyper::body::Body<Data = Bytes, Error = io::Error> {
    StreamBody::new(stream::try_unfold(body, |mut body| async move {
        let mut piece = vec![0; PIECE];
        let length = body.read(&mut piece).await?;
        piece.truncate(length);
        Ok((length > 0).then(|| (Frame::data(Bytes::from(piece)), body)))
    }))
}

fn answered(response: Response<Body>) -> http_types::Response {
    let (parts, body) = response.into_parts();
    let said = parts.headers.get(CONTENT_LENGTH).and_then(|it| it.to_str().ok()?.parse().ok());
    let length = body.size_hint().exact().or(said);
    let reader = body.into_data_stream().map_err(|never: Infallible| match never {}).into_async_read();
    let mut response = http_types::Response::new(parts.status.as_u16());
    let length = length.and_then(|it| usize::try_from(it).ok());
    response.set_body(http_types::Body::from_reader(Shared(Mutex::new(reader)), length));
    for (name, value) in &parts.headers {
        response.insert_header(name.as_str(), value.to_str().unwrap_or_default());
    }
    response
}

/// A reader that may be looked at by many, because nobody can do so: http-types wants its bodies `Sync`.
struct Shared<T>(Mutex<T>);

impl<T: Unpin> Shared<T> {
    fn reader(&mut self) -> Pin<&mut T> {
        Pin::new(self.0.get_mut().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Shared<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.reader().poll_read(cx, buf)
    }
}

impl<T: AsyncBufRead + Unpin> AsyncBufRead for Shared<T> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        self.get_mut().reader().poll_fill_buf(cx)
    }

    fn consume(mut self: Pin<&mut Self>, amount: usize) {
        self.reader().consume(amount);
    }
}
