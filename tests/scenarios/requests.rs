//! Requests in flight when the drain begins.

use std::io::Write;
use std::thread;

use ebbtide_testkit::client::Client;
use ebbtide_testkit::wire::End;
use ebbtide_tests::process::{Server, Signal};

const MIB: usize = 1 << 20;

#[test]
fn a_request_in_flight_completes_and_says_close_and_the_connection_ends_behind_it() {
    let server = Server::start(&[]);
    let mut client = Client::idle(server.main);
    client.get("/slow?ms=1000");
    server.until_status("Running, 1 in flight");
    server.drain();

    let response = client.response();
    assert_eq!(response.text(), "slow 1000");
    assert!(response.says_close(), "{response:?}");
    assert_eq!(client.end(), End::Fin);
    server.drained();
}

#[test]
fn a_request_of_http_1_0_in_flight_completes() {
    let server = Server::start(&[]);
    let mut client = Client::connect(server.main);
    client.send("GET /slow?ms=1000 HTTP/1.0\r\n\r\n");
    server.until_status("Running, 1 in flight");
    server.drain();
    assert_eq!(client.response().text(), "slow 1000");
    assert_eq!(client.end(), End::Fin);
    server.drained();
}

#[test]
fn a_response_to_head_in_flight_is_its_head() {
    let server = Server::start(&[]);
    let mut client = Client::connect(server.main);
    client.send("HEAD /slow?ms=1000 HTTP/1.1\r\nHost: test\r\n\r\n");
    server.until_status("Running, 1 in flight");
    server.drain();

    let head = client.head().expect("a response");
    assert_eq!((head.status, head.says_close(), head.header("content-length")), (200, true, Some("9")));
    assert_eq!(client.end(), End::Fin);
    server.drained();
}

#[test]
fn fifty_requests_in_flight_all_complete_and_say_close() {
    let server = Server::start(&[]);
    let mut clients: Vec<_> = (0..50).map(|_| Client::connect(server.main)).collect();
    for client in &mut clients {
        client.begin_upload(1);
    }
    server.until_status("Running, 50 in flight");
    server.drain();
    // Not ready is said first, and a moment later the main server drains.
    server.until_refused();
    for client in &mut clients {
        client.send("1");
        let response = client.response();
        assert_eq!((response.text(), response.says_close()), ("1", true));
    }
    server.drained();
}

#[test]
fn a_response_begun_before_the_drain_runs_to_its_end_and_is_the_last() {
    let server = Server::start(&[]);
    let mut client = Client::connect(server.main);
    client.get("/stream?chunks=20&ms=25");
    client.see("chunk 0\n");
    server.drain();

    let response = client.response();
    assert!(response.text().starts_with("chunk 0\n") && response.text().ends_with("chunk 19\n"), "{response:?}");
    assert!(!response.says_close(), "its head was written before");
    assert_eq!(client.end(), End::Fin);
    server.drained();
}

#[test]
fn an_upload_in_flight_is_read_to_its_end() {
    let server = Server::start(&[]);
    let mut client = Client::connect(server.main);
    client.begin_upload(2 * MIB);
    client.send(vec![b'u'; MIB]);
    server.until_status("Running, 1 in flight");
    server.drain();

    client.send(vec![b'u'; MIB]);
    let response = client.response();
    assert_eq!((response.text(), response.says_close()), ("2097152", true));
    assert_eq!(client.end(), End::Fin);
    server.drained();
}

#[test]
fn a_chunked_upload_in_flight_is_read_to_its_end() {
    let server = Server::start(&[]);
    let mut client = Client::connect(server.main);
    client.send("POST /upload HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
    server.until_status("Running, 1 in flight");
    server.drain();

    client.send("6\r\nsecond\r\n0\r\n\r\n");
    assert_eq!(client.response().text(), "11");
    assert_eq!(client.end(), End::Fin);
    server.drained();
}

#[test]
fn a_client_that_was_told_to_continue_may_do_so_after_the_drain_began() {
    let server = Server::start(&[]);
    let mut client = Client::connect(server.main);
    client.send("POST /upload HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.head().expect("an interim response").status, 100);
    server.drain();

    client.send("four");
    let response = client.response();
    assert_eq!((response.text(), response.says_close()), ("4", true));
    server.drained();
}

#[test]
fn a_client_that_asks_whether_to_continue_is_told_though_the_drain_began() {
    let server = Server::start(&[]);
    let mut client = Client::connect(server.main);
    client.send("POST /upload HTTP/1.1\r\nHost: test\r\n");
    drop(Client::idle(server.main));
    server.while_stopped(|| {
        server.signal(Signal::TERM);
        client.send("Content-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    });
    assert_eq!(client.head().expect("an interim response").status, 100);
    client.send("four");
    assert_eq!(client.response().text(), "4");
    assert_eq!(client.end(), End::Fin);
    server.drained();
}

#[test]
fn a_large_response_reaches_a_client_that_reads_late() {
    let server = Server::start(&[]);
    let mut client = Client::connect(server.main);
    client.get("/big?bytes=8388608");
    client.see("\r\n\r\n");
    server.drain();
    server.until_refused();
    assert_eq!(client.response().body.len(), 8 * MIB);
    assert_eq!(client.end(), End::Fin);
    server.drained();
}

/// Waits for the bound of 5 s on a client that takes nothing.
#[test]
fn a_client_that_takes_nothing_does_not_hold_the_drain_for_ever() {
    let server = Server::start(&["--drain-timeout-ms", "0"]);
    let mut client = Client::connect(server.main);
    // More than all the buffers between us.
    client.get("/big?bytes=100000000");
    client.see("\r\n\r\n");
    server.drain();
    server.until_status("Draining, 1 in flight");
    let cut = server.cut();
    assert!(cut.ends_with("cut because its client took or sent nothing for too long: 1"), "{cut}");
}

#[test]
fn a_request_pipelined_behind_the_last_one_is_not_answered() {
    let server = Server::start(&[]);
    let mut client = server.upload();
    server.drain();
    client.send("2GET /hello HTTP/1.1\r\nHost: test\r\n\r\n");
    let response = client.response();
    assert_eq!((response.text(), response.says_close()), ("2", true));
    assert_eq!(client.end(), End::Fin);
    server.drained();
}

#[test]
fn a_flood_behind_a_large_response_does_not_destroy_it() {
    let server = Server::start(&[]);
    let mut client = Client::connect(server.main);
    client.get("/big?bytes=8388608");
    client.see("\r\n\r\n");
    let mut writer = client.writer();
    // More than the server reads while it writes. It may well be refused in the end.
    let flood = thread::spawn(move || writer.write_all(&b"GET /hello HTTP/1.1\r\nHost: test\r\n\r\n".repeat(100_000)));
    server.drain();
    assert_eq!(client.response().body.len(), 8 * MIB);
    // It may have been written before its connection heard of the drain: then some of the flood is answered too.
    let end = std::iter::repeat_with(|| client.answer()).find_map(Result::err);
    assert_eq!(end, Some(End::Fin));
    drop(client);
    drop(flood.join().expect("it only writes"));
    server.drained();
}

#[test]
fn a_client_that_goes_away_does_not_hold_the_drain() {
    let server = Server::start(&[]);
    let mut client = Client::connect(server.main);
    client.get("/slow?ms=60000");
    server.until_status("Running, 1 in flight");
    server.drain();
    drop(client);
    server.drained();
}

#[test]
fn a_client_that_goes_away_in_the_middle_of_its_upload_does_not_hold_the_drain() {
    let server = Server::start(&["--drain-timeout-ms", "0"]);
    let client = server.upload();
    server.drain();
    drop(client);
    server.drained();
}

#[test]
fn a_client_that_ends_its_direction_behind_its_request_is_answered() {
    let ends = |client: &mut Client, request: &str| {
        client.send(request);
        client.half_close();
    };
    for begins in [false, true] {
        let server = Server::start(&[]);
        let mut clients: Vec<_> = (0..4).map(|_| Client::connect(server.main)).collect();
        let [slow, old, upload, stream] = &mut clients[..] else { unreachable!("four") };
        ends(slow, "GET /slow?ms=1500 HTTP/1.1\r\nHost: test\r\n\r\n");
        ends(old, "GET /slow?ms=1500 HTTP/1.0\r\n\r\n");
        ends(stream, "GET /stream?chunks=4&ms=500 HTTP/1.1\r\nHost: test\r\n\r\n");
        ends(upload, "POST /upload HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\nend");
        assert_eq!(upload.response().text(), "3");
        server.until_status("Running, 3 in flight");
        if begins {
            server.drain();
        }
        assert_eq!(slow.response().text(), "slow 1500");
        assert_eq!(old.response().text(), "slow 1500");
        assert_eq!(stream.response().text(), "chunk 0\nchunk 1\nchunk 2\nchunk 3\n");
        for client in &mut clients {
            assert_eq!(client.end(), End::Fin);
        }
        if !begins {
            server.drain();
        }
        server.drained();
    }
}

#[test]
fn a_client_that_is_gone_frees_its_handler() {
    for begins in [false, true] {
        let server = Server::start(&["--drain-timeout-ms", "0"]);
        let (mut waits, mut streams) = (Client::connect(server.main), Client::connect(server.main));
        waits.get("/slow?ms=600000");
        streams.get("/stream?chunks=6000&ms=100");
        streams.see("chunk 0\n");
        server.until_status("Running, 2 in flight");
        if begins {
            server.drain();
        }
        // With nothing unread, so that it is an end like that of a client that waits.
        drop(waits);
        drop(streams);
        if !begins {
            server.until_status("Running, 0 in flight");
            server.drain();
        }
        server.drained();
    }
}

#[test]
fn a_handler_that_panics_is_not_waited_for() {
    let server = Server::start(&[]);
    let mut client = Client::connect(server.main);
    client.get("/panic?ms=1000");
    server.until_status("Running, 1 in flight");
    server.drain();
    assert!(client.answer().is_err());
    server.drained();
}
