//! Connections on which nothing is in flight.

use ebbtide_connection::Bounds;

use crate::promise::{PATIENT, Promise, SHORT, promise};
use crate::world::World;

pub(super) fn promises<W: World>() -> Vec<Promise<W>> {
    const SHORT_IDLE: Bounds = PATIENT.idle(SHORT);
    const SHORT_SILENT: Bounds = PATIENT.silent(SHORT);
    vec![
        promise!(a_server_with_nothing_to_drain_ends),
        promise!(an_idle_connection_ends_by_fin_after_its_grace).bounds(SHORT_IDLE),
        promise!(an_idle_connection_does_not_wait_for_the_others).bounds(SHORT_IDLE),
        promise!(two_hundred_idle_connections_all_end_by_fin).bounds(SHORT_IDLE),
        promise!(a_request_that_crosses_the_drain_on_an_idle_connection_is_answered),
        promise!(a_silent_connection_ends_by_fin_after_its_grace).bounds(SHORT_SILENT),
        promise!(a_silent_connection_that_speaks_within_its_grace_is_answered),
        promise!(connections_without_any_grace_end_by_fin).bounds(Bounds::NONE),
    ]
}

fn a_server_with_nothing_to_drain_ends<W: World>(world: W) {
    world.start();
    world.drained();
}

fn an_idle_connection_ends_by_fin_after_its_grace<W: World>(world: W) {
    let mut client = world.idle();
    world.start();
    client.expect_fin();
    world.drained();
}

fn an_idle_connection_does_not_wait_for_the_others<W: World>(world: W) {
    let (mut idle, busy) = (world.idle(), world.waiting("/held"));
    world.start();
    idle.expect_fin();
    world.release();
    busy.expect_last("held");
    world.drained();
}

/// As many as the descriptors of one process suffice for, of which each takes two.
fn two_hundred_idle_connections_all_end_by_fin<W: World>(world: W) {
    let mut clients: Vec<_> = (0..200).map(|_| world.idle()).collect();
    world.start();
    for client in &mut clients {
        client.expect_fin();
    }
    world.drained();
}

fn a_request_that_crosses_the_drain_on_an_idle_connection_is_answered<W: World>(world: W) {
    let mut clients: Vec<_> = (0..50).map(|_| world.idle()).collect();
    for (at, client) in clients.iter_mut().enumerate() {
        match at {
            10 => world.start(),
            // The rest well after it, and within the grace.
            30 => world.pass(SHORT),
            _ => {}
        }
        client.get("/hello");
    }
    for mut client in clients {
        // The first ones may have been answered before the drain began: they are idle, and asked once more.
        if !client.expect("hello").says_close() {
            client.get("/hello");
            client.expect_last("hello");
        }
    }
    world.drained();
}

fn a_silent_connection_ends_by_fin_after_its_grace<W: World>(world: W) {
    let mut client = world.silent();
    world.start();
    client.expect_fin();
    world.drained();
}

fn a_silent_connection_that_speaks_within_its_grace_is_answered<W: World>(world: W) {
    let mut client = world.silent();
    world.start();
    world.pass(SHORT);
    client.get("/hello");
    client.expect_last("hello");
    world.drained();
}

fn connections_without_any_grace_end_by_fin<W: World>(world: W) {
    let mut clients = [world.idle(), world.silent()];
    world.start();
    for client in &mut clients {
        client.expect_fin();
    }
    world.drained();
}
