//! Five parts in four stages on smol: HTTP and a clock give jobs to a worker, behind it a database, and metrics to the end.
//!
//! `cargo run --example stages_smol`, then `curl 127.0.0.1:8080/5` or `/job/30`, and Ctrl-C here meanwhile. `/job/666` fails, and
//! `/job/667` panics. On tokio the program differs in `use` lines and in `main`.

use std::time::Duration;

use async_channel::{SendError, Sender, unbounded};
use ebbtide_accept::Runtime as _;
use ebbtide_hyper::Http;
use ebbtide_smol::{Executor, Outcome, Service, Smol as Platform, bind};
use hyper::{Request, Response, body::Incoming, http, service::service_fn};
use smol_hyper::rt::{FuturesIo as Io, SmolTimer as Timer};

/// Answers after as many seconds as the path says, or gives the worker a job.
async fn answer(request: Request<Incoming>, jobs: Sender<u64>) -> http::Result<Response<String>> {
    let number = |path: &str| path.parse().ok();
    match (request.uri().path().strip_prefix("/job/").and_then(number), request.uri().path().strip_prefix('/')) {
        (Some(job), _) => drop(jobs.send(job).await),
        (None, seconds) => {
            Platform::sleep(Duration::from_secs(seconds.and_then(number).unwrap_or(0))).await;
        }
    }
    Ok(Response::new("done\n".to_owned()))
}

/// Works on a job for as many tenths of a second as its number says. Two jobs cannot be done.
async fn work(job: u64) -> Result<(), String> {
    assert_ne!(job, 667, "job 667 is bewitched");
    if job == 666 {
        return Err("job 666 is cursed".to_owned());
    }
    Platform::sleep(Duration::from_millis(100 * job)).await;
    println!("job {job} is done");
    Ok(())
}

async fn service() -> Outcome {
    let http = Http::new(Executor::new(), Timer::new());
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let (jobs, queue) = unbounded();
    let from_cron = jobs.clone();
    let handler = service_fn(move |request| answer(request, jobs.clone()));
    Service::new() // first signal: drain; second: by force; third: kill
        .deadline(Duration::from_secs(8))
        .on_event(|event| println!("{event}"))
        .serve("http", bind(address).await, http.service(Io::new, handler))
        .task("cron", |part| async move {
            while part.until_draining(Platform::sleep(Duration::from_secs(10))).await.is_some() {
                from_cron.send(1).await?;
            }
            Ok::<_, SendError<u64>>(())
        })
        .at_most(Duration::from_secs(4))
        .then() // when nobody sends jobs any more
        .task("worker", |_| async move {
            while let Ok(job) = queue.recv().await {
                work(job).await?;
            }
            Ok::<_, String>(())
        })
        .at_most(Duration::from_secs(3))
        .finally("database", async { println!("the database is closed") })
        .finally("metrics", async { println!("the metrics are flushed") })
        .run()
        .await
}

fn main() -> Outcome {
    ebbtide_smol::run(service())
}
