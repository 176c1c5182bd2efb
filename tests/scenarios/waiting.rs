//! Connections on which nothing is in flight: idle, silent, in the middle of a head.

use ebbtide_testkit::client::Client;
use ebbtide_testkit::wire::End;
use ebbtide_tests::process::{Server, Signal};

/// No deadline: what ends here, ends by itself.
const NO_DEADLINE: &[&str] = &["--drain-timeout-ms", "0"];

#[test]
fn with_nothing_to_drain_the_server_ends() {
    let server = Server::start(NO_DEADLINE);
    server.signal(Signal::TERM);
    server.drained();
}

#[test]
fn an_idle_connection_ends_by_fin() {
    let server = Server::start(NO_DEADLINE);
    let mut client = Client::idle(server.main);
    server.signal(Signal::TERM);
    assert_eq!(client.end(), End::Fin);
    server.drained();
}

#[test]
fn an_idle_connection_does_not_wait_for_the_others() {
    let server = Server::start(&[]);
    let (mut idle, mut busy) = (Client::idle(server.main), server.upload());
    server.drain();
    assert_eq!(idle.end(), End::Fin);
    busy.send("2");
    assert_eq!(busy.response().text(), "2");
    server.drained();
}

#[test]
fn four_hundred_idle_connections_all_end_by_fin() {
    let server = Server::start(NO_DEADLINE);
    let mut clients: Vec<_> = (0..400).map(|_| Client::idle(server.main)).collect();
    server.signal(Signal::TERM);
    for client in &mut clients {
        assert_eq!(client.end(), End::Fin);
    }
    server.drained();
}

#[test]
fn a_request_that_crosses_the_signal_to_an_idle_connection_is_answered() {
    let server = Server::start(&[]);
    let mut clients: Vec<_> = (0..50).map(|_| Client::idle(server.main)).collect();
    server.while_stopped(|| {
        server.signal(Signal::TERM);
        for client in &mut clients {
            client.get("/hello");
        }
    });
    for client in &mut clients {
        assert_eq!(client.response().text(), "hello");
        assert_eq!(client.end(), End::Fin);
    }
    server.drained();
}

#[test]
fn requests_written_around_the_signal_are_answered() {
    let server = Server::start(&[]);
    let mut clients: Vec<_> = (0..100).map(|_| Client::idle(server.main)).collect();
    let mut asking = Vec::new();
    for (at, client) in clients.iter_mut().enumerate() {
        if at == 20 {
            server.signal(Signal::TERM);
        }
        // Slow as this machine may be, a request is not written after the end.
        if !client.is_ended() {
            client.get("/hello");
            asking.push(client);
        }
    }
    for client in asking {
        assert_eq!(client.response().text(), "hello");
    }
    server.drained();
}

#[test]
fn a_silent_connection_ends_by_fin_and_does_not_hold_the_drain() {
    let server = Server::start(NO_DEADLINE);
    let mut client = server.silent();
    server.signal(Signal::TERM);
    assert_eq!(client.end(), End::Fin);
    server.drained();
}

#[test]
fn a_silent_connection_that_speaks_after_the_signal_is_answered() {
    let server = Server::start(&[]);
    let mut client = server.silent();
    server.while_stopped(|| {
        server.signal(Signal::TERM);
        client.get("/hello");
    });
    assert_eq!(client.response().text(), "hello");
    assert_eq!(client.end(), End::Fin);
    server.drained();
}

/// Half a head on a new connection and on one that was kept, both of which the server has accepted.
fn halves(server: &Server) -> [Client; 2] {
    let mut clients = [server.silent(), Client::idle(server.main)];
    for client in &mut clients {
        client.send("GET /hello HTTP/1.1\r\nHo");
    }
    clients
}

#[test]
fn half_a_head_is_waited_for_on_a_new_connection_and_on_one_that_was_kept() {
    let server = Server::start(&[]);
    let mut clients = halves(&server);
    server.drain();
    for client in &mut clients {
        client.send("st: test\r\n\r\n");
        let response = client.response();
        assert_eq!((response.text(), response.says_close()), ("hello", true));
        assert_eq!(client.end(), End::Fin);
    }
    server.drained();
}

/// Waits for the bound of 5 s on half a head.
#[test]
fn half_a_head_that_never_ends_does_not_hold_the_drain_for_ever() {
    let server = Server::start(NO_DEADLINE);
    let _clients = halves(&server);
    server.drain();
    server.drained();
}

#[test]
fn a_client_that_leaves_in_the_middle_of_a_head_does_not_hold_the_drain() {
    let server = Server::start(NO_DEADLINE);
    let clients = halves(&server);
    server.drain();
    drop(clients);
    server.drained();
}
