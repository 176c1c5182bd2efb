//! A real server that drains, on tokio and hyper: a main listener, TLS, diagnostics, signals and a deadline.
//!
//! `cargo run --example server`, then `curl '127.0.0.1:8080/slow?ms=5000'`, and Ctrl-C in the middle.

use std::convert::Infallible;
use std::future::ready;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use ebbtide::{Drain, Guard, Overdue, Watcher};
use ebbtide_examples::Runtime;
use ebbtide_examples::application::{Application, diagnostics};
use ebbtide_examples::ledger::Ledger;
use ebbtide_examples::options::{HELP, Options, Tls};
use ebbtide_examples::report::Report;
use ebbtide_hyper::{Bounds, Http};
use ebbtide_signal::{Signals, escalate};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::server::TlsStream;

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
    diagnostics: TcpListener,
    tls: Option<(TcpListener, TlsAcceptor)>,
    signals: Signals,
}

fn main() -> ExitCode {
    let options = match Options::from_args() {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => return cannot_start(&error),
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return cannot_start(&format!("no runtime: {error}")),
    };
    let code = match runtime.block_on(Server::bind(&options)) {
        Ok(server) => runtime.block_on(server.run(&options)),
        Err(error) => return cannot_start(&error),
    };
    // Nothing is left to be waited for: not even, after a forced close, what ignores it.
    runtime.shutdown_background();
    code
}

fn cannot_start(error: &str) -> ExitCode {
    eprintln!("server: {error}");
    ExitCode::from(2)
}

impl Server {
    async fn bind(options: &Options) -> Result<Self, String> {
        let tls = match &options.tls {
            Some(tls) => Some((acceptor(tls)?, bind("https", tls.addr).await?)),
            None => None,
        };
        Ok(Self {
            signals: Signals::new().map_err(|error| error.to_string())?,
            tls: tls.map(|(acceptor, listener)| (listener, acceptor)),
            diagnostics: bind("diagnostics on http", options.diag_addr).await?,
            main: bind("serving on http", options.addr).await?,
        })
    }

    async fn run(self, options: &Options) -> ExitCode {
        if let Ok(addr) = self.main.local_addr() {
            println!("try: curl -i 'http://{addr}/slow?ms=5000'   and Ctrl-C here in the middle");
        }
        let (main, outlives_main) = (Drain::new(), Drain::new());
        let ledger = Ledger::new(main.watcher());
        let application = Application::new(Tokio, ledger.clone());
        let http = Http::new(TokioExecutor::new(), TokioTimer::new());
        let (plain, app) = (http.clone(), application.clone());
        let mut listeners = vec![listen(self.main, &main, &main, options.ready_delay, move |stream, guard| {
            let (http, app) = (plain.clone(), app.clone());
            async move { drop(http.serve(TokioIo::new(stream), app, guard).await) }
        })];
        if let Some((listener, acceptor)) = self.tls {
            listeners.push(listen(listener, &main, &main, options.ready_delay, move |stream, guard| {
                let (http, app, acceptor) = (http.clone(), application.clone(), acceptor.clone());
                async move {
                    if let Some(stream) = handshake(&acceptor, stream, guard.watcher()).await {
                        drop(http.serve(TokioIo::new(stream), app, guard).await);
                    }
                }
            }));
        }
        // A prober's idle connection is nothing to wait for.
        let at_once = Bounds { silent: Duration::ZERO, idle: Duration::ZERO, ..Bounds::default() };
        let http = Http::new(TokioExecutor::new(), TokioTimer::new()).bounds(at_once);
        let (watcher, books) = (main.watcher(), ledger.clone());
        listeners.push(listen(self.diagnostics, &outlives_main, &main, Duration::ZERO, move |stream, guard| {
            let (http, watcher, books) = (http.clone(), watcher.clone(), books.clone());
            async move {
                let answer = |request| ready(Ok::<_, Infallible>(diagnostics(&watcher, &books, &request)));
                drop(http.serve(TokioIo::new(stream), service_fn(answer), guard).await);
            }
        }));

        // Not before the listeners have their guards: a signal may have come already.
        escalate(main.clone(), self.signals);
        main.watcher().await;
        let mut report = Report::begin(options.drain_timeout.map(|time| time + options.ready_delay));
        let outcome = drained(&main, &ledger, &mut report, options).await;
        // The diagnostics last: until here they said that this process lives.
        drop(ebbtide_tokio::within(outlives_main.start(), Duration::from_millis(100)).await);
        let mut code = report.end(&outcome, &ledger);
        for listener in listeners {
            if let Ok(Err(error)) = listener.await {
                eprintln!("server: a listener failed: {error}");
                code = 1;
            }
        }
        ExitCode::from(code)
    }
}

/// Serves a listener until `until` drains. A listener that fails drains the main server.
fn listen<Fut: Future<Output = ()> + Send + 'static>(
    listener: TcpListener,
    until: &Drain,
    main: &Drain,
    lame_duck: Duration,
    connection: impl FnMut(TcpStream, Guard) -> Fut + Unpin + Send + 'static,
) -> JoinHandle<io::Result<()>> {
    let guard = until.watcher().guard().expect("nothing has started it yet");
    let main = main.clone();
    tokio::spawn(async move {
        let served = ebbtide_tokio::serve(listener, guard, connection).lame_duck(lame_duck).await;
        if served.is_err() {
            drop(main.start());
        }
        served
    })
}

/// Waits for the main drain's end, telling how it goes.
async fn drained(main: &Drain, ledger: &Ledger, report: &mut Report, options: &Options) -> Result<(), Overdue> {
    let limit = options.drain_timeout.map(|time| time + options.ready_delay);
    let deadline = async {
        match limit {
            Some(limit) => tokio::time::sleep(limit).await,
            None => std::future::pending().await,
        }
    };
    let mut end = pin!(main.start().deadline(deadline));
    let outcome = loop {
        report.progress(ledger);
        if let Ok(outcome) = tokio::time::timeout(report.interval(), end.as_mut()).await {
            break outcome;
        }
    };
    if outcome.is_err() {
        // What was cut ends at its next step; give it the moment that it takes to be told of in the report.
        drop(ebbtide_tokio::within(ledger.close(), Duration::from_millis(50)).await);
    }
    outcome
}

/// A TLS handshake; `None` where it failed, or did not end in time once the drain began. As with HTTP, a client that has
/// said nothing has less time than one that has begun.
async fn handshake(acceptor: &TlsAcceptor, stream: TcpStream, watcher: Watcher) -> Option<TlsStream<TcpStream>> {
    let Bounds { silent, head, .. } = Bounds::default();
    patient(&watcher, silent, stream.readable()).await?.ok()?;
    patient(&watcher, head, acceptor.accept(stream)).await?.ok()
}

/// Waits for `future`, but once the drain has begun no longer than `bound`.
async fn patient<F: Future>(watcher: &Watcher, bound: Duration, future: F) -> Option<F::Output> {
    let bounded = async {
        watcher.clone().await;
        tokio::time::sleep(bound).await;
    };
    tokio::select! { biased; output = future => Some(output), () = bounded => None }
}

/// Listens, and says where: the port may have been 0.
async fn bind(what: &str, addr: SocketAddr) -> Result<TcpListener, String> {
    let refused = |error| format!("cannot listen on {addr}: {error}");
    let listener = TcpListener::bind(addr).await.map_err(refused)?;
    println!("{what}://{}", listener.local_addr().map_err(refused)?);
    Ok(listener)
}

fn acceptor(tls: &Tls) -> Result<TlsAcceptor, String> {
    let unreadable = |file: &Path| {
        let file = file.display().to_string();
        move |error| format!("cannot read {file}: {error}")
    };
    let chain = CertificateDer::pem_file_iter(&tls.cert).and_then(Iterator::collect);
    let chain: Vec<_> = chain.map_err(unreadable(&tls.cert))?;
    let key = PrivateKeyDer::from_pem_file(&tls.key).map_err(unreadable(&tls.key))?;
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| format!("{} with {}: {error}", tls.cert.display(), tls.key.display()))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
