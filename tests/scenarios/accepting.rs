//! Connections that come while the server drains.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use ebbtide_testkit::client::Client;
use ebbtide_testkit::wire::End;
use ebbtide_tests::process::{Server, Signal};

#[test]
fn new_connections_are_refused_while_a_request_is_in_flight() {
    let server = Server::start(&[]);
    let mut client = server.upload();
    server.drain();
    server.until_refused();
    for _ in 0..10 {
        assert!(Client::reach(server.main).is_err(), "refused once, refused from then on");
    }
    client.send("2");
    assert_eq!(client.response().text(), "2");
    server.drained();
}

#[test]
fn the_port_is_free_for_a_successor_while_a_request_is_in_flight() {
    let server = Server::start(&[]);
    let mut client = server.upload();
    server.drain();
    server.until_refused();
    let successor = Server::start(&["--addr", &server.main.to_string()]);
    drop(Client::idle(successor.main));

    client.send("2");
    assert_eq!(client.response().text(), "2");
    server.drained();
    successor.drain();
    successor.drained();
}

#[test]
fn requests_in_the_accept_queue_are_answered() {
    let server = Server::start(&[]);
    let mut clients = Vec::new();
    server.while_stopped(|| {
        // Fewer than the 128 that the queue has room for: nobody takes one meanwhile.
        for _ in 0..100 {
            let mut client = Client::connect(server.main);
            client.get("/hello");
            clients.push(client);
        }
        server.signal(Signal::TERM);
    });
    for client in &mut clients {
        assert_eq!(client.response().text(), "hello");
        assert_eq!(client.end(), End::Fin);
    }
    server.drained();
}

#[test]
fn silent_connections_in_the_accept_queue_end_in_order() {
    let server = Server::start(&["--drain-timeout-ms", "0"]);
    let mut clients = Vec::new();
    server.while_stopped(|| {
        clients.extend((0..5).map(|_| Client::connect(server.main)));
        server.signal(Signal::TERM);
    });
    for client in &mut clients {
        assert_eq!(client.end(), End::Fin);
    }
    server.drained();
}

#[cfg(target_os = "linux")]
#[test]
fn connections_for_which_there_is_no_descriptor_are_answered_when_there_is_one() {
    let server = Server::start(&[]);
    server.limit_descriptors(40);
    let mut clients: Vec<_> = (0..100).map(|_| Client::connect(server.main)).collect();
    for client in &mut clients {
        client.get("/hello");
    }
    // It is as full as it can be: idle connections keep their descriptors.
    assert_eq!(clients[0].response().text(), "hello");
    server.signal(Signal::TERM);
    for client in &mut clients[1..] {
        assert_eq!(client.response().text(), "hello");
    }
    server.drained();
}

/// What clients have seen that ask again and again until the server is gone.
#[derive(Default)]
struct Load {
    answered: AtomicUsize,
    lost: AtomicUsize,
}

impl Load {
    /// Asks, unless the end is there already. Returns whether to ask again.
    fn ask(&self, client: &mut Client) -> bool {
        if client.is_ended() {
            return false;
        }
        client.get("/hello");
        let answer = client.answer();
        if answer.is_ok() { &self.answered } else { &self.lost }.fetch_add(1, Ordering::SeqCst);
        answer.is_ok_and(|it| !it.says_close())
    }

    /// Runs clients until they are done, and starts the drain in the middle of it.
    fn run(&self, server: &Server, client: impl Fn(SocketAddr) + Sync) {
        let (addr, client) = (server.main, &client);
        thread::scope(|threads| {
            for _ in 0..16 {
                threads.spawn(move || client(addr));
            }
            while self.answered.load(Ordering::SeqCst) < 200 {
                thread::yield_now();
            }
            server.signal(Signal::TERM);
        });
        assert_eq!(self.lost.load(Ordering::SeqCst), 0, "of {:?} answered", self.answered);
    }
}

#[test]
fn no_request_is_lost_under_load_on_connections_that_are_kept() {
    let server = Server::start(&[]);
    let load = Load::default();
    load.run(&server, |addr| {
        // The others may have been so quick that the drain has begun.
        let Ok(mut client) = Client::reach(addr) else { return };
        while load.ask(&mut client) {}
    });
    server.drained();
}

#[test]
fn no_request_is_lost_under_load_on_a_connection_for_each() {
    let server = Server::start(&[]);
    let load = Load::default();
    load.run(&server, |addr| {
        while let Ok(mut client) = Client::reach(addr) {
            load.ask(&mut client);
        }
    });
    server.drained();
}
