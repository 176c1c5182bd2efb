//! A connection before its first request, to whoever makes a service for it.

use std::convert::Infallible;
use std::fmt;
use std::future::{Ready, ready};
use std::marker::PhantomData;
use std::task::{Context, Poll};

use axum::Router;
use axum::handler::HandlerService;
use axum::routing::MethodRouter;
use tower::Service;

use crate::listener::Listener;

/// A connection that was just accepted: what a service is made for, and what axum's `Connected` makes its information of.
///
/// It stands in the place of axum's own, which nobody but axum can make.
pub struct IncomingStream<'a, R, L: Listener<R>> {
    io: &'a L::Io,
    remote_addr: L::Addr,
    runtime: PhantomData<fn() -> R>,
}

impl<'a, R, L: Listener<R>> IncomingStream<'a, R, L> {
    pub(crate) fn new(io: &'a L::Io, remote_addr: L::Addr) -> Self {
        Self { io, remote_addr, runtime: PhantomData }
    }

    /// The connection.
    pub fn io(&self) -> &L::Io {
        self.io
    }

    /// The client's address.
    pub fn remote_addr(&self) -> &L::Addr {
        &self.remote_addr
    }
}

impl<R, L: Listener<R>> fmt::Debug for IncomingStream<'_, R, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IncomingStream").field("remote_addr", &self.remote_addr).finish_non_exhaustive()
    }
}

// What axum serves is a service of its own `IncomingStream`, which makes itself; and so of ours.

impl<R, L: Listener<R>> Service<IncomingStream<'_, R, L>> for Router<()> {
    type Response = Self;
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: IncomingStream<'_, R, L>) -> Self::Future {
        // Its routes are made ready here, once for the connection and not for each request.
        ready(Ok(self.clone().with_state(())))
    }
}

impl<R, L: Listener<R>> Service<IncomingStream<'_, R, L>> for MethodRouter<()> {
    type Response = Self;
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: IncomingStream<'_, R, L>) -> Self::Future {
        ready(Ok(self.clone().with_state(())))
    }
}

impl<R, L: Listener<R>, H: Clone, T, S: Clone> Service<IncomingStream<'_, R, L>> for HandlerService<H, T, S> {
    type Response = Self;
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: IncomingStream<'_, R, L>) -> Self::Future {
        ready(Ok(self.clone()))
    }
}
