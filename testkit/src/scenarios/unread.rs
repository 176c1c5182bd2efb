//! Responses to requests whose bodies nobody reads.

use crate::client::Client;
use crate::promise::{Promise, promise};
use crate::wire::End;
use crate::world::World;

pub(super) fn promises<W: World>() -> Vec<Promise<W>> {
    vec![
        promise!(a_small_body_that_is_not_read_leaves_its_connection_in_order),
        promise!(a_small_body_that_is_not_read_while_draining_leaves_its_connection_in_order),
        promise!(a_large_body_that_is_not_read_does_not_destroy_the_response),
        promise!(a_large_body_that_is_not_read_while_draining_does_not_destroy_the_response),
        promise!(a_body_that_is_not_read_and_never_comes_does_not_hold_the_drain),
    ]
}

/// More than all the buffers between a client and its server.
const LARGE: usize = 16 << 20;

fn post<W: World>(client: &mut Client<W::Stream>, length: usize) {
    client.send(format!("POST /unread HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n"));
}

/// The response has come, and either the connection goes on or it ends well: what was not read is no request.
fn goes_on_or_ends<W: World>(mut client: Client<W::Stream>) {
    if client.expect("unread").says_close() {
        return client.expect_fin();
    }
    // Where it ends now, it may be that this is not taken.
    drop(client.offer("GET /hello HTTP/1.1\r\nHost: test\r\n\r\n"));
    match client.answer() {
        Ok(response) => assert_eq!((response.status, response.text()), (200, "hello")),
        Err(end) => assert!(end == End::Fin, "{end} where it was to end in order"),
    }
}

fn a_small_body_that_is_not_read_leaves_its_connection_in_order<W: World>(world: W) {
    let mut client = world.client();
    post::<W>(&mut client, 5);
    client.send("small");
    goes_on_or_ends::<W>(client);
    world.start();
    world.drained();
}

fn a_small_body_that_is_not_read_while_draining_leaves_its_connection_in_order<W: World>(world: W) {
    let mut client = world.silent();
    world.start();
    post::<W>(&mut client, 5);
    client.send("small");
    client.expect_last("unread");
    world.drained();
}

fn a_large_body_that_is_not_read_does_not_destroy_the_response<W: World>(world: W) {
    let mut client = world.client();
    post::<W>(&mut client, LARGE);
    client.send(vec![b'l'; LARGE]);
    goes_on_or_ends::<W>(client);
    world.start();
    world.drained();
}

fn a_large_body_that_is_not_read_while_draining_does_not_destroy_the_response<W: World>(world: W) {
    let mut client = world.silent();
    world.start();
    post::<W>(&mut client, LARGE);
    client.send(vec![b'l'; LARGE]);
    client.expect_last("unread");
    world.drained();
}

fn a_body_that_is_not_read_and_never_comes_does_not_hold_the_drain<W: World>(world: W) {
    let mut client = world.silent();
    world.start();
    post::<W>(&mut client, LARGE);
    client.expect_last("unread");
    world.drained();
}
