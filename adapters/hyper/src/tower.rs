//! `Tower`: a tower service as a service of hyper.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use pin_project_lite::pin_project;
use tower_service::Service;

/// A tower service as a service of hyper. It is cloned for each request.
#[derive(Clone, Debug)]
pub struct Tower<S>(S);

impl<S> Tower<S> {
    pub(crate) fn new(service: S) -> Self {
        Self(service)
    }
}

impl<S, R> hyper::service::Service<R> for Tower<S>
where
    S: Service<R> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Calling<S, R>;

    #[inline]
    fn call(&self, request: R) -> Calling<S, R> {
        let mut service = self.0.clone();
        // Most services are always ready, such as axum's. hyper-util's adapter asks in the future, which then holds the
        // service and the request, and moves them.
        match service.poll_ready(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(())) => Calling { future: Some(service.call(request)), waiting: None, error: None },
            Poll::Ready(Err(error)) => Calling { future: None, waiting: None, error: Some(error) },
            Poll::Pending => Calling { future: None, waiting: Some(Box::new((service, request))), error: None },
        }
    }
}

pin_project! {
    /// The response future of a [`Tower`].
    #[must_use = "futures do nothing unless polled"]
    pub struct Calling<S: Service<R>, R> {
        #[pin]
        future: Option<S::Future>,
        // The service and the request, until the service is ready.
        waiting: Option<Box<(S, R)>>,
        error: Option<S::Error>,
    }
}

impl<S: Service<R>, R> Future for Calling<S, R> {
    type Output = Result<S::Response, S::Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Some(error) = this.error.take() {
            return Poll::Ready(Err(error));
        }
        if let Some(waiting) = this.waiting {
            ready!(waiting.0.poll_ready(cx))?;
        }
        if let Some(waiting) = this.waiting.take() {
            let (mut service, request) = *waiting;
            this.future.set(Some(service.call(request)));
        }
        this.future.as_pin_mut().map_or(Poll::Pending, |future| future.poll(cx))
    }
}

impl<S: Service<R>, R> fmt::Debug for Calling<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calling").field("is_waiting", &self.waiting.is_some()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Ready, ready};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use hyper::service::Service as _;

    use super::*;

    /// A service that is ready when the test says so, or has failed.
    #[derive(Clone)]
    struct When(Result<Arc<AtomicBool>, &'static str>);

    impl Service<u8> for When {
        type Response = u8;
        type Error = &'static str;
        type Future = Ready<Result<u8, &'static str>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
            match &self.0 {
                Ok(ready) if ready.load(Ordering::SeqCst) => Poll::Ready(Ok(())),
                Ok(_) => Poll::Pending,
                Err(error) => Poll::Ready(Err(error)),
            }
        }

        fn call(&mut self, request: u8) -> Self::Future {
            ready(Ok(request + 1))
        }
    }

    #[test]
    fn a_service_that_is_not_ready_is_waited_for() {
        let ready = Arc::new(AtomicBool::new(false));
        let mut cx = Context::from_waker(Waker::noop());
        let mut response = Tower::new(When(Ok(ready.clone()))).call(1);
        assert!(Pin::new(&mut response).poll(&mut cx).is_pending());
        ready.store(true, Ordering::SeqCst);
        assert_eq!(Pin::new(&mut response).poll(&mut cx), Poll::Ready(Ok(2)));
        assert_eq!(Pin::new(&mut Tower::new(When(Ok(ready))).call(2)).poll(&mut cx), Poll::Ready(Ok(3)));
    }

    #[test]
    fn a_service_that_has_failed_says_so() {
        let mut response = Tower::new(When(Err("closed"))).call(1);
        let polled = Pin::new(&mut response).poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(polled, Poll::Ready(Err("closed")));
    }
}
