//! A client's connection, which tells what was lost from what was never sent.

use std::convert::Infallible;
use std::error::Error as _;
use std::io;
use std::net::SocketAddr;

use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::{TrySendError, http1, http2};
use hyper::{Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

pub(crate) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A connection that is opened with the first request, and again if it has ended meanwhile.
#[derive(Debug)]
pub(crate) struct Connection {
    addr: SocketAddr,
    version: Version,
    sender: Option<Sender>,
}

#[derive(Debug)]
enum Sender {
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

impl Connection {
    pub(crate) fn new(addr: SocketAddr, version: Version) -> Self {
        Self { addr, version, sender: None }
    }

    pub(crate) fn is_http2(&self) -> bool {
        self.version == Version::HTTP_2
    }

    /// Sends a request, once. The error says what the client saw instead of a response.
    ///
    /// That a connection ended while nothing was asked is no loss: then the request goes to a new one.
    pub(crate) async fn send(&mut self, mut request: Request<Body>) -> Result<Response<Incoming>, String> {
        *request.version_mut() = self.version;
        if let Some(mut sender) = self.sender.take() {
            match sender.send(request).await {
                Ok(response) => {
                    self.sender = Some(sender);
                    return Ok(response);
                }
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(seen(error.error())),
                },
            }
        }
        let mut sender = self.open().await?;
        let response = sender.send(request).await.map_err(|error| seen(error.error()))?;
        self.sender = Some(sender);
        Ok(response)
    }

    /// Sends a request, and reads the response to its last byte.
    pub(crate) async fn exchange(&mut self, request: Request<Body>) -> Result<Bytes, String> {
        let response = self.send(request).await?;
        if response.status() != 200 {
            self.close();
            return Err(format!("status {}", response.status().as_u16()));
        }
        let body = response.into_body().collect().await;
        if body.is_err() {
            self.close();
        }
        Ok(body.map_err(|error| format!("truncated: {}", seen(&error)))?.to_bytes())
    }

    pub(crate) fn close(&mut self) {
        self.sender = None;
    }

    async fn open(&self) -> Result<Sender, String> {
        let stream = TcpStream::connect(self.addr).await.map_err(|error| error.kind().to_string())?;
        stream.set_nodelay(true).map_err(|error| error.kind().to_string())?;
        let io = TokioIo::new(stream);
        if self.is_http2() {
            let opened = http2::handshake(TokioExecutor::new(), io).await;
            let (sender, connection) = opened.map_err(|error| seen(&error))?;
            tokio::spawn(connection);
            Ok(Sender::Http2(sender))
        } else {
            let (sender, connection) = http1::handshake(io).await.map_err(|error| seen(&error))?;
            tokio::spawn(connection);
            Ok(Sender::Http1(sender))
        }
    }
}

impl Sender {
    async fn send(&mut self, request: Request<Body>) -> Result<Response<Incoming>, TrySendError<Request<Body>>> {
        match self {
            Self::Http1(sender) => {
                // An error here is one of the request, too.
                drop(sender.ready().await);
                sender.try_send_request(request).await
            }
            Self::Http2(sender) => {
                drop(sender.ready().await);
                sender.try_send_request(request).await
            }
        }
    }
}

/// What the client saw.
fn seen(error: &hyper::Error) -> String {
    if error.is_incomplete_message() {
        return "closed without a response".into();
    }
    match error.source().and_then(|cause| cause.downcast_ref::<io::Error>()) {
        Some(cause) => cause.kind().to_string(),
        None => error.to_string(),
    }
}
