//! The time that a client gives its call.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::future::RouteFuture;
use pin_project_lite::pin_project;
use tokio::time::Sleep;
use tonic::Status;

/// What a client gives its call.
const HEADER: &str = "grpc-timeout";

/// The time in a call's `grpc-timeout`, if it has one that can be read: up to eight digits and a unit (gRPC over HTTP/2,
/// "Requests").
pub(crate) fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(HEADER)?.to_str().ok()?;
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|it| it.is_ascii_digit()) {
        return None;
    }
    let count: u32 = digits.parse().ok()?;
    let unit = match unit {
        "H" => Duration::from_secs(3600),
        "M" => Duration::from_secs(60),
        "S" => Duration::from_secs(1),
        "m" => Duration::from_millis(1),
        "u" => Duration::from_micros(1),
        "n" => Duration::from_nanos(1),
        _ => return None,
    };
    Some(unit * count)
}

pin_project! {
    /// The future of a call's response: `DEADLINE_EXCEEDED` if its time is over before the response begins.
    #[must_use = "futures do nothing unless polled"]
    pub struct Timed {
        #[pin]
        response: RouteFuture<Infallible>,
        #[pin]
        time: Option<Sleep>,
    }
}

impl Timed {
    pub(crate) fn new(response: RouteFuture<Infallible>, time: Option<Duration>) -> Self {
        Self { response, time: time.map(tokio::time::sleep) }
    }
}

impl Future for Timed {
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(response) = this.response.poll(cx) {
            return Poll::Ready(response);
        }
        let Some(time) = this.time.as_pin_mut() else { return Poll::Pending };
        ready!(time.poll(cx));
        Poll::Ready(Ok(Status::deadline_exceeded("the call's time is over").into_http()))
    }
}

impl fmt::Debug for Timed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timed").field("is_timed", &self.time.is_some()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: &'static str) -> Option<Duration> {
        timeout(&HeaderMap::from_iter([(HEADER.parse().expect("a name"), value.parse().expect("a value"))]))
    }

    #[test]
    fn a_timeout_is_read_in_each_of_its_units() {
        assert_eq!(of("2H"), Some(Duration::from_secs(7200)));
        assert_eq!(of("2M"), Some(Duration::from_secs(120)));
        assert_eq!(of("42S"), Some(Duration::from_secs(42)));
        assert_eq!(of("82m"), Some(Duration::from_millis(82)));
        assert_eq!(of("13u"), Some(Duration::from_micros(13)));
        assert_eq!(of("99999999n"), Some(Duration::from_nanos(99_999_999)));
        assert_eq!(of("99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
    }

    #[test]
    fn what_is_no_timeout_is_none() {
        for value in ["", "S", "7", "7f", "+7S", "7 S", "123456789S", "12.5S", "ä"] {
            let value = HeaderMap::from_iter([(
                HEADER.parse().expect("a name"),
                axum::http::HeaderValue::from_bytes(value.as_bytes()).expect("a value"),
            )]);
            assert_eq!(timeout(&value), None, "{value:?}");
        }
        assert_eq!(timeout(&HeaderMap::new()), None);
    }
}
