//! A server that is replaced by a new version of itself, and no client notices: on smol and hyper.
//!
//! `cargo run --example restart_smol -- --handover /tmp/restart`. Then the same in another terminal: it takes over. Or send the
//! first one a `SIGHUP`: it starts its successor. `curl 127.0.0.1:8080/pid` tells which process answers.
//!
//! `restart.rs` is the same on tokio. One of them can take over from the other.

#[path = "../restart/options.rs"]
mod options;

use std::convert::Infallible;
use std::error::Error;
use std::process::{ExitCode, Termination};
use std::sync::Arc;

use ebbtide_examples::application::{Application, Body, diagnostics, text};
use ebbtide_examples::work::Work;
use ebbtide_handover::{Handover, Program};
use ebbtide_hyper::{Bounds, Connections, Http};
use ebbtide_signal::{Signal, Signals, escalate};
use ebbtide_smol::{Event, Executor, Outcome, Service, Smol};
use hyper::body::Incoming;
use hyper::service::{Service as _, service_fn};
use hyper::{Request, Response, StatusCode};
use options::Options;
use smol::net::TcpListener;
use smol_hyper::rt::{FuturesIo as Io, SmolTimer as Timer};

async fn answer(request: Request<Incoming>, application: Application<Smol>) -> Result<Response<Body>, Infallible> {
    if request.uri().path() == "/pid" {
        return Ok(text(StatusCode::OK, std::process::id().to_string()));
    }
    application.call(request).await
}

async fn serve(options: Options, handover: Handover) -> Result<Outcome, Box<dyn Error>> {
    let mut signals = Signals::new()?;
    let listener = handover.tcp("main", options.addr)?.map(TcpListener::try_from)?;
    let probes = handover.tcp("diagnostics", options.diag_addr)?.map(TcpListener::try_from)?;

    let service = Service::without_signals().deadline(options.drain_timeout).lame_duck(options.ready_delay);
    let (drain, readiness, handover) = (service.drain().clone(), service.readiness(), Arc::new(handover));
    handover.drains(&drain);
    if options.handover.is_some() {
        let replacer = handover.replacer(Program::this()?.check("--check"));
        let mut hangups = signals.split_off(Signal::Hangup);
        smol::spawn(async move {
            loop {
                hangups.recv().await;
                if let Err(error) = replacer.replace().await {
                    println!("{error}");
                }
            }
        })
        .detach();
    }
    let (ready, failing) = (handover.clone(), drain.clone());
    let (application, connections) = (Application::<Smol>::new(), Connections::new());
    let work = Work::new(readiness, &connections, application.tasks());
    let http = Http::new(Executor, Timer::new()).connections(&connections).extend_every_request();
    let main = service_fn(move |request| answer(request, application.clone()));
    let diagnosis = move |request| std::future::ready(Ok::<_, Infallible>(diagnostics(&work, &request)));
    // A prober's connection is nothing to wait for.
    let probe = Http::new(Executor, Timer::new()).bounds(Bounds::NONE);
    let service = service
        .on_event(move |event| {
            println!("{event}");
            if matches!(event, Event::Ready) {
                if let Err(error) = ready.ready() {
                    drop(failing.start_because(error.to_string()));
                }
            }
        })
        .serve("main", listener, http.service(Io::new, main))
        .then() // it answers until the main server has drained
        .serve("diagnostics", probes, probe.service(Io::new, service_fn(diagnosis)));
    escalate(drain, signals);
    Ok(service.run().await)
}

fn main() -> ExitCode {
    let options = match Options::from_args() {
        Ok(options) => options,
        Err(code) => return code,
    };
    // Before there is a runtime: it takes variables out of the environment.
    let ended = match options.handover().start() {
        Ok(handover) => smol::block_on(serve(options, handover)),
        Err(error) => Err(error.into()),
    };
    match ended {
        Ok(outcome) => outcome.report(),
        Err(error) => {
            eprintln!("restart: {error}");
            ExitCode::from(2)
        }
    }
}
