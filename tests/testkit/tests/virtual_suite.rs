//! The scenarios in virtual time, for each protocol engine on each executor.

use std::future::pending;
use std::sync::Arc;

use ebbtide::Guard;
use ebbtide_hyper::Http;
use ebbtide_testkit::hyper::Service;
use ebbtide_testkit::VirtualSuite;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use smol_hyper::rt::{FuturesIo, SmolExecutor};

#[test]
fn hyper_keeps_every_promise() {
    let suite = VirtualSuite::new("hyper, simulated", |start| {
        let (runtime, application) = (start.runtime.clone(), start.application.clone());
        let http = Http::new(runtime.clone(), runtime.clone()).bounds(start.bounds);
        move |io, guard: Guard| {
            let service = Service::new(application.clone(), guard.clone(), runtime.clone());
            http.serve(io, service, guard)
        }
    });
    suite.run().expect_kept();
}

#[test]
fn hyper_keeps_every_promise_on_tokio() {
    let suite = VirtualSuite::new("hyper, tokio", |start| {
        let application = start.application.clone();
        let http = Http::new(TokioExecutor::new(), TokioTimer::new()).bounds(start.bounds);
        move |io, guard: Guard| {
            let service = Service::new(application.clone(), guard.clone(), TokioExecutor::new());
            tokio::spawn(http.serve(TokioIo::new(io), service, guard))
        }
    });
    suite.on_tokio().run().expect_kept();
}

#[test]
fn hyper_keeps_every_promise_on_an_executor_of_smol() {
    let suite = VirtualSuite::new("hyper, smol", |start| {
        let executor = Arc::new(smol::Executor::new());
        let running = executor.clone();
        start.runtime.spawn(async move { running.run(pending()).await });
        let application = start.application.clone();
        let on = SmolExecutor::new(executor.clone());
        let http = Http::new(on.clone(), start.runtime.clone()).bounds(start.bounds);
        move |io, guard: Guard| {
            let service = Service::new(application.clone(), guard.clone(), on.clone());
            executor.spawn(http.serve(FuturesIo::new(io), service, guard))
        }
    });
    suite.run().expect_kept();
}
