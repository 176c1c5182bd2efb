//! Connections on which something precedes HTTP: a TLS handshake.

use std::time::Duration;

use ebbtide_connection::Bounds;

use crate::client::Client;
use crate::feature::Feature;
use crate::promise::{PATIENT, Promise, SHORT, promise};
use crate::world::World;

pub(super) fn promises<W: World>() -> Vec<Promise<W>> {
    const SHORT_SILENT: Bounds = PATIENT.silent(SHORT);
    const NO_GRACE: Bounds = PATIENT.silent(SHORT).idle(SHORT);
    const SHORT_HEAD: Bounds = PATIENT.head(SHORT);
    const LATE: Bounds = PATIENT.request(BOUND).silent(SHORT).idle(SHORT).head(SHORT);
    let promises = vec![
        promise!(a_client_that_stops_in_its_handshake_is_not_waited_for_for_ever_though_nothing_drains).bounds(LATE),
        promise!(a_connection_without_a_handshake_ends_by_fin_after_its_grace).bounds(SHORT_SILENT),
        promise!(a_handshake_that_stops_does_not_hold_the_drain_for_ever).bounds(SHORT_HEAD),
        promise!(a_handshake_that_stops_while_draining_does_not_hold_it_for_ever).bounds(SHORT_HEAD),
        promise!(half_a_handshake_is_waited_for_and_its_request_answered).bounds(NO_GRACE),
        promise!(a_client_that_goes_in_the_middle_of_its_handshake_does_not_hold_the_drain),
        promise!(a_forced_close_ends_every_handshake),
        promise!(a_forced_close_while_running_ends_every_handshake_too),
    ];
    promises.into_iter().map(|it| it.needs(Feature::Tls)).collect()
}

/// Long enough for the handshake and the request of a client that is in no hurry.
const BOUND: Duration = SHORT.saturating_mul(4);

/// Where a handshake stops: before it begins, in the middle of what a client says first, and behind that.
const STOPS: [usize; 4] = [0, 1, 100, usize::MAX];

/// A client that was accepted, and that stops in its handshake.
fn stopped<W: World>(world: &W, at: usize) -> Client<W::Stream> {
    let before = world.drain().guards();
    let mut client = world.client();
    world.until("a guard for a connection", || world.drain().guards() > before);
    client.begin(at);
    client
}

fn a_client_that_stops_in_its_handshake_is_not_waited_for_for_ever_though_nothing_drains<W: World>(world: W) {
    let mut clients = STOPS.map(|at| {
        let mut client = world.client();
        client.begin(at);
        client
    });
    for client in &mut clients {
        client.expect_fin();
    }
    let mut client = world.client();
    client.get("/hello");
    assert!(!client.expect("hello").says_close(), "it says close though nothing drains");
    world.start();
    world.drained();
}

fn a_connection_without_a_handshake_ends_by_fin_after_its_grace<W: World>(world: W) {
    let mut client = stopped(&world, 0);
    world.start();
    client.expect_fin();
    world.drained();
}

fn a_handshake_that_stops_does_not_hold_the_drain_for_ever<W: World>(world: W) {
    let mut clients = STOPS[1..].iter().map(|at| stopped(&world, *at)).collect::<Vec<_>>();
    world.start();
    for client in &mut clients {
        client.expect_fin();
    }
    world.drained();
}

fn a_handshake_that_stops_while_draining_does_not_hold_it_for_ever<W: World>(world: W) {
    let mut clients = STOPS[1..].iter().map(|at| (*at, stopped(&world, 0))).collect::<Vec<_>>();
    world.start();
    for (at, client) in &mut clients {
        client.begin(*at);
    }
    for (_, client) in &mut clients {
        client.expect_fin();
    }
    world.drained();
}

/// It is waited for longer than a connection that has said nothing.
fn half_a_handshake_is_waited_for_and_its_request_answered<W: World>(world: W) {
    let mut client = stopped(&world, 100);
    world.start();
    world.pass(3 * SHORT);
    client.get("/hello");
    client.expect_last("hello");
    world.drained();
}

fn a_client_that_goes_in_the_middle_of_its_handshake_does_not_hold_the_drain<W: World>(world: W) {
    let clients = STOPS.map(|at| stopped(&world, at));
    world.start();
    drop(clients);
    world.drained();
}

fn a_forced_close_ends_every_handshake<W: World>(world: W) {
    let mut clients = STOPS.map(|at| stopped(&world, at));
    world.start();
    world.until_refused();
    let overdue = world.cut();
    assert!(overdue.guards() >= clients.len(), "of {} handshakes: {overdue}", clients.len());
    for client in &mut clients {
        client.end();
    }
}

fn a_forced_close_while_running_ends_every_handshake_too<W: World>(world: W) {
    let mut clients = STOPS.map(|at| stopped(&world, at));
    let _ = world.cut();
    for client in &mut clients {
        client.end();
    }
}
