//! Protocol engines in memory and in virtual time, on three executors.

use std::future::pending;
use std::sync::Arc;

use ebbtide::Guard;
use ebbtide_hyper::Http;
use ebbtide_testkit::hyper::Service;
use ebbtide_testkit::{Feature, VirtualSuite};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use smol_hyper::rt::{FuturesIo, SmolExecutor};

use crate::h1::{NO_HTTP2, endpoint};

/// The suites of all pairs.
#[must_use]
pub fn suites() -> Vec<VirtualSuite> {
    vec![hyper(), tokio_hyper(), smol_hyper(), h1(), tokio_h1(), smol_h1()]
}

/// The same through TLS. The executors make no difference to that, but the streams do.
#[must_use]
pub fn suites_over_tls() -> Vec<VirtualSuite> {
    vec![hyper_over_tls(), tokio_hyper_over_tls(), h1_over_tls()]
}

/// hyper, on the simulation's own tasks.
fn hyper() -> VirtualSuite {
    VirtualSuite::new("hyper, simulated", |start| {
        let (runtime, application) = (start.runtime.clone(), start.application.clone());
        let http = Http::new(runtime.clone(), runtime.clone()).bounds(start.bounds);
        move |io, guard: Guard| {
            let service = Service::new(application.clone(), guard.clone(), runtime.clone());
            http.serve(io, service, guard)
        }
    })
}

/// hyper, on tokio's tasks and clock.
fn tokio_hyper() -> VirtualSuite {
    let suite = VirtualSuite::new("hyper, simulated on tokio", |start| {
        let application = start.application.clone();
        let http = Http::new(TokioExecutor::new(), TokioTimer::new()).bounds(start.bounds);
        move |io, guard: Guard| {
            let service = Service::new(application.clone(), guard.clone(), TokioExecutor::new());
            tokio::spawn(http.serve(TokioIo::new(io), service, guard))
        }
    });
    suite.on_tokio()
}

/// hyper, on an executor of smol, which is one of the simulation's tasks.
fn smol_hyper() -> VirtualSuite {
    VirtualSuite::new("hyper, simulated on smol's executor", |start| {
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
    })
}

/// async-h1, on the simulation's own tasks.
fn h1() -> VirtualSuite {
    let suite = VirtualSuite::new("async-h1, simulated", |start| {
        let (runtime, application) = (start.runtime.clone(), start.application.clone());
        let clock = runtime.clone();
        let http = ebbtide_async_h1::Http::new(move |time| clock.sleep(time)).bounds(start.bounds);
        move |io, guard: Guard| {
            let runtime = runtime.clone();
            let spawn = move |task| runtime.spawn(task);
            http.serve(io, endpoint(application.clone(), guard.clone(), spawn), guard)
        }
    });
    suite.without(Feature::Http2, NO_HTTP2)
}

/// async-h1, on tokio's tasks and clock.
fn tokio_h1() -> VirtualSuite {
    let suite = VirtualSuite::new("async-h1, simulated on tokio", |start| {
        let application = start.application.clone();
        let http = ebbtide_async_h1::Http::new(tokio::time::sleep).bounds(start.bounds);
        move |io, guard: Guard| {
            let spawn = |task| drop(tokio::spawn(task));
            tokio::spawn(http.serve(io, endpoint(application.clone(), guard.clone(), spawn), guard))
        }
    });
    suite.on_tokio().without(Feature::Http2, NO_HTTP2)
}

/// async-h1, on an executor of smol, which is one of the simulation's tasks.
fn smol_h1() -> VirtualSuite {
    let suite = VirtualSuite::new("async-h1, simulated on smol's executor", |start| {
        let executor = Arc::new(smol::Executor::new());
        let running = executor.clone();
        start.runtime.spawn(async move { running.run(pending()).await });
        let (application, clock) = (start.application.clone(), start.runtime.clone());
        let http = ebbtide_async_h1::Http::new(move |time| clock.sleep(time)).bounds(start.bounds);
        move |io, guard: Guard| {
            let on = executor.clone();
            let spawn = move |task| on.spawn(task).detach();
            executor.spawn(http.serve(io, endpoint(application.clone(), guard.clone(), spawn), guard))
        }
    });
    suite.without(Feature::Http2, NO_HTTP2)
}

/// hyper on streams of futures-io, through TLS.
fn hyper_over_tls() -> VirtualSuite {
    let suite = VirtualSuite::new("hyper, simulated", |start| {
        let (runtime, application) = (start.runtime.clone(), start.application.clone());
        let tls = futures_rustls::TlsAcceptor::from(start.tls.clone().expect("the suite is over TLS"));
        let http = Http::new(runtime.clone(), runtime.clone()).bounds(start.bounds);
        move |io, guard: Guard| {
            let service = Service::new(application.clone(), guard.clone(), runtime.clone());
            let (io, guard) = ebbtide_rustls::futures_io::handshake(io, guard, |io| tls.accept(io));
            http.serve(FuturesIo::new(io), service, guard)
        }
    });
    suite.over_tls()
}

/// hyper on tokio's tasks, clock and streams, through TLS.
fn tokio_hyper_over_tls() -> VirtualSuite {
    let suite = VirtualSuite::new("hyper, simulated on tokio", |start| {
        let application = start.application.clone();
        let tls = tokio_rustls::TlsAcceptor::from(start.tls.clone().expect("the suite is over TLS"));
        let http = Http::new(TokioExecutor::new(), TokioTimer::new()).bounds(start.bounds);
        move |io, guard: Guard| {
            let service = Service::new(application.clone(), guard.clone(), TokioExecutor::new());
            let (io, guard) = ebbtide_rustls::tokio::handshake(io, guard, |io| tls.accept(io));
            tokio::spawn(http.serve(TokioIo::new(io), service, guard))
        }
    });
    suite.on_tokio().over_tls()
}

/// async-h1, through TLS.
fn h1_over_tls() -> VirtualSuite {
    let suite = VirtualSuite::new("async-h1, simulated", |start| {
        let (runtime, application) = (start.runtime.clone(), start.application.clone());
        let tls = futures_rustls::TlsAcceptor::from(start.tls.clone().expect("the suite is over TLS"));
        let clock = runtime.clone();
        let http = ebbtide_async_h1::Http::new(move |time| clock.sleep(time)).bounds(start.bounds);
        move |io, guard: Guard| {
            let runtime = runtime.clone();
            let spawn = move |task| runtime.spawn(task);
            let endpoint = endpoint(application.clone(), guard.clone(), spawn);
            let (io, guard) = ebbtide_rustls::futures_io::handshake(io, guard, |io| tls.accept(io));
            http.serve(io, endpoint, guard)
        }
    });
    suite.over_tls().without(Feature::Http2, NO_HTTP2)
}
