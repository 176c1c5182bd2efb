//! What a call may know of the drain.

use axum::http::Extensions;
use ebbtide::{Guard, Watcher};
use ebbtide_hyper::News;
use tonic::{Request, Status};

/// What a call may know of the drain, and have of it: methods of tonic's [`Request`].
///
/// A call finds both if it came through [`serve`](crate::serve()). In a test of a handler, or under tonic's own server, put a
/// [`Watcher`] and a [`Guard`] into the request's extensions. An interceptor can do that.
pub trait RequestExt: sealed::Sealed {
    /// A future that is ready when the drain begins: what to end a stream by, with [`ending`](crate::ending()).
    ///
    /// In a [lame duck time](ebbtide_axum::Server::lame_duck) connections are told one after the other, before the drain. A
    /// call that begins when its connection was told already is told at the drain. Else its client would come back at once,
    /// to the same server, and again.
    ///
    /// # Errors
    ///
    /// `INTERNAL`, if the request knows of no drain.
    ///
    /// # Examples
    ///
    /// ```
    /// use ebbtide_tonic::{Ending, RequestExt, ending};
    /// use tonic::{Request, Response, Status};
    /// # use futures_util::stream::{Pending, pending};
    /// # type Ticks = Pending<Result<u32, Status>>;
    /// # fn ticks() -> Ticks { pending() }
    ///
    /// async fn watch(request: Request<()>) -> Result<Response<Ending<Ticks>>, Status> {
    ///     let draining = request.draining()?;
    ///     Ok(Response::new(ending(ticks(), draining)))
    /// }
    /// # futures_util::FutureExt::now_or_never(async {
    /// #     let drain = ebbtide::Drain::new();
    /// #     let mut request = Request::new(());
    /// #     assert!(request.draining().is_err());
    /// #     request.extensions_mut().insert(drain.watcher());
    /// #     watch(request).await.expect("it knows");
    /// # });
    /// ```
    fn draining(&self) -> Result<Watcher, Status>;

    /// A guard, to hold the drain up for work that goes on after the response.
    ///
    /// # Errors
    ///
    /// `INTERNAL`, if the request knows of no drain.
    ///
    /// # Examples
    ///
    /// ```
    /// use ebbtide_tonic::RequestExt;
    /// use tonic::{Request, Response, Status};
    ///
    /// # async fn send_mail() {}
    /// async fn order(request: Request<()>) -> Result<Response<()>, Status> {
    ///     tokio::spawn(request.guard()?.labelled("mail").during(send_mail()));
    ///     Ok(Response::new(()))
    /// }
    /// # let _ = order;
    /// ```
    fn guard(&self) -> Result<Guard, Status>;
}

impl<T> RequestExt for Request<T> {
    fn draining(&self) -> Result<Watcher, Status> {
        draining(self.extensions()).ok_or_else(|| Status::internal("the request knows of no drain"))
    }

    fn guard(&self) -> Result<Guard, Status> {
        let extensions = self.extensions();
        let guard = extensions.get::<News>().map(News::guard).or_else(|| extensions.get().cloned());
        guard.ok_or_else(|| Status::internal("the request knows of no drain"))
    }
}

/// What tells a call to end: its connection's turn in a lame duck time if that was still to come, and else the drain.
pub(crate) fn draining(extensions: &Extensions) -> Option<Watcher> {
    extensions.get::<News>().map(News::watcher).or_else(|| extensions.get().cloned())
}

mod sealed {
    /// Only tonic's own request.
    pub trait Sealed {}

    impl<T> Sealed for tonic::Request<T> {}
}
