//! Clients that do not do their part, and handlers that do not.

use crate::client::Client;
use crate::feature::Feature;
use crate::promise::{PATIENT, Promise, SHORT, promise};
use crate::world::World;

pub(super) fn promises<W: World>() -> Vec<Promise<W>> {
    vec![
        promise!(a_client_that_goes_while_it_waits_does_not_hold_the_drain),
        promise!(a_client_that_goes_in_the_middle_of_its_upload_does_not_hold_the_drain),
        promise!(a_client_that_goes_in_the_middle_of_its_response_does_not_hold_the_drain)
            .bounds(PATIENT.linger(SHORT)),
        promise!(a_client_that_goes_in_the_middle_of_a_large_response_does_not_hold_the_drain),
        promise!(a_client_that_goes_in_the_middle_of_a_head_does_not_hold_the_drain),
        promise!(a_client_that_goes_while_idle_or_silent_does_not_hold_the_drain),
        promise!(a_client_that_ends_its_direction_while_idle_hears_the_end),
        promise!(a_client_that_ends_its_direction_while_it_waits_does_not_hold_the_drain),
        promise!(a_client_that_ends_its_direction_in_the_middle_of_a_head_does_not_hold_the_drain),
        promise!(a_client_that_ends_its_direction_behind_its_request_is_answered).needs(Feature::HalfClosed),
        promise!(a_client_that_takes_nothing_does_not_hold_the_drain_for_ever).bounds(PATIENT.stall(SHORT)),
        promise!(a_client_that_never_ends_its_direction_does_not_hold_the_drain_for_ever)
            .bounds(PATIENT.idle(SHORT).linger(SHORT)),
        promise!(a_handler_that_panics_is_not_waited_for),
    ]
}

fn a_client_that_goes_while_it_waits_does_not_hold_the_drain<W: World>(world: W) {
    let client = world.waiting("/held");
    world.start();
    drop(client);
    world.drained();
}

fn a_client_that_goes_in_the_middle_of_its_upload_does_not_hold_the_drain<W: World>(world: W) {
    let mut client = world.client();
    client.begin_upload(2);
    client.send("1");
    world.until_in_flight(1);
    world.start();
    drop(client);
    world.drained();
}

fn a_client_that_goes_in_the_middle_of_its_response_does_not_hold_the_drain<W: World>(world: W) {
    let mut client = world.client();
    client.get("/stream");
    client.see("first ");
    world.start();
    drop(client);
    world.drained();
}

fn a_client_that_goes_in_the_middle_of_a_large_response_does_not_hold_the_drain<W: World>(world: W) {
    let mut client = world.client();
    client.get("/big");
    client.see("\r\n\r\n");
    world.start();
    // With bytes unread, which makes it a reset.
    drop(client);
    world.drained();
}

fn a_client_that_goes_in_the_middle_of_a_head_does_not_hold_the_drain<W: World>(world: W) {
    let mut clients = [world.silent(), world.idle()];
    for client in &mut clients {
        client.send("GET /hello HTTP/1.1\r\nHo");
    }
    world.start();
    drop(clients);
    world.drained();
}

fn a_client_that_goes_while_idle_or_silent_does_not_hold_the_drain<W: World>(world: W) {
    let clients = [world.silent(), world.idle()];
    world.start();
    drop(clients);
    world.drained();
}

fn a_client_that_ends_its_direction_while_idle_hears_the_end<W: World>(world: W) {
    let mut client = world.idle();
    world.start();
    client.half_close();
    client.expect_fin();
    drop(client);
    world.drained();
}

fn a_client_that_ends_its_direction_behind_its_request_is_answered<W: World>(world: W) {
    let ends = |mut client: Client<W::Stream>, request: &str| {
        client.send(request);
        client.half_close();
        client
    };
    let mut running = ends(world.client(), "GET /held HTTP/1.1\r\nHost: test\r\n\r\n");
    let mut old = ends(world.client(), "GET /held HTTP/1.0\r\n\r\n");
    let upload = "POST /upload HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\nup";
    ends(world.client(), upload).expect("2");
    world.until_in_flight(2);
    let mut draining = world.waiting("/held");
    world.start();
    draining.half_close();
    world.release();
    for client in [&mut running, &mut old, &mut draining] {
        client.expect("held");
        client.expect_fin();
    }
    world.drained();
}

/// Some servers take it for the client's departure, and some answer.
fn a_client_that_ends_its_direction_while_it_waits_does_not_hold_the_drain<W: World>(world: W) {
    let mut client = world.waiting("/held");
    world.start();
    client.half_close();
    world.release();
    if let Ok(response) = client.answer() {
        assert_eq!(response.text(), "held");
    }
    drop(client);
    world.drained();
}

fn a_client_that_ends_its_direction_in_the_middle_of_a_head_does_not_hold_the_drain<W: World>(world: W) {
    let mut client = world.silent();
    client.send("GET /hello HTTP/1.1\r\nHo");
    world.start();
    client.half_close();
    drop(client.answer());
    drop(client);
    world.drained();
}

fn a_client_that_takes_nothing_does_not_hold_the_drain_for_ever<W: World>(world: W) {
    let mut client = world.client();
    client.get("/big");
    client.see("\r\n\r\n");
    world.start();
    world.drained();
    drop(client);
}

/// After an upload a server reads on for a while, because more of it may come.
fn a_client_that_never_ends_its_direction_does_not_hold_the_drain_for_ever<W: World>(world: W) {
    let mut client = world.client();
    client.begin_upload(1);
    world.until_in_flight(1);
    world.start();
    client.send("1");
    client.expect("1");
    client.expect_fin();
    world.drained();
    drop(client);
}

fn a_handler_that_panics_is_not_waited_for<W: World>(world: W) {
    let mut client = world.waiting("/panic");
    world.start();
    world.release();
    // Some servers say 500, and some nothing.
    if let Ok(response) = client.answer() {
        assert_eq!(response.status, 500);
    }
    drop(client);
    world.drained();
}
