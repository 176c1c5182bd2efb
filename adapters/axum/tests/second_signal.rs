//! The second of the process's signals. They are the whole process's, so this test is alone in its own.
#![cfg(unix)]

use axum::Router;
use axum::routing::get;
use ebbtide_axum::Draining;
use ebbtide_testkit::client::Client;
use rustix::process::{Signal, getpid, kill_process};
use tokio::net::TcpListener;
use tokio::sync::mpsc::unbounded_channel;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_signal_cuts_what_the_first_one_waits_for_and_answers_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("bound");
    let (say, mut hear) = unbounded_channel();
    let stuck = |Draining(draining): Draining| async move {
        say.send("begun").expect("the test hears it");
        draining.await;
        say.send("told").expect("the test hears it");
        std::future::pending::<()>().await;
    };
    let app = Router::new().route("/stuck", get(stuck));
    let server = tokio::spawn(async { ebbtide_axum::serve(listener, app).await });
    let mut client = Client::connect(addr);
    client.get("/stuck");
    assert_eq!(hear.recv().await, Some("begun"));
    kill_process(getpid(), Signal::TERM).expect("it is us");
    assert_eq!(hear.recv().await, Some("told"));
    assert!(!server.is_finished());
    // Another one, since two of a kind that come at once may be one.
    kill_process(getpid(), Signal::INT).expect("it is us");
    let ended = tokio::time::timeout(ebbtide_testkit::PATIENCE, server).await.expect("it ends");
    let error = ended.expect("it did not panic").expect_err("it was cut");
    assert!(error.overdue().is_some(), "{error}");
    assert!(client.response().is_unavailable());
}
