//! What a prober sees of a drain.

use ebbtide_testkit::client::Client;
use ebbtide_tests::process::{Server, Signal};

fn status(server: &Server, path: &str) -> Option<u16> {
    server.ask(path).map(|it| it.status)
}

#[test]
fn a_server_that_drains_lives_but_is_not_ready() {
    let server = Server::start(&[]);
    assert_eq!((status(&server, "/ready"), status(&server, "/live")), (Some(200), Some(200)));
    let mut client = server.upload();
    server.drain();
    for _ in 0..10 {
        assert_eq!((status(&server, "/ready"), status(&server, "/live")), (Some(503), Some(200)));
    }
    client.send("2");
    assert_eq!(client.response().text(), "2");
    server.drained();
}

#[test]
fn the_diagnostics_outlive_what_they_tell_of() {
    let server = Server::start(&[]);
    let mut client = Client::connect(server.main);
    client.get("/stream?chunks=10&ms=50");
    client.see("chunk 0\n");
    server.drain();
    for at in 1..10 {
        assert_eq!(status(&server, "/live"), Some(200));
        client.see(&format!("chunk {at}\n"));
    }
    let _ = client.response();
    let diagnostics = server.diagnostics;
    server.drained();
    assert!(Client::reach(diagnostics).is_err(), "closed at last");
}

#[test]
fn probers_that_stay_do_not_hold_the_drain() {
    let server = Server::start(&["--drain-timeout-ms", "0"]);
    let (mut idle, mut half) = (Client::connect(server.diagnostics), Client::connect(server.diagnostics));
    let _silent = Client::connect(server.diagnostics);
    idle.get("/live");
    assert_eq!(idle.response().status, 200);
    half.send("GET /live HTT");
    server.signal(Signal::TERM);
    server.drained();
}

#[test]
fn during_the_ready_delay_the_server_is_not_ready_but_serves_and_then_refuses() {
    let server = Server::start(&["--ready-delay-ms", "3000"]);
    let mut busy = server.upload();
    server.drain();
    assert_eq!(status(&server, "/ready"), Some(503));
    for _ in 0..3 {
        let mut client = Client::connect(server.main);
        client.get("/hello");
        let response = client.response();
        assert_eq!((response.text(), response.says_close()), ("hello", false), "of some use to who has just come");
    }
    server.until_refused();
    busy.send("2");
    assert_eq!(busy.response().text(), "2");
    server.drained();
}

#[test]
fn the_deadline_counts_from_the_end_of_the_ready_delay() {
    let server = Server::start(&["--ready-delay-ms", "2000", "--drain-timeout-ms", "1000"]);
    server.signal(Signal::TERM);
    // The listener itself is waited for until the delay is over.
    server.drained();
}
