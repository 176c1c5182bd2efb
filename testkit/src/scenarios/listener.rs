//! Connections that come while the server drains.

use crate::feature::Feature;
use crate::promise::{PATIENT, Promise, SHORT, promise};
use crate::world::World;

pub(super) fn promises<W: World>() -> Vec<Promise<W>> {
    vec![
        promise!(connections_made_just_before_the_drain_are_answered),
        promise!(silent_connections_made_just_before_the_drain_end_in_order).bounds(PATIENT.silent(SHORT)),
        promise!(new_connections_are_refused_while_a_request_is_in_flight).needs(Feature::Listener),
        promise!(the_port_is_free_for_a_successor_while_a_request_is_in_flight).needs(Feature::Listener),
        promise!(a_limit_of_connections_holds_the_rest_back_and_loses_none)
            .needs(Feature::MaxConnections)
            .max_connections(2),
        promise!(connections_that_a_limit_holds_back_are_answered_while_draining)
            .needs(Feature::MaxConnections)
            .max_connections(1),
        promise!(newcomers_are_refused_while_a_limit_holds_others_back)
            .needs(Feature::MaxConnections)
            .max_connections(1),
    ]
}

/// Fewer than the 128 for which a listener may have room, and than the descriptors of one process suffice for.
const QUEUE: usize = 64;

fn connections_made_just_before_the_drain_are_answered<W: World>(world: W) {
    let mut clients: Vec<_> = (0..QUEUE).map(|_| world.client()).collect();
    for client in &mut clients {
        client.get("/held");
    }
    world.start();
    world.release();
    for mut client in clients {
        // The first may have been answered before.
        if client.expect("held").says_close() {
            client.expect_fin();
        }
    }
    world.drained();
}

fn silent_connections_made_just_before_the_drain_end_in_order<W: World>(world: W) {
    let mut clients: Vec<_> = (0..QUEUE).map(|_| world.client()).collect();
    world.start();
    for client in &mut clients {
        // Not even a handshake.
        client.begin(0);
        client.expect_fin();
    }
    world.drained();
}

fn new_connections_are_refused_while_a_request_is_in_flight<W: World>(world: W) {
    let client = world.waiting("/held");
    world.start();
    world.until_refused();
    for _ in 0..10 {
        assert!(world.connect().is_err(), "refused once, and then not");
    }
    world.release();
    client.expect_last("held");
    world.drained();
}

fn the_port_is_free_for_a_successor_while_a_request_is_in_flight<W: World>(world: W) {
    let client = world.waiting("/held");
    world.start();
    world.until("a port that is free", || world.is_free());
    world.release();
    client.expect_last("held");
    world.drained();
}

fn a_limit_of_connections_holds_the_rest_back_and_loses_none<W: World>(world: W) {
    let mut clients: Vec<_> = (0..10).map(|_| world.client()).collect();
    for (at, client) in clients.iter_mut().enumerate() {
        const GET: &str = "GET /held HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
        // The first are served, and nobody has a handshake with the others yet.
        if at < 2 { client.send(GET) } else { client.queue(GET) }
    }
    world.until_in_flight(2);
    world.pass(SHORT);
    assert_eq!(world.application().in_flight(), 2, "with a limit of 2 connections");
    world.release();
    for client in clients {
        client.expect_last("held");
    }
    world.start();
    world.drained();
}

fn connections_that_a_limit_holds_back_are_answered_while_draining<W: World>(world: W) {
    let first = world.waiting("/held");
    let mut clients: Vec<_> = (0..QUEUE).map(|_| world.client()).collect();
    for client in &mut clients {
        client.queue("GET /hello HTTP/1.1\r\nHost: test\r\n\r\n");
    }
    world.start();
    world.release();
    first.expect_last("held");
    for client in clients {
        client.expect_last("hello");
    }
    world.drained();
}

fn newcomers_are_refused_while_a_limit_holds_others_back<W: World>(world: W) {
    let first = world.waiting("/held");
    let mut second = world.client();
    second.queue("GET /hello HTTP/1.1\r\nHost: test\r\n\r\n");
    world.start();
    world.until_refused();
    for _ in 0..10 {
        assert!(world.connect().is_err(), "refused once, and then not");
    }
    world.release();
    first.expect_last("held");
    second.expect_last("hello");
    world.drained();
}
