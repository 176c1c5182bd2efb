//! Connections in the middle of a request's head.

use ebbtide_connection::Bounds;

use crate::client::Client;
use crate::promise::{PATIENT, Promise, SHORT, promise};
use crate::world::World;

pub(super) fn promises<W: World>() -> Vec<Promise<W>> {
    const NO_GRACE: Bounds = PATIENT.silent(SHORT).idle(SHORT);
    const SHORT_HEAD: Bounds = PATIENT.head(SHORT);
    vec![
        promise!(half_a_head_on_a_new_connection_is_waited_for).bounds(NO_GRACE),
        promise!(half_a_head_on_a_kept_connection_is_waited_for).bounds(NO_GRACE),
        promise!(half_a_head_that_comes_while_draining_is_waited_for).bounds(NO_GRACE),
        promise!(half_a_head_that_never_ends_does_not_hold_the_drain_for_ever).bounds(SHORT_HEAD),
        promise!(half_a_head_on_a_kept_connection_that_never_ends_does_not_hold_the_drain_for_ever).bounds(SHORT_HEAD),
    ]
}

const HALF: &str = "GET /hello HTTP/1.1\r\nHo";
const REST: &str = "st: test\r\n\r\n";

/// It is waited for longer than a connection that has said nothing.
fn waited_for<W: World>(world: W, mut client: Client<W::Stream>) {
    world.pass(3 * SHORT);
    client.send(REST);
    client.expect_last("hello");
    world.drained();
}

fn half_a_head_on_a_new_connection_is_waited_for<W: World>(world: W) {
    let mut client = world.silent();
    client.send(HALF);
    world.start();
    waited_for(world, client);
}

fn half_a_head_on_a_kept_connection_is_waited_for<W: World>(world: W) {
    let mut client = world.idle();
    client.send(HALF);
    world.start();
    waited_for(world, client);
}

fn half_a_head_that_comes_while_draining_is_waited_for<W: World>(world: W) {
    let mut client = world.silent();
    world.start();
    client.send(HALF);
    waited_for(world, client);
}

fn half_a_head_that_never_ends_does_not_hold_the_drain_for_ever<W: World>(world: W) {
    let mut client = world.silent();
    client.send(HALF);
    world.start();
    world.drained();
    drop(client);
}

fn half_a_head_on_a_kept_connection_that_never_ends_does_not_hold_the_drain_for_ever<W: World>(world: W) {
    let mut client = world.idle();
    client.send(HALF);
    world.start();
    world.drained();
    drop(client);
}
