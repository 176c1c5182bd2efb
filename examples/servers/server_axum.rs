//! A whole server with graceful shutdown, on axum and tokio: a main listener, TLS, diagnostics, signals and a deadline.
//!
//! `cargo run --example server_axum`, then `curl '127.0.0.1:8080/slow?ms=5000'`, and Ctrl-C in the middle.
//!
//! `server_axum_smol.rs` is the same on smol: compare the two to see what changes.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use ebbtide_axum::{Bounds, Connections, serve};
use ebbtide_example_servers::routes::{held, routes, status};
use ebbtide_examples::application::Application;
use ebbtide_examples::life::{self, Life};
use ebbtide_examples::options::Options;
use ebbtide_examples::work::Work;
use ebbtide_examples::{Runtime, output, tls};
use ebbtide_signal::Signals;
use rustls::ServerConfig;
use tokio::net::TcpListener;

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
    tls: Option<(TcpListener, Arc<ServerConfig>)>,
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
            Some(tls) => Some((bind("https", tls.addr).await?, tls::config(tls, tls::HTTP)?)),
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
        // The lame duck time is the servers' own affair.
        let life = Life::new(Tokio, Duration::ZERO);
        let connections = Connections::new();
        let work = Work::new(life.all(), life.main(), &connections).inside(held);
        let app = routes(Application::new(Tokio));

        let main = serve(self.main, app.clone()).drain(life.main()).lame_duck(options.ready_delay).deadline(None);
        let main = main.connections(&connections).on_error(life::failed);
        let main = if self.shared { main.shared() } else { main.sole_owner() };
        life.serve_to_the_end("main listener", life.main_guard(), main);
        if let Some((listener, config)) = self.tls {
            let tls = serve(listener, app).rustls(config).drain(life.main());
            let tls = tls.lame_duck(options.ready_delay).deadline(None).connections(&connections);
            life.serve_to_the_end("TLS listener", life.main_guard(), tls.on_error(life::failed));
        }
        // A prober's connection is nothing to wait for.
        let diagnostics = serve(self.diagnostics, status(work.clone())).drain(life.diagnostics()).bounds(Bounds::NONE);
        life.serve_to_the_end("diagnostics listener", life.diagnostics_guard(), diagnostics);
        life.end(self.signals, &work, options).await
    }
}

async fn bind(what: &str, addr: SocketAddr) -> Result<TcpListener, String> {
    life::listening(what, addr, TcpListener::bind(addr).await, TcpListener::local_addr)
}
