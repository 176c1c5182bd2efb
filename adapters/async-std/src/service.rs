//! A whole service on async-std.

use std::future::Future;
use std::io;

use async_std::net::{TcpListener, TcpStream};
#[cfg(unix)]
use async_std::os::unix::net::{UnixListener, UnixStream};
use async_std::task;
use ebbtide_service::{Listen, LocalTask, Runtime};

use crate::{Accepting, AsyncStd};

/// A whole service on async-std: see [`ebbtide_service::Service`].
///
/// # Examples
///
/// ```no_run
/// use async_std::io::WriteExt;
/// use async_std::net::{TcpListener, TcpStream};
/// use ebbtide_async_std::{Outcome, Service};
///
/// fn main() -> Outcome {
///     ebbtide_async_std::run(async {
///         Service::new() // first signal: drain; second: by force; third: kill
///             .serve("api", TcpListener::bind("127.0.0.1:8080").await, |mut stream: TcpStream, guard| async move {
///                 let _ = stream.write_all(b"hello\n").await;
///                 drop(guard); // the connection is done
///             })
///             .run()
///             .await
///     })
/// }
/// ```
pub type Service = ebbtide_service::Service<AsyncStd>;

impl Runtime for AsyncStd {
    fn blocking(work: Box<dyn FnOnce() + Send>) {
        drop(task::spawn_blocking(work));
    }

    fn local(name: String, make: Box<dyn FnOnce() -> LocalTask + Send>) {
        // If there is no thread, the part is told to have been dropped.
        drop(std::thread::Builder::new().name(name).spawn(move || task::block_on(make())));
    }
}

/// Tells [`Listen`] that a listener is async-std's own.
#[derive(Debug)]
pub enum Plain {}

/// Tells [`Listen`] that it is the result of binding one.
#[derive(Debug)]
pub enum PlainBinding {}

macro_rules! listen {
    ($listener:ty, $stream:ty) => {
        impl Listen<AsyncStd, Plain> for $listener {
            type Listener = Accepting<$listener, $stream>;

            fn listener(self) -> io::Result<Self::Listener> {
                Ok(Accepting::new(self))
            }
        }

        impl Listen<AsyncStd, PlainBinding> for io::Result<$listener> {
            type Listener = Accepting<$listener, $stream>;

            fn listener(self) -> io::Result<Self::Listener> {
                self.map(Accepting::new)
            }
        }
    };
}

listen!(TcpListener, TcpStream);
#[cfg(unix)]
listen!(UnixListener, UnixStream);

/// Runs a service, or any other future, to its end. What still blocks a thread then holds up nothing.
///
/// It is [`async_std::task::block_on`], under the name that it has in the adapters of other runtimes.
pub fn run<F: Future>(future: F) -> F::Output {
    task::block_on(future)
}
