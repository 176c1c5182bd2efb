//! The process's signals. They are the whole process's, so this test is alone in its own.
#![cfg(unix)]

use axum::Router;
use axum::routing::get;
use ebbtide_testkit::client::Client;
use rustix::process::{Signal, getpid, kill_process};
use tokio::net::TcpListener;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_of_one_process_drain_at_its_first_signal() {
    let mut servers = Vec::new();
    for _ in 0..2 {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("bound");
        let app = Router::new().route("/hello", get(|| async { "hello" }));
        let server = tokio::spawn(async { ebbtide_axum::serve(listener, app).await });
        servers.push((server, Client::idle(addr)));
    }
    kill_process(getpid(), Signal::TERM).expect("it is us");
    for (server, mut client) in servers {
        client.expect_fin();
        server.await.expect("it did not panic").expect("nothing was cut");
    }
}
