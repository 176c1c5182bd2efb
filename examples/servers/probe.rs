//! A service that shows its drain: HTTP, a mailer behind it, a database, and last a diagnostics port with limits of its own.
//!
//! `PROBE_TOKEN=0123456789abcdef cargo run --example probe`, open `http://127.0.0.1:9090`, `curl 127.0.0.1:8080/20` or `/mail/20`,
//! and press Ctrl-C here meanwhile. `tests/probe.sh` does so with Chromium, and attacks it.

use std::convert::Infallible;
use std::env;
use std::error::Error;
use std::future::ready;
use std::time::Duration;

use async_channel::{Sender, unbounded};
use ebbtide_connection::{Bounds, Connections};
use ebbtide_hyper::Http;
use ebbtide_probe::{Probe, Token};
use ebbtide_tokio::{Outcome, Part, Service, bind, serve};
use hyper::{Request, Response, body::Incoming, http, service::service_fn};
use hyper_util::rt::{TokioExecutor as Executor, TokioIo as Io, TokioTimer as Timer};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

/// What a diagnostics port takes of the process at most: so many descriptors.
const DIAGNOSTICS: usize = 64;

/// Answers after as many seconds as the path says, or gives the mailer a mail that takes so long.
async fn answer(request: Request<Incoming>, mails: Sender<u64>) -> http::Result<Response<String>> {
    let path = request.uri().path();
    match path.strip_prefix("/mail/").map(str::parse) {
        Some(seconds) => drop(mails.send(seconds.unwrap_or(0)).await),
        None => sleep(Duration::from_secs(path[1..].parse().unwrap_or(0))).await,
    }
    Ok(Response::new("done\n".to_owned()))
}

/// The port for probers, scrapers and people. None of them may hold up the service. Half a request is dropped after 2 s, and an
/// answer that nobody reads after 10 s. When the stage drains, answers are completed, for who reads them within a second.
async fn diagnostics(address: String, probe: Probe, part: Part) -> Result<(), Box<dyn Error + Send + Sync>> {
    let listener = TcpListener::bind(address).await?;
    println!("diagnostics on http://{}", listener.local_addr()?);
    part.ready();
    let (second, moment) = (Duration::from_secs(1), Duration::from_millis(20));
    let bounds = Bounds::NONE.request(2 * second).keep_alive(75 * second).progress(10 * second);
    let bounds = bounds.idle(moment).stall(second).linger(moment);
    // With a watcher in every request, so that the page's stream goes on until this stage drains.
    let http = Http::new(Executor::new(), Timer::new()).bounds(bounds).extend_every_request();
    let connection = move |stream: TcpStream, guard| {
        let (probe, peer) = (probe.clone(), stream.peer_addr().ok().map(|it| it.ip()));
        let answer = service_fn(move |request| ready(Ok::<_, Infallible>(probe.answer(&request, peer))));
        http.serve(Io::new(stream), answer, guard)
    };
    // Who is still in its queue then is not served: as if it had other owners.
    serve(listener, part.guard(), connection).max_connections(DIAGNOSTICS).shared().await?;
    Ok(())
}

async fn service() -> Outcome {
    let mut arguments = env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let diagnostics_address = arguments.next().unwrap_or_else(|| "127.0.0.1:9090".to_owned());
    let mut seconds = |usual| Duration::from_secs(arguments.next().and_then(|it| it.parse().ok()).unwrap_or(usual));
    let (lame_duck, last_scrape) = (seconds(3), seconds(0));

    let service = Service::new() // first signal: drain; second: by force; third: kill
        .lame_duck(lame_duck)
        .deadline(Duration::from_secs(30))
        .on_event(|event| println!("{event}"));
    let connections = Connections::new();
    let probe = Probe::of(&service).connections(&connections).ends_before("last scrape");
    let probe = probe.on_attempt(|attempt| eprintln!("{attempt}"));
    let probe = match env::var("PROBE_TOKEN").map(Token::new) {
        Ok(Ok(token)) => probe.actions(token),
        Ok(Err(weak)) => panic!("PROBE_TOKEN: {weak}"),
        Err(_) => probe,
    };
    let scraping = probe.clone();
    let http = Http::new(Executor::new(), Timer::new()).connections(&connections);
    let (mails, queue) = unbounded();
    service
        .serve("api", bind(address).await, move |stream, guard| {
            let mails = mails.clone();
            http.serve(Io::new(stream), service_fn(move |request| answer(request, mails.clone())), guard)
        })
        .then() // when nobody sends mails any more
        .task("mailer", |part| async move {
            while let Ok(seconds) = queue.recv().await {
                let _mail = part.labelled(format!("mail of {seconds} s"));
                sleep(Duration::from_secs(seconds)).await;
            }
        })
        .finally("database", async { println!("the database is closed") })
        .finally("last scrape", async move {
            // So that whoever scrapes sees the end, too.
            drop(timeout(last_scrape, scraping.scraped()).await);
        })
        .then() // until here it can be seen
        .task("diagnostics", move |part| diagnostics(diagnostics_address, probe, part))
        .says_ready()
        .run()
        .await
}

fn main() -> Outcome {
    ebbtide_tokio::run(service())
}
