//! A whole server with graceful shutdown, on async-std and async-h1: a main listener, TLS, diagnostics, signals and a deadline.
//!
//! `cargo run --example server_async_std_h1`, then `curl '127.0.0.1:8080/slow?ms=5000'`, and Ctrl-C in the middle.
//!
//! `server_smol_h1.rs` is the same on smol: compare the two to see what changes.

use std::future::ready;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use async_std::net::TcpListener;
use ebbtide_async_h1::{Bounds, Connections, Http};
use ebbtide_async_std::{HalfClose, serve};
use ebbtide_example_servers::h1::{endpoint, status};
use ebbtide_examples::Runtime;
use ebbtide_examples::application::Application;
use ebbtide_examples::life::{self, Life};
use ebbtide_examples::options::Options;
use ebbtide_examples::work::Work;
use ebbtide_examples::{output, tls};
use ebbtide_rustls::futures_io::handshake;
use ebbtide_signal::Signals;
use futures_rustls::TlsAcceptor;

#[derive(Clone)]
struct AsyncStd;

impl Runtime for AsyncStd {
    fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send {
        async_std::task::sleep(time)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        async_std::task::spawn(task);
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
        async_std::task::block_on(async { Ok(Server::bind(options, inherited).await?.run(options).await) })
    })
}

impl Server {
    async fn bind(options: &Options, inherited: Option<std::net::TcpListener>) -> Result<Self, String> {
        // Before anything listens: until then a signal ends the process, and with it whoever has connected.
        let signals = Signals::new().map_err(|error| error.to_string())?;
        let tls = match &options.tls {
            Some(tls) => {
                let acceptor = TlsAcceptor::from(tls::config(tls, tls::HTTP1)?);
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
            main: match life::adopted(inherited, |it| Ok(TcpListener::from(it))) {
                Some(listener) => life::listening("serving on http", options.addr, listener, TcpListener::local_addr)?,
                None => bind("serving on http", options.addr).await?,
            },
        })
    }

    async fn run(self, options: &Options) -> ExitCode {
        if let Ok(addr) = self.main.local_addr() {
            output::say(format!("try: curl -i 'http://{addr}/slow?ms=5000'   and Ctrl-C here in the middle"));
        }
        let life = Life::new(AsyncStd, options.ready_delay);
        let connections = Connections::new();
        let work = Work::new(life.all(), life.main(), &connections);
        let application = Application::new(AsyncStd);

        let http = Http::new(async_std::task::sleep).connections(&connections).extend_every_request();
        let (plain, app) = (http.clone(), application.clone());
        let served = serve(self.main, life.main_guard(), move |stream, guard| {
            let app = app.clone();
            plain.serve(HalfClose(stream), move |request| endpoint(app.clone(), request), guard)
        });
        let served = served.on_error(life::failed);
        let served = if self.shared { served.shared() } else { served.sole_owner() };
        life.serve("main listener", life.main_guard(), served);
        if let Some((listener, acceptor)) = self.tls {
            let served = serve(listener, life.main_guard(), move |stream, guard| {
                let app = application.clone();
                let (stream, guard) = handshake(HalfClose(stream), guard, |io| acceptor.accept(io));
                http.serve(stream, move |request| endpoint(app.clone(), request), guard)
            });
            life.serve("TLS listener", life.main_guard(), served.on_error(life::failed));
        }
        // A prober's connection is nothing to wait for.
        let http = Http::new(async_std::task::sleep).bounds(Bounds::NONE);
        let main = work.clone();
        let served = serve(self.diagnostics, life.diagnostics_guard(), move |stream, guard| {
            let main = main.clone();
            http.serve(HalfClose(stream), move |request| ready(status(&main, request)), guard)
        });
        life.serve("diagnostics listener", life.diagnostics_guard(), served);
        life.end(self.signals, &work, options).await
    }
}

async fn bind(what: &str, addr: SocketAddr) -> Result<TcpListener, String> {
    life::listening(what, addr, TcpListener::bind(addr).await, TcpListener::local_addr)
}
