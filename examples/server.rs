//! A whole server with graceful shutdown, on tokio and hyper: a main listener, TLS, diagnostics, signals and a deadline.
//!
//! `cargo run --example server`, then `curl '127.0.0.1:8080/slow?ms=5000'`, and Ctrl-C in the middle.
//!
//! `server_smol_hyper.rs` is the same on smol: compare the two to see what changes.

use std::convert::Infallible;
use std::future::ready;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use ebbtide_examples::Runtime;
use ebbtide_examples::application::{Application, diagnostics};
use ebbtide_examples::life::{self, Life};
use ebbtide_examples::options::Options;
use ebbtide_examples::work::Work;
use ebbtide_examples::{output, tls};
use ebbtide_hyper::{Bounds, Connections, Http};
use ebbtide_rustls::tokio::handshake;
use ebbtide_signal::Signals;
use ebbtide_tokio::serve;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

#[derive(Clone)]
struct Tokio;

impl Runtime for Tokio {
    fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send {
        tokio::time::sleep(time)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(task);
    }
}

/// Everything that can go wrong before the first request, done before the first request.
struct Server {
    main: TcpListener,
    shared: bool,
    diagnostics: TcpListener,
    tls: Option<(TcpListener, TlsAcceptor)>,
    signals: Signals,
}

fn main() -> ExitCode {
    life::run(|options, inherited| {
        let runtime = tokio::runtime::Runtime::new().map_err(|error| format!("no runtime: {error}"))?;
        let code = runtime.block_on(async { Ok(Server::bind(options, inherited).await?.run(options).await) });
        // Nothing is left to be waited for: not even, after a forced close, what ignores it.
        runtime.shutdown_background();
        code
    })
}

impl Server {
    async fn bind(options: &Options, inherited: Option<std::net::TcpListener>) -> Result<Self, String> {
        // Before anything listens: until then a signal ends the process, and with it whoever has connected.
        let signals = Signals::new().map_err(|error| error.to_string())?;
        let tls = match &options.tls {
            Some(tls) => {
                let acceptor = TlsAcceptor::from(tls::config(tls, tls::HTTP)?);
                Some((bind("https", tls.addr).await?, acceptor))
            }
            None => None,
        };
        Ok(Self {
            signals,
            tls,
            diagnostics: bind("diagnostics on http", options.diag_addr).await?,
            // Inherited, it has other owners too.
            shared: inherited.is_some(),
            main: match life::adopted(inherited, TcpListener::from_std) {
                Some(listener) => life::listening("serving on http", options.addr, listener, TcpListener::local_addr)?,
                None => bind("serving on http", options.addr).await?,
            },
        })
    }

    async fn run(self, options: &Options) -> ExitCode {
        if let Ok(addr) = self.main.local_addr() {
            output::say(format!("try: curl -i 'http://{addr}/slow?ms=5000'   and Ctrl-C here in the middle"));
        }
        let life = Life::new(Tokio, options.ready_delay);
        let connections = Connections::new();
        let work = Work::new(life.all(), life.main(), &connections);
        let application = Application::new(Tokio);

        let http = Http::new(TokioExecutor::new(), TokioTimer::new()).connections(&connections).extend_every_request();
        let (plain, app) = (http.clone(), application.clone());
        let served = serve(self.main, life.main_guard(), move |stream, guard| {
            plain.serve(TokioIo::new(stream), app.clone(), guard)
        });
        let served = served.on_error(life::failed);
        let served = if self.shared { served.shared() } else { served.sole_owner() };
        life.serve("main listener", life.main_guard(), served);
        if let Some((listener, acceptor)) = self.tls {
            let served = serve(listener, life.main_guard(), move |stream, guard| {
                let (stream, guard) = handshake(stream, guard, |io| acceptor.accept(io));
                http.serve(TokioIo::new(stream), application.clone(), guard)
            });
            life.serve("TLS listener", life.main_guard(), served.on_error(life::failed));
        }
        // A prober's connection is nothing to wait for.
        let http = Http::new(TokioExecutor::new(), TokioTimer::new()).bounds(Bounds::NONE);
        let status = work.clone();
        let served = serve(self.diagnostics, life.diagnostics_guard(), move |stream, guard| {
            let (http, status) = (http.clone(), status.clone());
            async move {
                let answer = |request| ready(Ok::<_, Infallible>(diagnostics(&status, &request)));
                drop(http.serve(TokioIo::new(stream), service_fn(answer), guard).await);
            }
        });
        life.serve("diagnostics listener", life.diagnostics_guard(), served);
        life.end(self.signals, &work, options).await
    }
}

async fn bind(what: &str, addr: SocketAddr) -> Result<TcpListener, String> {
    life::listening(what, addr, TcpListener::bind(addr).await, TcpListener::local_addr)
}
