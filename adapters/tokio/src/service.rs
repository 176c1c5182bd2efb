//! A whole service on tokio.

use std::future::Future;

use ebbtide_service::{LocalTask, Runtime};
use tokio::runtime::Handle;
use tokio::task::LocalSet;

use crate::Tokio;

/// A whole service on tokio: see [`ebbtide_service::Service`].
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
/// use ebbtide_tokio::{Outcome, Service};
/// use tokio::io::AsyncWriteExt;
/// use tokio::net::{TcpListener, TcpStream};
///
/// # struct Pool;
/// # impl Pool { async fn close(&self) {} }
/// #[tokio::main]
/// async fn main() -> Outcome {
///     # let pool = Pool;
///     Service::new() // first signal: drain; second: by force; third: kill
///         .deadline(Duration::from_secs(20))
///         .serve("api", TcpListener::bind("127.0.0.1:8080").await, |mut stream: TcpStream, guard| async move {
///             let _ = stream.write_all(b"hello\n").await;
///             drop(guard); // the connection is done
///         })
///         .finally("pool", async move { pool.close().await })
///         .run()
///         .await
/// }
/// ```
pub type Service = ebbtide_service::Service<Tokio>;

impl Runtime for Tokio {
    fn blocking(work: Box<dyn FnOnce() + Send>) {
        drop(tokio::task::spawn_blocking(work));
    }

    fn local(name: String, make: Box<dyn FnOnce() -> LocalTask + Send>) {
        let runtime = Handle::current();
        let run = move || runtime.block_on(LocalSet::new().run_until(make()));
        // If there is no thread, the part is told to have been dropped.
        drop(std::thread::Builder::new().name(name).spawn(run));
    }
}

/// Runs a service, or any other future, on a runtime of its own, with a thread for each processor. When the future ends, the
/// runtime is left behind, with whatever still blocks a thread of it. So nothing of that holds up the end of `main`.
///
/// # Panics
///
/// If there is no runtime to be had, for a lack of threads or descriptors.
///
/// # Examples
///
/// ```no_run
/// use ebbtide_tokio::{Outcome, Service};
///
/// fn main() -> Outcome {
///     ebbtide_tokio::run(async { Service::new().blocking("import", |part| { /* long work */ }).run().await })
/// }
/// ```
pub fn run<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.expect("a runtime, which needs threads and descriptors");
    let output = runtime.block_on(future);
    runtime.shutdown_background();
    output
}
