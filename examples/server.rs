//! A real server that drains, on tokio and hyper: a main listener, TLS, diagnostics, signals and a deadline.
//!
//! `cargo run --example server`, then `curl '127.0.0.1:8080/slow?ms=5000'`, and Ctrl-C in the middle.

use std::convert::Infallible;
use std::future::ready;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use ebbtide::{Drain, Guard, Order, Watcher};
use ebbtide_examples::Runtime;
use ebbtide_examples::application::{Application, diagnostics};
use ebbtide_examples::options::{HELP, Options, Tls};
use ebbtide_examples::report::Report;
use ebbtide_examples::work::Work;
use ebbtide_hyper::{Bounds, Connections, Http};
use ebbtide_signal::{Signals, escalate};
use futures_util::FutureExt;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
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
        let (main, last) = (Drain::new(), Drain::new());
        // The diagnostics last: until the main server has drained they say that this process lives.
        let order = Order::new().then([("main", main.clone())]).then([("diagnostics", last.clone())]);
        let connections = Connections::new();
        let work = Work::new(&main, &connections);
        let application = Application::new(Tokio);
        let listen = Listen { order: &order, lame_duck: options.ready_delay };

        let http = Http::new(TokioExecutor::new(), TokioTimer::new()).connections(&connections);
        let (plain, app) = (http.clone(), application.clone());
        listen.serve("main listener", self.main, &main, move |stream, guard| {
            plain.serve(TokioIo::new(stream), app.clone(), guard).map(drop)
        });
        if let Some((listener, acceptor)) = self.tls {
            listen.serve("TLS listener", listener, &main, move |stream, guard| {
                let (http, app, acceptor) = (http.clone(), application.clone(), acceptor.clone());
                async move {
                    if let Some(stream) = handshake(&acceptor, stream, guard.watcher()).await {
                        drop(http.serve(TokioIo::new(stream), app, guard).await);
                    }
                }
            });
        }
        // A prober's connection is nothing to wait for.
        let http = Http::new(TokioExecutor::new(), TokioTimer::new()).bounds(Bounds::NONE);
        let status = work.clone();
        let listen = Listen { lame_duck: Duration::ZERO, ..listen };
        listen.serve("diagnostics listener", self.diagnostics, &last, move |stream, guard| {
            let (http, status) = (http.clone(), status.clone());
            async move {
                let answer = |request| ready(Ok::<_, Infallible>(diagnostics(&status, &request)));
                drop(http.serve(TokioIo::new(stream), service_fn(answer), guard).await);
            }
        });

        // Not before the listeners have their guards: a signal may have come already.
        escalate(order.drain().clone(), self.signals);
        order.drain().watcher().await;
        let code = drained(&order, &main, &work, options).await;
        let Some(failure) = order.failure() else { return ExitCode::from(code) };
        eprintln!("server: {failure}");
        ExitCode::FAILURE
    }
}

struct Listen<'a> {
    order: &'a Order,
    lame_duck: Duration,
}

impl Listen<'_> {
    /// Serves a listener until `drain` begins, as a part of the whole: its failure drains all.
    fn serve<Fut: Future<Output = ()> + Send + 'static>(
        &self,
        label: &'static str,
        listener: TcpListener,
        drain: &Drain,
        connection: impl FnMut(TcpStream, Guard) -> Fut + Send + 'static,
    ) {
        let guard = drain.watcher().guard().expect("nothing has started it yet");
        let served = ebbtide_tokio::serve(listener, guard, connection).named().lame_duck(self.lame_duck);
        tokio::spawn(self.order.part(label, served));
    }
}

/// Waits for the end, telling how it goes. Returns the exit code.
async fn drained(order: &Order, main: &Drain, work: &Work, options: &Options) -> u8 {
    let limit = options.drain_timeout.map(|time| time + options.ready_delay);
    let deadline = async {
        match limit {
            Some(limit) => tokio::time::sleep(limit).await,
            None => std::future::pending().await,
        }
    };
    let mut report = Report::begin(limit);
    let mut end = pin!(order.drain().start().deadline(deadline));
    loop {
        report.progress(work);
        if tokio::time::timeout(report.interval(), end.as_mut()).await.is_ok() {
            // The whole is over, so the main server is: its own end names what was cut.
            return report.end(&main.start().await);
        }
    }
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
