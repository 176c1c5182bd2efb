//! A service of gRPC with one call of each kind, as a build script would make it of this file, but by hand: so nobody needs
//! `protoc` to build it.
//!
//! ```proto
//! syntax = "proto3";
//! package ebbtide;
//!
//! message Number { uint64 value = 1; }
//!
//! service Talk {
//!   rpc Say(Number) returns (Number);
//!   rpc Count(Number) returns (stream Number);
//!   rpc Sum(stream Number) returns (Number);
//!   rpc Echo(stream Number) returns (stream Number);
//! }
//! ```

#![allow(dead_code)] // each program uses its own part

use std::convert::Infallible;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::http;
use axum::http::uri::PathAndQuery;
use futures_util::Stream;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::transport::Channel;
use tonic::{Request, Response, Status, Streaming, client, server};
use tonic_prost::ProstCodec;
use tower::{Service, service_fn};

/// What all calls send and receive.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(crate) struct Number {
    #[prost(uint64, tag = "1")]
    pub(crate) value: u64,
}

impl Number {
    pub(crate) fn of(value: u64) -> Self {
        Self { value }
    }
}

/// The stream of a response.
pub(crate) type Numbers = Pin<Box<dyn Stream<Item = Result<Number, Status>> + Send>>;

/// How a call ends.
pub(crate) type Answer<T> = Result<Response<T>, Status>;

/// The service.
pub(crate) trait Talk: Send + Sync + 'static {
    fn say(&self, request: Request<Number>) -> impl Future<Output = Answer<Number>> + Send;
    fn count(&self, request: Request<Number>) -> impl Future<Output = Answer<Numbers>> + Send;
    fn sum(&self, request: Request<Streaming<Number>>) -> impl Future<Output = Answer<Number>> + Send;
    fn echo(&self, request: Request<Streaming<Number>>) -> impl Future<Output = Answer<Numbers>> + Send;
}

/// The service, to a server.
pub(crate) struct TalkServer<T>(Arc<T>);

impl<T> TalkServer<T> {
    pub(crate) fn new(talk: T) -> Self {
        Self(Arc::new(talk))
    }
}

impl<T> Clone for TalkServer<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> NamedService for TalkServer<T> {
    const NAME: &'static str = "ebbtide.Talk";
}

impl<T: Talk> Service<http::Request<Body>> for TalkServer<T> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let talk = self.0.clone();
        let mut grpc = server::Grpc::new(codec());
        match request.uri().path() {
            "/ebbtide.Talk/Say" => {
                let method = method(talk, |talk, it| async move { talk.say(it).await });
                Box::pin(async move { Ok(grpc.unary(service_fn(method), request).await) })
            }
            "/ebbtide.Talk/Count" => {
                let method = method(talk, |talk, it| async move { talk.count(it).await });
                Box::pin(async move { Ok(grpc.server_streaming(service_fn(method), request).await) })
            }
            "/ebbtide.Talk/Sum" => {
                let method = method(talk, |talk, it| async move { talk.sum(it).await });
                Box::pin(async move { Ok(grpc.client_streaming(service_fn(method), request).await) })
            }
            "/ebbtide.Talk/Echo" => {
                let method = method(talk, |talk, it| async move { talk.echo(it).await });
                Box::pin(async move { Ok(grpc.streaming(service_fn(method), request).await) })
            }
            _ => Box::pin(ready(Ok(Status::unimplemented("there is no such method").into_http()))),
        }
    }
}

fn method<T, A, F>(talk: Arc<T>, call: impl Fn(Arc<T>, A) -> F) -> impl Fn(A) -> F {
    move |request| call(talk.clone(), request)
}

fn codec() -> ProstCodec<Number, Number> {
    ProstCodec::default()
}

/// The service, to a client.
#[derive(Clone)]
pub(crate) struct TalkClient(client::Grpc<Channel>);

impl TalkClient {
    pub(crate) fn new(channel: Channel) -> Self {
        Self(client::Grpc::new(channel))
    }

    async fn ready(&mut self) -> Result<&mut client::Grpc<Channel>, Status> {
        self.0.ready().await.map_err(|error| Status::unavailable(format!("no connection: {error:?}")))?;
        Ok(&mut self.0)
    }

    pub(crate) async fn say(&mut self, number: Number) -> Answer<Number> {
        self.ready().await?.unary(Request::new(number), PathAndQuery::from_static("/ebbtide.Talk/Say"), codec()).await
    }

    pub(crate) async fn count(&mut self, from: Number) -> Answer<Streaming<Number>> {
        let path = PathAndQuery::from_static("/ebbtide.Talk/Count");
        self.ready().await?.server_streaming(Request::new(from), path, codec()).await
    }

    pub(crate) async fn sum(&mut self, numbers: impl Stream<Item = Number> + Send + 'static) -> Answer<Number> {
        let path = PathAndQuery::from_static("/ebbtide.Talk/Sum");
        self.ready().await?.client_streaming(Request::new(numbers), path, codec()).await
    }

    pub(crate) async fn echo(
        &mut self,
        numbers: impl Stream<Item = Number> + Send + 'static,
    ) -> Answer<Streaming<Number>> {
        let path = PathAndQuery::from_static("/ebbtide.Talk/Echo");
        self.ready().await?.streaming(Request::new(numbers), path, codec()).await
    }
}
