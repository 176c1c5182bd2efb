//! Connections that are no longer HTTP.

use ebbtide_connection::Bounds;

use crate::client::Client;
use crate::feature::Feature;
use crate::promise::{Promise, SHORT, promise};
use crate::world::World;

pub(super) fn promises<W: World>() -> Vec<Promise<W>> {
    vec![
        promise!(an_upgraded_connection_is_told_and_its_goodbye_is_awaited).needs(Feature::Upgrade),
        promise!(an_upgraded_connection_has_no_bound_of_its_own).needs(Feature::Upgrade).bounds(Bounds::NONE),
        promise!(an_upgrade_asked_for_while_draining_is_made_and_told).needs(Feature::Upgrade),
        promise!(what_is_sent_early_to_an_upgraded_connection_reaches_it).needs(Feature::Upgrade),
        promise!(an_upgraded_connection_whose_client_goes_does_not_hold_the_drain).needs(Feature::Upgrade),
        promise!(an_upgraded_connection_fails_at_a_forced_close).needs(Feature::Upgrade),
    ]
}

const UPGRADE: &str = "GET /echo HTTP/1.1\r\nHost: test\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";

/// Reads the 101.
fn switched<W: World>(client: &mut Client<W::Stream>) {
    let head = client.head().unwrap_or_else(|end| panic!("{end} instead of a 101"));
    assert_eq!((head.status, head.header("upgrade")), (101, Some("echo")), "{:?}", head.head);
    assert!(!head.says_close(), "the connection goes on: {:?}", head.head);
}

fn heard<W: World>(client: &mut Client<W::Stream>, line: &str) {
    let end = |end| panic!("{end} before {line:?} on an upgraded connection");
    let heard = client.take_until("\n").unwrap_or_else(end);
    assert_eq!(String::from_utf8_lossy(&heard), line);
}

/// An upgraded connection that has echoed.
pub(super) fn upgraded<W: World>(world: &W) -> Client<W::Stream> {
    let mut client = world.client();
    client.send(UPGRADE);
    switched::<W>(&mut client);
    client.send("first\n");
    heard::<W>(&mut client, "first\n");
    client
}

fn an_upgraded_connection_is_told_and_its_goodbye_is_awaited<W: World>(world: W) {
    let mut client = upgraded(&world);
    world.start();
    heard::<W>(&mut client, "goodbye\n");
    assert_eq!(world.drain().state(), ebbtide::State::Draining, "the goodbye is still to be answered");
    client.send("bye\n");
    client.expect_fin();
    drop(client);
    world.drained();
}

fn an_upgraded_connection_has_no_bound_of_its_own<W: World>(world: W) {
    let mut client = upgraded(&world);
    world.start();
    heard::<W>(&mut client, "goodbye\n");
    world.pass(SHORT);
    client.send("bye\n");
    client.expect_fin();
    drop(client);
    world.drained();
}

fn an_upgrade_asked_for_while_draining_is_made_and_told<W: World>(world: W) {
    let mut client = world.silent();
    world.start();
    client.send(UPGRADE);
    switched::<W>(&mut client);
    heard::<W>(&mut client, "goodbye\n");
    client.send("bye\n");
    client.expect_fin();
    drop(client);
    world.drained();
}

fn what_is_sent_early_to_an_upgraded_connection_reaches_it<W: World>(world: W) {
    let mut client = world.client();
    client.send(format!("{UPGRADE}early\n"));
    switched::<W>(&mut client);
    heard::<W>(&mut client, "early\n");
    drop(client);
    world.start();
    world.drained();
}

fn an_upgraded_connection_whose_client_goes_does_not_hold_the_drain<W: World>(world: W) {
    let client = upgraded(&world);
    world.start();
    drop(client);
    world.drained();
}

fn an_upgraded_connection_fails_at_a_forced_close<W: World>(world: W) {
    let mut client = upgraded(&world);
    world.start();
    heard::<W>(&mut client, "goodbye\n");
    let _ = world.cut();
    client.end();
}
