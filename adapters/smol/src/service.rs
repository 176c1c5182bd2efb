//! A whole service on smol.

use std::future::Future;

use ebbtide_service::{LocalTask, Runtime};

use crate::Smol;

/// A whole service on smol: see [`ebbtide_service::Service`].
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
/// use ebbtide_smol::{Outcome, Service};
/// use smol::io::AsyncWriteExt;
/// use smol::net::{TcpListener, TcpStream};
///
/// # struct Pool;
/// # impl Pool { async fn close(&self) {} }
/// fn main() -> Outcome {
///     # let pool = Pool;
///     smol::block_on(async {
///         Service::new() // first signal: drain; second: by force; third: kill
///             .deadline(Duration::from_secs(20))
///             .serve("api", TcpListener::bind("127.0.0.1:8080").await, |mut stream: TcpStream, guard| async move {
///                 let _ = stream.write_all(b"hello\n").await;
///                 drop(guard); // the connection is done
///             })
///             .finally("pool", async move { pool.close().await })
///             .run()
///             .await
///     })
/// }
/// ```
pub type Service = ebbtide_service::Service<Smol>;

impl Runtime for Smol {
    fn blocking(work: Box<dyn FnOnce() + Send>) {
        smol::unblock(work).detach();
    }

    fn local(name: String, make: Box<dyn FnOnce() -> LocalTask + Send>) {
        let run = move || {
            let executor = smol::LocalExecutor::new();
            smol::block_on(executor.run(make()));
        };
        // If there is no thread, the part is told to have been dropped.
        drop(std::thread::Builder::new().name(name).spawn(run));
    }
}

/// Runs a service, or any other future, to its end. What still blocks a thread then holds up nothing.
///
/// It is [`smol::block_on`], under the name that it has in the adapters of other runtimes.
pub fn run<F: Future>(future: F) -> F::Output {
    smol::block_on(future)
}
