//! A stdout that nobody reads: its reader is stuck, or gone.

use std::os::fd::OwnedFd;

use ebbtide_testkit::client::Client;
use ebbtide_tests::process::{Server, Signal};
use rustix::io::write;
use rustix::pipe::{fcntl_setpipe_size, pipe};

/// A pipe that takes nothing more. Who drops the first end is gone.
fn full() -> (OwnedFd, OwnedFd) {
    let (reader, writer) = pipe().expect("descriptors");
    let size = fcntl_setpipe_size(&writer, 4096).expect("it is empty");
    assert_eq!(write(&writer, &vec![b'x'; size]), Ok(size));
    (reader, writer)
}

fn endless(server: &Server) -> Client {
    let mut client = Client::connect(server.main);
    client.get("/slow?ms=600000");
    server.until_status("Running, 1 in flight");
    client
}

#[test]
fn a_drain_ends_though_nobody_reads_what_the_server_says() {
    let (_reader, stdout) = full();
    let server = Server::start_on(stdout, &["--drain-timeout-ms", "0"]);
    let mut client = server.upload();
    server.drain();
    client.send("2");
    assert_eq!(client.response().text(), "2");
    server.drained();
}

#[test]
fn a_drain_ends_though_who_read_what_the_server_says_is_gone() {
    let (reader, stdout) = full();
    drop(reader);
    let server = Server::start_on(stdout, &["--drain-timeout-ms", "0"]);
    let mut client = server.upload();
    server.drain();
    client.send("2");
    assert_eq!(client.response().text(), "2");
    server.drained();
}

#[test]
fn the_deadline_cuts_though_nobody_reads_what_the_server_says() {
    let (_reader, stdout) = full();
    let server = Server::start_on(stdout, &["--drain-timeout-ms", "300"]);
    let mut client = endless(&server);
    server.signal(Signal::TERM);
    client.expect_cut();
    assert_eq!(server.exit().code, Some(1));
}

#[test]
fn a_second_signal_forces_though_nobody_reads_what_the_server_says() {
    let (_reader, stdout) = full();
    let server = Server::start_on(stdout, &["--drain-timeout-ms", "0"]);
    let mut client = endless(&server);
    server.drain();
    server.signal(Signal::INT);
    client.expect_cut();
    assert_eq!(server.exit().code, Some(1));
}
