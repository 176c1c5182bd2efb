//! A stream that ends with the drain.

use ebbtide::Watcher;
use futures_core::Stream;
use tonic::Status;

/// Ends a stream of responses when the drain begins: after what is ready, with the status `UNAVAILABLE`. Clients go to another
/// server then (gRPC, "Status codes and their use").
///
/// What is ready is handed out still, up to 1,024 messages. Then the stream itself is dropped.
///
/// # Examples
///
/// ```
/// use ebbtide_tonic::ending;
/// use futures_util::{StreamExt, stream};
/// use tonic::Code;
///
/// # futures_util::FutureExt::now_or_never(async {
/// let drain = ebbtide::Drain::new();
/// let numbers = stream::iter([Ok(1), Ok(2)]).chain(stream::pending());
/// let mut numbers = ending(numbers, drain.watcher());
/// drop(drain.start());
/// assert_eq!(numbers.next().await.unwrap().unwrap(), 1);
/// assert_eq!(numbers.next().await.unwrap().unwrap(), 2);
/// assert_eq!(numbers.next().await.unwrap().unwrap_err().code(), Code::Unavailable);
/// assert!(numbers.next().await.is_none());
/// # }).expect("nothing is waited for");
/// ```
pub fn ending<S, T>(stream: S, watcher: Watcher) -> Ending<S>
where
    S: Stream<Item = Result<T, Status>>,
{
    Ending::new(stream, watcher, |_| Err(Status::unavailable("the server is draining")))
}

/// The stream of [`ending`].
pub type Ending<S> = ebbtide_goodbye::Ending<S, fn(&Watcher) -> <S as Stream>::Item>;
