//! A server on each pair, for an application of a test's own: where the scenario suite has one that is to be as it should
//! be, this one may be as it likes.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use ebbtide::{Drain, Guard};
use ebbtide_connection::Bounds;
use ebbtide_hyper::Connections;
use ebbtide_testkit::PATIENCE;
use ebbtide_tokio::Failure;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use smol_hyper::rt::{FuturesIo, SmolTimer};
use socket2::SockRef;

use crate::hostile::Engine;

/// A response's body on hyper.
pub type Body = BoxBody<Bytes, Infallible>;

type Answer<R> = Pin<Box<dyn Future<Output = R> + Send>>;
type HyperAnswer = dyn Fn(hyper::Request<Incoming>) -> Answer<hyper::Response<Body>> + Send + Sync;
type H1Answer = dyn Fn(http_types::Request) -> Answer<http_types::Result<http_types::Response>> + Send + Sync;

/// An application, in the types of either engine.
#[derive(Clone)]
pub struct Application {
    hyper: Arc<HyperAnswer>,
    h1: Arc<H1Answer>,
}

/// A pair of a runtime and an engine.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    /// For people.
    pub name: &'static str,
    /// Of the two.
    pub engine: Engine,
    run: fn(TcpListener, Guard, Setup) -> io::Result<()>,
}

/// One that runs.
#[derive(Debug)]
pub struct Server {
    /// Where it listens.
    pub addr: SocketAddr,
    thread: JoinHandle<io::Result<()>>,
}

/// What a server is to do.
#[derive(Clone)]
pub struct Setup {
    /// What it serves.
    pub application: Application,
    /// Those of its connections.
    pub bounds: Bounds,
    /// Where they are kept.
    pub connections: Connections,
    /// Who hears of its errors.
    pub told: Arc<dyn Fn(&Failure<'_>) + Send + Sync>,
}

/// How much waits in the kernel to be read: little, so that what a client has written has been read but for that.
pub const BUFFER: usize = 64 * 1024;

/// Those of a runtime that is published. Of the tasks of each one thread has to take care, except on async-std.
pub const ALL: [Pair; 4] = [
    Pair { name: "tokio + hyper", engine: Engine::Hyper, run: tokio_hyper },
    Pair { name: "smol + hyper", engine: Engine::Hyper, run: smol_hyper },
    Pair { name: "smol + async-h1", engine: Engine::H1, run: smol_h1 },
    Pair { name: "async-std + async-h1", engine: Engine::H1, run: async_std_h1 },
];

impl Application {
    /// One that answers so on hyper, and so on async-h1.
    pub fn new<F, G>(
        hyper: impl Fn(hyper::Request<Incoming>) -> F + Send + Sync + 'static,
        h1: impl Fn(http_types::Request) -> G + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = hyper::Response<Body>> + Send + 'static,
        G: Future<Output = http_types::Result<http_types::Response>> + Send + 'static,
    {
        Self {
            hyper: Arc::new(move |request| Box::pin(hyper(request))),
            h1: Arc::new(move |request| Box::pin(h1(request))),
        }
    }

    /// One that answers at once, by the path alone, and in the future: where HTTP/2 has a task for each.
    pub fn by_path(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        let answer = Arc::new(answer);
        let same = answer.clone();
        Self::new(
            move |request| {
                let answer = answer.clone();
                async move { hyper::Response::new(Full::from(answer(request.uri().path())).boxed()) }
            },
            move |request| {
                let answer = same.clone();
                async move { Ok(answer(request.url().path()).into()) }
            },
        )
    }
}

impl Setup {
    /// With the defaults, and errors that nobody hears of.
    #[must_use]
    pub fn new(application: Application) -> Self {
        Self { application, bounds: Bounds::default(), connections: Connections::new(), told: Arc::new(|_| {}) }
    }
}

impl Pair {
    /// Serves on a thread of its own for as long as `ask` asks, and then drains, which is to cut nothing.
    ///
    /// # Panics
    ///
    /// If it cuts something, or panics.
    pub fn serve(self, setup: Setup, ask: impl FnOnce(SocketAddr)) {
        self.serve_until(&Drain::new(), setup, ask);
    }

    /// The same, with a drain of one's own.
    ///
    /// # Panics
    ///
    /// If it cuts something, or panics.
    pub fn serve_until(self, drain: &Drain, setup: Setup, ask: impl FnOnce(SocketAddr)) {
        let server = self.start(drain, setup);
        ask(server.addr);
        let deadline = async {
            smol::Timer::after(PATIENCE).await;
        };
        let drained = smol::block_on(drain.start().deadline(deadline));
        assert!(drained.is_ok(), "{}: {drained:?}", self.name);
        server.join();
    }

    /// Serves on a thread of its own until the drain is over.
    ///
    /// # Panics
    ///
    /// If the drain has begun.
    #[must_use]
    pub fn start(self, drain: &Drain, setup: Setup) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        SockRef::from(&listener).set_recv_buffer_size(BUFFER).expect("a size");
        let addr = listener.local_addr().expect("bound");
        let guard = drain.watcher().guard().expect("it runs");
        Server { addr, thread: thread::spawn(move || (self.run)(listener, guard, setup)) }
    }
}

impl Server {
    /// Waits for its end, which is to be in order.
    ///
    /// # Panics
    ///
    /// If it fails or panics.
    pub fn join(self) {
        self.thread.join().expect("the server does not panic").expect("it serves to its end");
    }
}

fn tokio_hyper(listener: TcpListener, guard: Guard, setup: Setup) -> io::Result<()> {
    let closed = guard.watcher().closed();
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?.block_on(async {
        listener.set_nonblocking(true)?;
        let Setup { application, bounds, connections, told } = setup;
        let http = ebbtide_hyper::Http::new(TokioExecutor::new(), TokioTimer::new());
        let http = http.bounds(bounds).connections(&connections);
        let served = ebbtide_tokio::serve(tokio::net::TcpListener::from_std(listener)?, guard, move |stream, guard| {
            http.serve(TokioIo::new(stream), service_fn(infallible(application.hyper.clone())), guard)
        });
        tokio::spawn(served.on_error(move |failure| told(failure))).await??;
        closed.await;
        Ok(())
    })
}

fn smol_hyper(listener: TcpListener, guard: Guard, setup: Setup) -> io::Result<()> {
    let closed = guard.watcher().closed();
    smol::block_on(async {
        let Setup { application, bounds, connections, told } = setup;
        let http = ebbtide_hyper::Http::new(ebbtide_smol::Executor, SmolTimer::new());
        let http = http.bounds(bounds).connections(&connections);
        let served = ebbtide_smol::serve(smol::net::TcpListener::try_from(listener)?, guard, move |stream, guard| {
            http.serve(FuturesIo::new(stream), service_fn(infallible(application.hyper.clone())), guard)
        });
        smol::spawn(served.on_error(move |failure| told(failure))).await?;
        closed.await;
        Ok(())
    })
}

fn smol_h1(listener: TcpListener, guard: Guard, setup: Setup) -> io::Result<()> {
    let closed = guard.watcher().closed();
    smol::block_on(async {
        let Setup { application, bounds, connections, told } = setup;
        let http = ebbtide_async_h1::Http::new(smol::Timer::after).bounds(bounds).connections(&connections);
        let served = ebbtide_smol::serve(smol::net::TcpListener::try_from(listener)?, guard, move |stream, guard| {
            let answer = application.h1.clone();
            http.serve(stream, move |request| answer(request), guard)
        });
        smol::spawn(served.on_error(move |failure| told(failure))).await?;
        closed.await;
        Ok(())
    })
}

fn async_std_h1(listener: TcpListener, guard: Guard, setup: Setup) -> io::Result<()> {
    let closed = guard.watcher().closed();
    async_std::task::block_on(async {
        let Setup { application, bounds, connections, told } = setup;
        let http = ebbtide_async_h1::Http::new(async_std::task::sleep).bounds(bounds).connections(&connections);
        let served =
            ebbtide_async_std::serve(async_std::net::TcpListener::from(listener), guard, move |stream, guard| {
                let answer = application.h1.clone();
                http.serve(ebbtide_async_std::HalfClose(stream), move |request| answer(request), guard)
            });
        async_std::task::spawn(served.on_error(move |failure| told(failure))).await?;
        closed.await;
        Ok(())
    })
}

fn infallible(
    answer: Arc<HyperAnswer>,
) -> impl Fn(hyper::Request<Incoming>) -> Answer<Result<hyper::Response<Body>, Infallible>> + Clone {
    move |request| {
        let answered = answer(request);
        Box::pin(async { Ok(answered.await) })
    }
}

impl fmt::Debug for Application {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Application").finish_non_exhaustive()
    }
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup").field("bounds", &self.bounds).finish_non_exhaustive()
    }
}
