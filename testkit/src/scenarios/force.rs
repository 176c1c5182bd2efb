//! Drains that are closed by force.

use crate::feature::Feature;
use crate::promise::{Promise, promise};
use crate::world::World;

pub(super) fn promises<W: World>() -> Vec<Promise<W>> {
    vec![
        promise!(a_forced_close_ends_every_exchange_and_every_connection),
        promise!(a_request_cut_before_its_response_is_answered_503).needs(Feature::LastWords),
        promise!(a_forced_close_while_running_ends_the_server_too),
        promise!(a_forced_close_ends_a_response_that_is_not_taken),
        promise!(a_forced_close_says_how_much_is_cut),
        promise!(a_forced_close_says_who_is_cut).needs(Feature::Labels),
    ]
}

fn a_forced_close_ends_every_exchange_and_every_connection<W: World>(world: W) {
    let mut upload = world.client();
    upload.begin_upload(2);
    upload.send("1");
    let mut stream = world.client();
    stream.get("/stream");
    stream.see("first ");
    world.until_in_flight(2);
    let mut half = world.silent();
    half.send("GET /hello HTTP/1.1\r\nHo");
    let mut clients = [world.waiting("/held"), world.idle(), world.silent(), upload, stream, half];
    world.start();
    let _ = world.cut();
    for client in &mut clients {
        client.expect_cut();
    }
}

fn a_request_cut_before_its_response_is_answered_503<W: World>(world: W) {
    let mut upload = world.client();
    upload.begin_upload(2);
    upload.send("1");
    world.until_in_flight(1);
    let mut stream = world.client();
    stream.get("/stream");
    stream.see("first ");
    let (mut waits, mut half) = (world.waiting("/held"), world.silent());
    half.send("GET /hello HTTP/1.1\r\nHo");
    world.start();
    let _ = world.cut();
    for client in [&mut upload, &mut waits] {
        let response = client.response();
        assert!(response.is_unavailable(), "{:?}", response.head);
        client.expect_fin();
    }
    for client in [&mut stream, &mut half] {
        assert!(client.answer().is_err(), "an answer where none is owed, or another was begun");
    }
}

fn a_forced_close_while_running_ends_the_server_too<W: World>(world: W) {
    let mut clients = [world.waiting("/held"), world.idle(), world.silent()];
    world.drain().close();
    world.until_refused();
    let _ = world.cut();
    for client in &mut clients {
        client.expect_cut();
    }
}

fn a_forced_close_ends_a_response_that_is_not_taken<W: World>(world: W) {
    let mut client = world.client();
    client.get("/big");
    client.see("\r\n\r\n");
    world.start();
    let _ = world.cut();
    assert!(client.answer().is_err(), "a complete response though it was cut");
}

fn a_forced_close_says_how_much_is_cut<W: World>(world: W) {
    let clients = [world.waiting("/held"), world.waiting("/held"), world.waiting("/held")];
    world.start();
    // The listener's guard has gone with the listener, or is about to.
    world.until_refused();
    let overdue = world.cut();
    assert!(overdue.guards() >= clients.len(), "of {} requests: {overdue}", clients.len());
}

fn a_forced_close_says_who_is_cut<W: World>(world: W) {
    let client = world.waiting("/held");
    world.start();
    world.until_refused();
    let overdue = world.cut();
    assert!(!overdue.held().is_empty(), "nobody is named: {overdue}");
    drop(client);
}
